#include "http/query.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/encoding.hpp"

namespace mallard::http {
namespace {

constexpr std::size_t parameters_max = 1000, depth_max = 5, index_max = 20;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Replaces what is no UTF-8, by way of the printer, which knows how.
std::string valid_utf8(std::string text) {
    if (is_valid_utf8(text)) return text;
    auto const printed = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    return Json::parse(printed).get<std::string>();
}

// "a[b][]" -> a, b, "" ; with dots "a.b" -> a, b. Brackets that do not pair stay in the key.
std::vector<std::string> split_key(std::string_view key, bool dots_nest) {
    std::vector<std::string> parts;
    auto const first = key.find_first_of(dots_nest ? "[." : "[");
    parts.emplace_back(key.substr(0, first));
    if (first == key.npos) return parts;
    if (first == 0 && key.front() == '.') return {std::string(key)};
    std::string_view rest = key.substr(first);
    while (!rest.empty() && parts.size() <= depth_max) {
        if (rest.front() == '[') {
            auto const end = rest.find(']');
            if (end == rest.npos) break;
            parts.emplace_back(rest.substr(1, end - 1));
            rest.remove_prefix(end + 1);
        } else if (dots_nest && rest.front() == '.' && rest.size() > 1 && rest[1] != '.' && rest[1] != '[') {
            auto const end = std::min(rest.find_first_of("[.", 1), rest.size());
            parts.emplace_back(rest.substr(1, end - 1));
            rest.remove_prefix(end);
        } else {
            break;
        }
    }
    if (!rest.empty()) {
        if (parts.size() == 1) return {std::string(key)};
        parts.emplace_back(rest);
    }
    if (parts.front().empty() && parts.size() > 1) parts.erase(parts.begin());
    return parts;
}

std::optional<std::size_t> as_index(std::string const& part) {
    std::size_t index = 0;
    auto const [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (part.empty() || error != std::errc{} || end != part.data() + part.size()) return std::nullopt;
    return index;
}

// An array that gets a name becomes an object with its indexes as names.
void make_object(Json& node) {
    Json object = Json::object();
    if (node.is_array()) {
        for (std::size_t i = 0; i < node.size(); ++i) object[std::to_string(i)] = std::move(node[i]);
    } else if (!node.is_null()) {
        object["0"] = std::move(node);
    }
    node = std::move(object);
}

void put(Json& node, std::vector<std::string> const& parts, std::size_t at, std::string value) {
    if (at == parts.size()) {
        if (node.is_null()) {
            node = std::move(value);
        } else if (node.is_array()) {
            node.push_back(std::move(value));
        } else if (node.is_object()) {
            node[value] = true;
        } else {
            node = Json::array({std::move(node), std::move(value)});
        }
        return;
    }
    auto const& part = parts[at];
    auto const index = as_index(part);
    bool const wants_array = part.empty() || (index && *index <= index_max && !node.is_object());
    if (!wants_array) {
        if (!node.is_object()) make_object(node);
        return put(node[part], parts, at + 1, std::move(value));
    }
    if (node.is_object())
        return put(node[part.empty() ? std::to_string(node.size()) : part], parts, at + 1, std::move(value));
    if (!node.is_array()) node = node.is_null() ? Json::array() : Json::array({std::move(node)});
    // Holes are closed: index 3 of an empty array becomes its first element.
    if (part.empty() || *index >= node.size()) node.push_back(nullptr);
    put(part.empty() || *index >= node.size() ? node.back() : node[*index], parts, at + 1, std::move(value));
}

}  // namespace

std::string percent_decode(std::string_view text, bool plus_is_blank) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
        }
    }
    return valid_utf8(std::move(out));
}

Json parse_query(std::string_view query, bool dots_nest) {
    Json values = Json::object();
    for (std::size_t n = 0; n < parameters_max && !query.empty(); ++n) {
        auto const amp = query.find('&');
        auto const pair = query.substr(0, amp);
        query.remove_prefix(amp == query.npos ? query.size() : amp + 1);
        if (pair.empty()) continue;
        auto const equals = pair.find('=');
        auto const key = percent_decode(pair.substr(0, equals), true);
        if (key.empty()) continue;
        auto const value = equals == pair.npos ? std::string() : percent_decode(pair.substr(equals + 1), true);
        auto const parts = split_key(key, dots_nest);
        put(values[parts.front()], parts, 1, value);
    }
    return values;
}

}  // namespace mallard::http
