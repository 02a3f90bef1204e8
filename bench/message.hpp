#pragma once
// Messages for the load: readable text of words, unique each, or with an attachment that all share.

#include <cstdint>
#include <string>

namespace bench {

// About `bytes` octets of RFC 5322 text with CRLF; `seed` decides every word.
std::string text_message(std::uint64_t seed, std::size_t bytes, std::string const& to);
// A short text and one base64 attachment of `bytes` encoded octets, the same for every seed.
std::string attachment_message(std::uint64_t seed, std::size_t bytes, std::string const& to);

}  // namespace bench
