#pragma once
// Values into a reply. All append: the caller owns the buffer.

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace mallard::imap_proto {

inline void append_number(std::string& out, std::uint64_t n) {
    char digits[20];
    auto const end = std::to_chars(digits, digits + sizeof digits, n).ptr;
    out.append(digits, static_cast<std::size_t>(end - digits));
}

// RFC 9051 §9 string: quoted, or a literal when the value has CR, LF or NUL (which no quoted string can carry).
void append_string(std::string& out, std::string_view value);
void append_literal_header(std::string& out, std::uint64_t size);  // "{n}" CRLF
// An atom where it can be one, else a string.
void append_astring(std::string& out, std::string_view value);
// A mailbox name, always quoted (protocols.md §1.9): modified UTF-7, or UTF-8 after ENABLE UTF8=ACCEPT.
void append_mailbox(std::string& out, std::string_view utf8_path, bool utf8);

}  // namespace mallard::imap_proto
