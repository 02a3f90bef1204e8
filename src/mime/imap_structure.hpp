#pragma once
// What IMAP says of a message, as the bytes that go on the wire, computed once at delivery (RFC 9051 §7.5.2).
// Strings are quoted, or literals where a value has CR, LF or NUL-free 8-bit octets that quoting cannot carry;
// non-ASCII is re-encoded as =?UTF-8?Q?...?= (protocols.md §1.12).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mime/message.hpp"

namespace mallard::mime {

std::string envelope(Entity const& message, std::string_view source);
std::string body_structure(Entity const& message, std::string_view source);  // extensible: BODYSTRUCTURE
std::string body(Entity const& message, std::string_view source);            // non-extensible: BODY

// The tree's offsets, compact, so that BODY[1.2.MIME] reads a range and parses nothing.
std::string encode_parts(Entity const& message);

struct Part {
    std::uint64_t header_begin = 0, body_begin = 0, end = 0;
    bool is_multipart = false, is_message = false;
    std::string encoding, charset;  // for SEARCH and text; lower case
    bool is_text = false;
    std::vector<Part> children;
};
Part decode_parts(std::string_view encoded);  // a damaged encoding gives one opaque part

}  // namespace mallard::mime
