#pragma once
// A user's OpenPGP public key as it was pasted: whose it is, and encryption to it (RFC 4880).
// Threads: any; nothing is shared between calls.

#include <functional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::encryption {

struct PublicKey {
    std::string name, address;  // of the primary user id; empty where it is not UTF-8
    std::string fingerprint;    // 40 hex
};

inline constexpr std::size_t key_bytes_max = 256 * 1024;  // as pasted

// The first key in the text. invalid: damaged, or mail can not be encrypted to it (expired, revoked, for signing alone,
// RSA below 2048 bits).
Result<PublicKey> read_public_key(std::string_view armored);

// The octets, at least one, as an armored message, given to `sink` in pieces with CRLF line ends; an error of the sink
// ends it. invalid: as read_public_key().
Result<void> encrypt(std::string_view armored, std::string_view octets,
                     std::function<Result<void>(std::string_view)> const& sink);

}  // namespace mallard::encryption
