#include "config/toml_text.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::config {

namespace {

constexpr std::size_t line_of(std::string_view text, std::size_t at) {
    return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, at), '\n'));
}

// A line feed is part of no longer sequence, so that lines can be judged one by one.
std::optional<std::size_t> find_invalid_line(std::string_view text) {
    if (is_valid_utf8(text)) return std::nullopt;
    for (std::size_t line = 1;; ++line) {
        std::size_t const end = std::min(text.find('\n'), text.size());
        if (!is_valid_utf8(text.substr(0, end))) return line;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// Both skip from behind the opening quotes to behind the closing ones.

std::size_t skip_line_string(std::string_view text, std::size_t at, char quote) {
    for (; at < text.size() && text[at] != '\n'; ++at) {
        if (text[at] == quote) return at + 1;
        if (quote == '"' && text[at] == '\\') ++at;
    }
    return std::min(at, text.size());
}

std::size_t skip_long_string(std::string_view text, std::size_t at, char quote) {
    for (; at < text.size(); ++at) {
        if (quote == '"' && text[at] == '\\') {
            ++at;
        } else if (text[at] == quote) {
            std::size_t const run = std::min(text.find_first_not_of(quote, at), text.size()) - at;
            if (run >= 3) return at + std::min<std::size_t>(run, 5);  // two quotes can stand before the closing three
            at += run - 1;
        }
    }
    return text.size();
}

}  // namespace

std::optional<TomlTextFault> find_fault(std::string_view toml) {
    if (auto const line = find_invalid_line(toml)) return TomlTextFault{*line, "is not UTF-8"};
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    std::size_t at = toml.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
    while (at < toml.size()) {
        char const c = toml[at];
        if (c == '#') {
            at = std::min(toml.find('\n', at), toml.size());
        } else if (c == '"' || c == '\'') {
            bool const is_long = toml.substr(at, 3) == (c == '"' ? R"(""")" : "'''");
            at = is_long ? skip_long_string(toml, at + 3, c) : skip_line_string(toml, at + 1, c);
        } else if (static_cast<unsigned char>(c) >= 0x80) {
            return TomlTextFault{line_of(toml, at),
                                 "has a character that must stand in quotes: only ASCII can be without"};
        } else {
            ++at;
        }
    }
    return std::nullopt;
}

}  // namespace mallard::config
