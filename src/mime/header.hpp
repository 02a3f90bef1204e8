#pragma once
// Header values: unfolding, encoded words, addresses, dates, message ids. Pure; any input gives a value.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace mallard::mime {

std::string unfold(std::string_view raw);  // RFC 5322 §2.2.3: CRLF before WSP removed, blanks at the ends trimmed
// RFC 2047: encoded words to UTF-8; adjacent ones joined before decoding; raw 8-bit that is not UTF-8 is taken as
// windows-1252. The result is valid UTF-8.
std::string decode_words(std::string_view unfolded);
std::string encode_words(std::string_view utf8);  // for header text that we write; ASCII stays as it is

struct Address {
    std::string name;            // decoded UTF-8; empty: none
    std::string mailbox;         // local part, unquoted
    std::string host;            // domain; empty when there was no '@'
    std::vector<Address> group;  // members, when this is a group (RFC 5322 §3.4); then `name` is the group's name
    bool is_group = false;
    std::string address() const { return host.empty() ? mailbox : mailbox + '@' + host; }
};
// Tolerant: RFC 5322 §3.4 with obsolete forms; what cannot be read becomes an address with only a mailbox or is
// skipped. NUL, CR and LF count as blanks.
std::vector<Address> parse_addresses(std::string_view unfolded);
// The list as header text that parse_addresses reads back: names quoted or as encoded words, domains in punycode.
std::string format_addresses(std::vector<Address> const& list);

// RFC 5322 §3.3 with obsolete zones and common errors; ms since the epoch.
std::optional<TimeMs> parse_date(std::string_view text);
std::string format_date(TimeMs when);  // "Mon, 01 Jan 2024 10:00:00 +0000"

std::vector<std::string> parse_message_ids(std::string_view unfolded);  // with <>

}  // namespace mallard::mime
