#pragma once
// What a user's public keys say of themselves: OpenPGP keys and S/MIME certificates. Nothing is encrypted here.
// Pure. RFC 4880 §5 (packets), §6.2 (armor).

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::accounts {

struct PgpKey {
    std::string name, address;  // of the first user id
    std::string fingerprint;    // 40 hex
};
// invalid: damaged, of an unknown version, or mail can not be encrypted to it (RSA below 2048 bits, signing keys
// alone).
Result<PgpKey> read_pgp_key(std::string_view armored);

struct Certificate {
    std::string subject, serial, fingerprint;  // SHA-256, colon-separated
};
// invalid: damaged, or of a key that mail is not encrypted to (RSA 2048 to 4096 and P-256, P-384, P-521 are).
Result<Certificate> read_certificate(std::string_view pem);

}  // namespace mallard::accounts
