#pragma once
// Tests of strings for schema rules. Pure.

#include <cstdint>
#include <optional>
#include <string_view>

namespace mallard::http::formats {

bool is_hex(std::string_view text);
bool is_email(std::string_view text);  // two domain labels, Unicode allowed, no quotes, no IP literal, no blanks
bool is_username(std::string_view text);
bool is_ip(std::string_view text);
bool is_uri(std::string_view text);
bool is_target_uri(std::string_view text);  // smtp(s), http(s)
bool is_relay_uri(std::string_view text);   // smtp(s)
bool is_base64(std::string_view text);
bool is_cursor(std::string_view text);         // characters, and base64url of JSON
bool is_attachment_id(std::string_view text);  // ATT and digits, any case
bool is_message_range(std::string_view text);  // 5 | 1,2,3 | 3:15 | 3:*
bool is_wildcard_address(std::string_view text);
bool has_no_empty_level(std::string_view path);  // no "//", no '/' at the end
bool is_pgp_key(std::string_view text);
bool is_certificate(std::string_view text);

std::optional<double> to_number(std::string_view text);  // blanks around allowed; decimal, exponent
std::size_t utf16_length(std::string_view utf8);

}  // namespace mallard::http::formats
