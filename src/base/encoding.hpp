#pragma once
// Text encodings and digests. Pure, thread-safe.

#include <optional>
#include <string>
#include <string_view>

namespace mallard {

std::string hex_encode(std::string_view bytes);  // lower case
std::optional<std::string> hex_decode(std::string_view text);
std::string base64_encode(std::string_view bytes, bool padding = true);  // RFC 4648 §4, one line
std::optional<std::string> base64_decode(std::string_view text);         // strict; padding optional
std::string base32_lower(std::string_view bytes);                        // RFC 4648 §6, a-z2-7, no padding

std::string sha256(std::string_view bytes);                             // 32 bytes
std::string sha1(std::string_view bytes);                               // 20 bytes
std::string hmac_sha256(std::string_view key, std::string_view bytes);  // 32 bytes
bool equal_constant_time(std::string_view a, std::string_view b);

// ASCII only, as protocols compare keywords.
char ascii_lower(char c);
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
bool iequals(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);  // SP HTAB CR LF

bool is_valid_utf8(std::string_view text);

// A new session's id: 10 random bytes in base32, 16 characters (protocols.md §1.1).
std::string new_session_id();

}  // namespace mallard
