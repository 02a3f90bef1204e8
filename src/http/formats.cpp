#include "http/formats.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>
#include "base/encoding.hpp"
#include "http/json.hpp"

namespace mallard::http::formats {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_high(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool is_blank_or_control(char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; }

bool all(std::string_view text, bool (*test)(char)) { return std::ranges::all_of(text, test); }

// Labels between dots: 1..63 letters, digits, hyphens inside, or beyond ASCII.
bool is_domain(std::string_view text, std::size_t labels_min) {
    if (text.empty() || text.size() > 253) return false;
    std::size_t labels = 0;
    while (true) {
        auto const dot = text.find('.');
        auto const label = text.substr(0, dot);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        if (!std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-' || is_high(c); })) return false;
        ++labels;
        if (dot == text.npos) break;
        text.remove_prefix(dot + 1);
    }
    return labels >= labels_min;
}

bool is_local_part(std::string_view text) {
    if (text.empty() || text.size() > 64 || text.front() == '.' || text.back() == '.') return false;
    if (text.find("..") != text.npos) return false;
    return std::ranges::all_of(text, [](char c) {
        return is_alnum(c) || is_high(c) || std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
    });
}

// [a-z0-9-]+ groups joined by a single one of . _ = :
bool is_name_groups(std::string_view text) {
    bool joined = true;  // a group must follow
    for (char const c : text) {
        if (is_digit(c) || (c >= 'a' && c <= 'z') || c == '-') {
            joined = false;
        } else if (std::string_view("._=:").find(c) != std::string_view::npos && !joined) {
            joined = true;
        } else {
            return false;
        }
    }
    return !joined;
}

bool is_uri_of(std::string_view text, std::initializer_list<std::string_view> schemes) {
    auto const colon = text.find("://");
    if (colon == text.npos || colon == 0) return false;
    auto const scheme = text.substr(0, colon);
    if (schemes.size() != 0 &&
        std::ranges::none_of(schemes, [&](std::string_view known) { return iequals(known, scheme); })) {
        return false;
    }
    if (!all(scheme, [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; })) return false;
    auto const rest = text.substr(colon + 3);
    auto host = rest.substr(0, rest.find_first_of("/?#"));
    if (auto const at = host.rfind('@'); at != host.npos) host.remove_prefix(at + 1);
    return !host.empty() && host.front() != ':' && std::ranges::none_of(rest, is_blank_or_control);
}

}  // namespace

bool is_hex(std::string_view text) {
    return all(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
}

bool is_email(std::string_view text) {
    auto const at = text.rfind('@');
    if (at == text.npos || text.size() > 254) return false;
    return is_local_part(text.substr(0, at)) && is_domain(text.substr(at + 1), 2);
}

bool is_username(std::string_view text) {
    auto const at = text.find('@');
    if (at == text.npos) return is_name_groups(text);
    return is_name_groups(text.substr(0, at)) && is_name_groups(text.substr(at + 1));
}

bool is_ip(std::string_view text) {
    std::string const address(text);
    unsigned char out[16];
    return inet_pton(AF_INET, address.c_str(), out) == 1 || inet_pton(AF_INET6, address.c_str(), out) == 1;
}

bool is_uri(std::string_view text) { return is_uri_of(text, {}); }
bool is_target_uri(std::string_view text) { return is_uri_of(text, {"smtp", "smtps", "http", "https"}); }
bool is_relay_uri(std::string_view text) { return is_uri_of(text, {"smtp", "smtps"}); }
bool is_base64(std::string_view text) { return base64_decode(text).has_value(); }

bool is_cursor(std::string_view text) {
    if (!all(text, [](char c) { return is_alnum(c) || c == '_' || c == '-'; })) return false;
    std::string standard(text);
    std::ranges::replace(standard, '-', '+');
    std::ranges::replace(standard, '_', '/');
    auto const decoded = base64_decode(standard);
    return decoded && parse_json(*decoded).has_value();
}

bool is_attachment_id(std::string_view text) {
    return text.size() > 3 && text.size() < 32 && iequals(text.substr(0, 3), "ATT") && all(text.substr(3), is_digit);
}

bool is_message_range(std::string_view text) {
    if (auto const colon = text.find(':'); colon != text.npos) {
        auto const first = text.substr(0, colon), last = text.substr(colon + 1);
        return !first.empty() && all(first, is_digit) && (last == "*" || (!last.empty() && all(last, is_digit)));
    }
    bool digit_before = false;
    for (char const c : text) {
        if (c == ',' && !digit_before) return false;
        if (c != ',' && !is_digit(c)) return false;
        digit_before = c != ',';
    }
    return digit_before;
}

bool is_wildcard_address(std::string_view text) {
    auto const at = text.find('@');
    if (at == text.npos || text.find('@', at + 1) != text.npos) return false;
    if (std::ranges::any_of(text, is_blank_or_control)) return false;
    auto const local = text.substr(0, at), domain = text.substr(at + 1);
    return (local.find('*') != local.npos && !domain.empty()) || (!local.empty() && domain == "*");
}

bool has_no_empty_level(std::string_view path) { return path.find("//") == path.npos && !path.ends_with('/'); }
bool is_pgp_key(std::string_view text) { return text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"); }
bool is_certificate(std::string_view text) { return text.starts_with("-----BEGIN CERTIFICATE-----"); }

std::optional<double> to_number(std::string_view text) {
    text = trim(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || !(is_digit(text.front()) || text.front() == '-' || text.front() == '.')) return std::nullopt;
    double value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::size_t utf16_length(std::string_view utf8) {
    std::size_t units = 0;
    for (char const c : utf8) {
        auto const byte = static_cast<unsigned char>(c);
        if ((byte & 0xC0) != 0x80) units += byte >= 0xF0 ? 2 : 1;
    }
    return units;
}

}  // namespace mallard::http::formats
