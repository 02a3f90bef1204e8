#include "imap_proto/output.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/utf7.hpp"

namespace mallard::imap_proto {

void append_literal_header(std::string& out, std::uint64_t size) {
    out += '{';
    append_number(out, size);
    out += "}\r\n";
}

void append_string(std::string& out, std::string_view value) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
        append_literal_header(out, value.size());
        out += value;
        return;
    }
    out += '"';
    for (char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

void append_astring(std::string& out, std::string_view value) {
    bool const atom = !value.empty() && !iequals(value, "NIL") && std::ranges::all_of(value, is_atom_char);
    if (atom)
        out += value;
    else
        append_string(out, value);
}

void append_mailbox(std::string& out, std::string_view utf8_path, bool utf8) {
    append_string(out, utf8 ? std::string(utf8_path) : encode_utf7(utf8_path));
}

}  // namespace mallard::imap_proto
