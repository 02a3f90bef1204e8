#include "mime/text_parts.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mime/charset.hpp"

namespace mallard::mime {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> shown{
    {{"text", "plain"}, {"text", "html"}, {"text", "rfc822-headers"}, {"message", "delivery-status"}}};

bool is_inline_text(Entity const& part) {
    if (!part.disposition.empty() && part.disposition != "inline") return false;
    return std::ranges::any_of(shown, [&](auto const& s) { return part.type == s.first && part.subtype == s.second; });
}

bool walk(Entity const& part, bool root, bool alternative, bool related,
          std::function<bool(Visit const&)> const& visit) {
    if (part.is_multipart) {
        alternative = alternative || part.subtype == "alternative";
        related = related || part.subtype == "related";
        return std::ranges::all_of(
            part.children, [&](Entity const& child) { return walk(child, false, alternative, related, visit); });
    }
    if (part.end > part.body_begin && !visit({part, is_inline_text(part), alternative, related})) return false;
    if (!part.is_message) return true;
    // Of an embedded message that is no multipart WildDuck shows nothing by itself (storage.md §9.3).
    Entity const& embedded = part.children.front();
    return !(embedded.is_multipart || root) || walk(embedded, false, alternative, related, visit);
}

// RFC 3676 §4.4: the quote depth; moves behind the quote marks and one stuffed space.
std::size_t take_quotes(std::string_view& line) {
    std::size_t depth = 0;
    while (depth < line.size() && line[depth] == '>') ++depth;
    line.remove_prefix(depth);
    if (line.starts_with(' ')) line.remove_prefix(1);
    return depth;
}

std::string unflow(std::string_view text, bool delete_space) {
    std::string out;
    out.reserve(text.size());
    bool flowed = false;  // the line before continues
    std::size_t depth_before = 0;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        at = end + 1;
        std::size_t const depth = take_quotes(line);
        bool const signature = line == "-- ";  // RFC 3676 §4.3
        if (!out.empty() && !(flowed && depth == depth_before && !signature)) out.push_back('\n');
        if (out.empty() || out.back() == '\n') {
            out.append(depth, '>');
            if (depth > 0) out.push_back(' ');
        }
        flowed = line.ends_with(' ') && !signature;
        if (flowed && delete_space) line.remove_suffix(1);
        out += line;
        depth_before = depth;
    }
    return out;
}

std::string with_line_feeds(std::string text) {
    if (text.find('\r') == std::string::npos) return text;
    std::size_t write = 0;
    for (std::size_t read = 0; read < text.size(); ++read) {
        if (text[read] == '\r' && read + 1 < text.size() && text[read + 1] == '\n') continue;
        text[write++] = text[read] == '\r' ? '\n' : text[read];
    }
    text.resize(write);
    return text;
}

}  // namespace

void visit_leaves(Entity const& message, std::function<bool(Visit const&)> const& visit) {
    walk(message, true, false, false, visit);
}

bool is_html(Entity const& part) { return part.subtype == "html" && part.type == "text"; }

std::string decode_text(Entity const& part, std::string_view source, std::size_t encoded_max) {
    std::string_view const content = part.content(source).substr(0, encoded_max);
    std::string const* const charset = part.parameter("charset");
    std::string const charset_name = charset ? *charset : std::string();
    bool const identity = part.encoding != "base64" && part.encoding != "quoted-printable";
    std::string text = with_line_feeds(
        to_utf8(identity ? std::string_view(content) : decode_transfer(content, part.encoding), charset_name));
    std::string const* const format = part.parameter("format");
    if (!format || !iequals(*format, "flowed")) return text;
    std::string const* const delete_space = part.parameter("delsp");
    return unflow(text, delete_space && iequals(*delete_space, "yes"));
}

}  // namespace mallard::mime
