#include "smtp_proto/path.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::smtp {

namespace {

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_high(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// RFC 5322 §3.2.3, with RFC 6531 §3.3's UTF8-non-ascii.
bool is_atext(char c) {
    return is_alnum(c) || is_high(c) || (c != 0 && std::string_view("!#$%&'*+-/=?^_`{|}~").contains(c));
}

bool is_dot_string(std::string_view text) {
    if (text.empty() || text.front() == '.' || text.back() == '.' || text.contains("..")) return false;
    return std::ranges::all_of(text, [](char c) { return c == '.' || is_atext(c); });
}

bool is_domain(std::string_view text) {
    if (text.empty() || text.size() > domain_bytes_max) return false;
    for (std::size_t begin = 0; begin <= text.size();) {
        std::size_t const end = std::min(text.find('.', begin), text.size());
        std::string_view const label = text.substr(begin, end - begin);
        // Deviation: RFC 5321 §4.1.2 knows no underscore; host names in use do.
        auto inside = [](char c) { return is_alnum(c) || is_high(c) || c == '-' || c == '_'; };
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        if (!std::ranges::all_of(label, inside)) return false;
        begin = end + 1;
    }
    return true;
}

// address-literal (RFC 5321 §4.1.3): "[" then printable characters without brackets and backslash.
bool is_literal(std::string_view text) {
    if (text.size() < 3 || text.size() > domain_bytes_max || text.front() != '[' || text.back() != ']') return false;
    return std::ranges::all_of(text.substr(1, text.size() - 2),
                               [](char c) { return c > ' ' && c < 0x7F && c != '[' && c != '\\' && c != ']'; });
}

// Quoted-string: `text` stands behind the opening quote; what is behind the closing one is left.
std::optional<std::string> take_quoted(std::string_view& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '"') {
            text.remove_prefix(i + 1);
            return out;
        }
        if (c == '\\') {
            if (++i == text.size()) return std::nullopt;
            c = text[i];
            if (is_high(c)) return std::nullopt;  // quoted-pairSMTP is ASCII
        }
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) return std::nullopt;
        out += c;
    }
    return std::nullopt;
}

// The Mailbox of a path, up to '>'.
std::optional<Path> take_mailbox(std::string_view& text, PathKind kind) {
    Path path;
    if (text.starts_with('"')) {
        text.remove_prefix(1);
        auto local = take_quoted(text);
        if (!local || local->empty()) return std::nullopt;
        path.local = std::move(*local);
    } else {
        std::size_t const end = std::min(text.find_first_of("@>"), text.size());
        if (!is_dot_string(text.substr(0, end))) return std::nullopt;
        path.local = text.substr(0, end);
        text.remove_prefix(end);
    }
    if (path.local.size() > local_part_bytes_max) return std::nullopt;
    if (text.starts_with('>')) {  // RFC 5321 §4.5.1: <Postmaster> needs no domain
        if (kind == PathKind::forward && iequals(path.local, "postmaster")) return path;
        return std::nullopt;
    }
    if (!text.starts_with('@')) return std::nullopt;
    text.remove_prefix(1);
    std::size_t const end = std::min(text.find('>'), text.size());
    path.domain = text.substr(0, end);
    if (!is_domain(path.domain) && !is_literal(path.domain)) return std::nullopt;
    text.remove_prefix(end);
    return path;
}

// A-d-l: "@a,@b:" in front of the mailbox.
bool skip_route(std::string_view& text) {
    if (!text.starts_with('@')) return true;
    std::size_t const colon = text.find(':');
    if (colon == text.npos) return false;
    std::string_view route = text.substr(0, colon);
    text.remove_prefix(colon + 1);
    while (!route.empty()) {
        if (!route.starts_with('@')) return false;
        std::size_t const comma = std::min(route.find(','), route.size());
        if (!is_domain(route.substr(1, comma - 1))) return false;
        if (comma + 1 == route.size()) return false;  // a comma at the end
        route.remove_prefix(std::min(comma + 1, route.size()));
    }
    return true;
}

}  // namespace

bool Path::is_ascii() const { return std::ranges::none_of(local, is_high) && std::ranges::none_of(domain, is_high); }

std::string Path::address() const {
    if (is_null()) return {};
    std::string out;
    if (is_dot_string(local)) {
        out = local;
    } else {
        out = '"';
        for (char c : local) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
    }
    if (!domain.empty()) out += '@' + domain;
    return out;
}

std::optional<Path> take_path(std::string_view& text, PathKind kind) {
    std::string_view rest = text;
    if (!rest.starts_with('<')) return std::nullopt;
    rest.remove_prefix(1);
    std::optional<Path> path;
    if (kind == PathKind::reverse && rest.starts_with('>'))
        path.emplace();
    else if (skip_route(rest))
        path = take_mailbox(rest, kind);
    if (!path || !rest.starts_with('>')) return std::nullopt;
    rest.remove_prefix(1);
    if (!is_valid_utf8(text.substr(0, text.size() - rest.size()))) return std::nullopt;
    text = rest;
    return path;
}

}  // namespace mallard::smtp
