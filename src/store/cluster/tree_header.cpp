// parsedHeader (storage.md §9.5).
#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "store/cluster/mime_tree.hpp"

namespace mallard::store::cluster {

namespace {

constexpr std::array<std::string_view, 8> single_fields{
    "in-reply-to",      "message-id",  "content-transfer-encoding", "content-id", "content-description",
    "content-language", "content-md5", "content-location"};
constexpr std::array<std::string_view, 6> address_fields{"from", "sender", "reply-to", "to", "cc", "bcc"};

bool is_key(std::string_view key) {
    return key.size() < 100 &&
           std::ranges::all_of(
               key, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '*'; });
}

std::string strip_quotes(std::string_view text, std::string_view quotes) {
    auto const first = text.find_first_not_of(quotes);
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(quotes) - first + 1));
}

// RFC 2231 §3: "name*0*=" and its continuations, in order, become one encoded word under `name`.
struct Continued {
    std::string name, charset, value;
    bool encoded = false;
};

std::string percent_to_equals(std::string value) {
    std::ranges::replace(value, '%', '=');
    return value;
}

void add_continuation(std::vector<Continued>& all, std::string_view key, std::string value) {
    std::string_view const name = key.substr(0, key.find('*'));
    bool const encoded = key.ends_with('*');
    auto found = std::ranges::find(all, name, &Continued::name);
    bool const first = found == all.end();
    if (first) found = all.insert(all.end(), Continued{.name = std::string(name)});
    if (encoded && first) {
        auto const quote = value.find('\'');
        auto const second = quote == std::string::npos ? quote : value.find('\'', quote + 1);
        if (second != std::string::npos) {
            found->charset = quote == 0 ? "ISO-8859-1" : value.substr(0, quote);
            value.erase(0, second + 1);
        }
    }
    found->encoded = found->encoded || encoded;
    found->value += encoded ? percent_to_equals(std::move(value)) : std::move(value);
}

bson::Document parse_parameters(std::string_view text) {
    std::string value, type, subtype;
    bson::Document params;
    bool has_params = false;
    std::vector<Continued> continued;
    bool first = true;
    for (std::size_t at = 0; at <= text.size();) {
        std::size_t const end = std::min(text.find(';', at), text.size());
        std::string_view const part = text.substr(at, end - at);
        at = end + 1;
        if (first) {
            first = false;
            value = trim(part);
            auto const slash = value.find('/');
            type = to_lower(trim(std::string_view(value).substr(0, slash)));
            if (slash != std::string::npos) subtype = trim(std::string_view(value).substr(slash + 1));
            continue;
        }
        auto const equals = part.find('=');
        std::string key = to_lower(trim(part.substr(0, equals)));
        std::erase(key, '\0');  // a key of BSON ends there
        // Not every version of MongoDB takes such keys; a letter must not be refused for them.
        if (key.starts_with('$') || key.contains('.')) continue;
        has_params = true;
        // In RFC 2231's forms the single quote is no quote.
        std::string_view const quotes = key.contains('*') ? " \t\"" : " \t\"'";
        std::string content =
            equals == std::string_view::npos ? std::string() : strip_quotes(part.substr(equals + 1), quotes);
        if (key.contains('*'))
            add_continuation(continued, key, std::move(content));
        else
            params.set(key, std::move(content));
    }
    for (auto const& one : continued) {
        std::string const charset = one.charset.empty() ? "UTF-8" : to_upper(one.charset);
        params.set(one.name, one.encoded ? "=?" + charset + "?Q?" + one.value + "?=" : one.value);
    }
    bson::Document out{{"value", std::move(value)},
                       {"type", std::move(type)},
                       {"subtype", std::move(subtype)},
                       {"params", std::move(params)}};
    if (has_params) out.set("hasParams", true);
    return out;
}

// Names stay as they are written: encoded words are hidden from the parser behind a control character.
constexpr char hidden = '\x01';

std::string hide_words(std::string const& value) {
    std::string out;
    out.reserve(value.size());
    for (char c : value) {
        if (c == hidden) continue;
        if (c == '?' && out.ends_with('=')) out.push_back(hidden);
        out.push_back(c);
    }
    return out;
}

std::string show_words(std::string text) {
    std::erase(text, hidden);
    return text;
}

bson::Value address_value(mime::Address const& address) {
    if (!address.is_group)
        return bson::Document{{"address", show_words(address.address())}, {"name", show_words(address.name)}};
    bson::Array members;
    for (auto const& member : address.group) members.push_back(address_value(member));
    return bson::Document{{"name", show_words(address.name)}, {"group", std::move(members)}};
}

struct Values {
    std::string key;
    std::vector<std::string> values;  // in the order of the message
};

bson::Value value_of(Values const& field) {
    if (std::ranges::find(address_fields, field.key) != address_fields.end()) {
        bson::Array list;
        for (auto const& value : field.values)
            for (auto const& address : mime::parse_addresses(hide_words(collapse_folding(value))))
                list.push_back(address_value(address));
        return list;
    }
    std::string last = collapse_folding(field.values.back());
    bool const structured = field.key == "content-type" || field.key == "content-disposition";
    if (structured && !last.empty()) return parse_parameters(last);
    if (field.values.size() == 1 || std::ranges::find(single_fields, field.key) != single_fields.end()) return last;
    bson::Array list;
    for (std::size_t i = 0; i + 1 < field.values.size(); ++i) list.emplace_back(field.values[i]);
    list.emplace_back(std::move(last));
    return list;
}

}  // namespace

std::string collapse_folding(std::string_view value) {
    std::string out;
    for (std::size_t at = 0; at < value.size();) {
        std::size_t const end = std::min(value.find_first_of("\r\n", at), value.size());
        out.append(value, at, end - at);
        if (end == value.size()) break;
        while (!out.empty() && (out.back() == ' ' || out.back() == '\t')) out.pop_back();
        at = std::min(value.find_first_not_of(" \t\r\n", end), value.size());
        out.push_back(' ');
    }
    return out;
}

bson::Document parse_tree_header(std::vector<std::string> const& header) {
    constexpr std::size_t keys_max = 1'000;  // distinct ones; a header of more is nobody's letter
    std::vector<Values> found;
    std::unordered_map<std::string, std::size_t> by_key;
    for (auto line = header.rbegin(); line != header.rend(); ++line) {
        auto const colon = line->find(':');
        std::string key = to_lower(trim(std::string_view(*line).substr(0, colon)));
        if (!is_key(key)) continue;
        auto const known = by_key.find(key);
        if (known == by_key.end() && found.size() == keys_max) continue;
        std::string value = colon == std::string::npos
                                ? std::string()
                                : mime::to_valid_utf8(trim(std::string_view(*line).substr(colon + 1)));
        if (known == by_key.end()) {
            by_key.emplace(key, found.size());
            found.push_back({.key = std::move(key), .values = {std::move(value)}});
        } else {
            found[known->second].values.push_back(std::move(value));
        }
    }
    bson::Document parsed;
    for (auto& field : found) {
        std::ranges::reverse(field.values);  // they were met from the last
        bson::Value value = value_of(field);
        auto const* list = value.as<bson::Array>();
        if (list && list->empty() && !field.values.back().empty()) continue;
        if (list && list->empty()) value = "";
        if (field.key == "content-type" && !value.as<bson::Document>()) continue;  // an empty one says nothing
        parsed.set(field.key, std::move(value));
    }
    if (!parsed.find("content-type")) parsed.set("content-type", parse_parameters("text/plain"));
    return parsed;
}

}  // namespace mallard::store::cluster
