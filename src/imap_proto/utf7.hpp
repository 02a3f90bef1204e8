#pragma once
// Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) <-> UTF-8.

#include <optional>
#include <string>
#include <string_view>

namespace mallard::imap_proto {

// nullopt: not well-formed. Raw 8-bit octets are taken as UTF-8 (tolerated; RFC 3501 forbids them).
std::optional<std::string> decode_utf7(std::string_view name);
std::string encode_utf7(std::string_view utf8);  // precondition: valid UTF-8

}  // namespace mallard::imap_proto
