// Mailbox names (RFC 9051 §5.1, protocols.md §1.8).
#include <fmt/format.h>

#include "base/encoding.hpp"
#include "mailboxes/mailboxes.hpp"

namespace mallard::mailboxes {

namespace {

// UTF-16 units of valid UTF-8: what the limit of a level is counted in.
std::size_t utf16_units(std::string_view utf8) {
    std::size_t units = 0;
    for (unsigned char c : utf8) {
        if ((c & 0xC0) != 0x80) ++units;
        if (c >= 0xF0) ++units;  // outside the basic plane: a surrogate pair
    }
    return units;
}

// C0, DEL and C1 (U+0080..U+009F: C2 80..C2 9F).
bool has_control(std::string_view utf8) {
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        auto c = static_cast<unsigned char>(utf8[i]);
        if (c < 0x20 || c == 0x7F) return true;
        if (c == 0xC2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xA0) return true;
    }
    return false;
}

}  // namespace

Result<std::string> normalize_path(std::string_view path, Policy const& policy) {
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.ends_with('/')) path.remove_suffix(1);
    if (path.empty()) return fail(ErrorKind::invalid, "No folder name given");
    if (!is_valid_utf8(path)) return fail(ErrorKind::invalid, "The folder name is not valid UTF-8");
    if (has_control(path)) return fail(ErrorKind::invalid, "A folder name cannot contain control characters");

    std::size_t depth = 0;
    for (std::size_t begin = 0; begin <= path.size();) {
        std::size_t end = std::min(path.find('/', begin), path.size());
        std::string_view level = path.substr(begin, end - begin);
        if (level.empty()) return fail(ErrorKind::invalid, "Adjacent hierarchy separators are not supported");
        if (utf16_units(level) > policy.name_units_max)
            return fail(ErrorKind::invalid,
                        fmt::format("A folder name can have at most {} characters per level", policy.name_units_max));
        if (++depth > policy.depth_max)
            return fail(ErrorKind::invalid, fmt::format("Folders can be nested at most {} deep", policy.depth_max));
        begin = end + 1;
    }

    // RFC 9051 §5.1: INBOX in any case is INBOX; its children follow it.
    std::string normal(path);
    if (std::size_t first = std::min(path.find('/'), path.size()); iequals(path.substr(0, first), "INBOX"))
        normal.replace(0, first, "INBOX");
    return normal;
}

}  // namespace mallard::mailboxes
