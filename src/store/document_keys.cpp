#include "store/document_keys.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace mallard::store {

namespace {

// The order of types is MongoDB's; never renumber, these bytes lie on disk.
enum TypeByte : unsigned char {
    type_empty_array = 0x04,
    type_null = 0x08,
    type_number = 0x10,
    type_text = 0x20,
    type_document = 0x30,
    type_array = 0x38,
    type_binary = 0x40,
    type_id = 0x50,
    type_bool = 0x58,
    type_date = 0x60,
};

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

// Zero bytes are escaped so that the end, two zero bytes, sorts before everything.
void append_escaped(std::string& out, std::string_view bytes) {
    for (char c : bytes) {
        out.push_back(c);
        if (c == '\0') out.push_back('\xff');
    }
    out.append(2, '\0');
}

// A double, then what an int64 has beyond it: 64-bit integers stay distinct and 1 equals 1.0.
void append_number(std::string& out, double value, std::int64_t beyond) {
    if (value == 0) value = 0;  // -0
    auto bits = std::bit_cast<std::uint64_t>(value);
    if (std::isnan(value))
        bits = 0;
    else
        bits = bits >> 63 ? ~bits : bits | 1ULL << 63;
    append_big_endian(out, bits, 8);
    append_big_endian(out, static_cast<std::uint64_t>(beyond + 0x8000), 2);
}

TypeByte type_of(bson::Value const& value) {
    struct Type {
        TypeByte operator()(bson::Null) const { return type_null; }
        TypeByte operator()(bool) const { return type_bool; }
        TypeByte operator()(std::int32_t) const { return type_number; }
        TypeByte operator()(std::int64_t) const { return type_number; }
        TypeByte operator()(double) const { return type_number; }
        TypeByte operator()(std::string const&) const { return type_text; }
        TypeByte operator()(ObjectId const&) const { return type_id; }
        TypeByte operator()(bson::Date) const { return type_date; }
        TypeByte operator()(bson::Binary const&) const { return type_binary; }
        TypeByte operator()(bson::Array const& array) const { return array.empty() ? type_empty_array : type_array; }
        TypeByte operator()(bson::Document const&) const { return type_document; }
    };
    return std::visit(Type{}, value.variant());
}

struct Append {
    std::string& out;
    void operator()(bson::Null) const {}
    void operator()(bool v) const { out.push_back(v ? 1 : 0); }
    void operator()(std::int32_t v) const { append_number(out, v, 0); }
    void operator()(std::int64_t v) const {
        auto const rounded = static_cast<double>(v);
        append_number(out, rounded,
                      static_cast<std::int64_t>(static_cast<__int128>(v) - static_cast<__int128>(rounded)));
    }
    void operator()(double v) const { append_number(out, v, 0); }
    void operator()(std::string const& v) const { append_escaped(out, v); }
    void operator()(ObjectId const& v) const { out.append(v.view()); }
    void operator()(bson::Date v) const { append_big_endian(out, static_cast<std::uint64_t>(v.ms) ^ 1ULL << 63, 8); }
    void operator()(bson::Binary const& v) const {
        append_big_endian(out, v.bytes.size(), 4);
        out.push_back(static_cast<char>(v.subtype));
        out.append(v.bytes);
    }
    void operator()(bson::Array const& v) const {
        if (!v.empty()) append_escaped(out, bson::Document{{"", v}}.encode());
    }
    void operator()(bson::Document const& v) const { append_escaped(out, v.encode()); }
};

// The values at a dotted path; an array on the way stands for each of its elements.
void collect(bson::Value const& value, std::string_view path, std::vector<bson::Value>& found) {
    if (auto const* array = value.as<bson::Array>()) {
        if (array->empty() && path.empty()) found.emplace_back(bson::Array{});
        for (auto const& element : *array) {
            if (path.empty())
                found.push_back(element);
            else if (element.as<bson::Document>() != nullptr)
                collect(element, path, found);
        }
        return;
    }
    if (path.empty()) {
        found.push_back(value);
        return;
    }
    auto const* document = value.as<bson::Document>();
    if (document == nullptr) return;
    auto const dot = path.find('.');
    if (auto const* child = document->find(path.substr(0, dot)))
        collect(*child, dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1), found);
}

// The first key after all that begin with `prefix`; empty: there is none.
std::string after_all_with_prefix(std::string prefix) {
    while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
    if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
    return prefix;
}

}  // namespace

void append_key(std::string& out, bson::Value const& value) {
    out.push_back(static_cast<char>(type_of(value)));
    std::visit(Append{out}, value.variant());
}

std::string key_of(bson::Value const& value) {
    std::string key;
    append_key(key, value);
    return key;
}

std::pair<std::string, std::string> type_bounds(bson::Value const& value) {
    auto const type = type_of(value);
    return {std::string(1, static_cast<char>(type)), std::string(1, static_cast<char>(type + 1))};
}

std::vector<std::string> index_keys(IndexSpec const& index, bson::Document const& document) {
    std::vector<std::string> keys = {""};
    bool all_null = true;
    bson::Value const root(document);
    for (auto field : index.fields) {
        std::vector<bson::Value> values;
        collect(root, field, values);
        if (values.empty()) values.emplace_back(bson::Null{});
        all_null = all_null && std::ranges::all_of(values, &bson::Value::is_null);
        std::vector<std::string> longer;
        longer.reserve(keys.size() * values.size());
        for (auto const& key : keys)
            for (auto const& value : values) {
                longer.push_back(key);
                append_key(longer.back(), value);
            }
        keys = std::move(longer);
    }
    if (index.sparse && all_null) return {};
    std::ranges::sort(keys);
    auto const [first, last] = std::ranges::unique(keys);
    keys.erase(first, last);
    return keys;
}

std::vector<bson::Value> values_at(bson::Document const& document, std::string_view path) {
    std::vector<bson::Value> values;
    collect(bson::Value(document), path, values);
    return values;
}

std::vector<bson::Value> values_of_key(IndexSpec const& index, bson::Document const& document, std::string_view key) {
    std::vector<bson::Value> out;
    for (auto field : index.fields) {
        bson::Value chosen;
        std::size_t size = key_of(chosen).size();
        for (auto& value : values_at(document, field)) {
            auto const part = key_of(value);  // ends itself: no other value's begins so
            if (!key.starts_with(part)) continue;
            chosen = std::move(value);
            size = part.size();
            break;
        }
        out.push_back(std::move(chosen));
        key.remove_prefix(std::min(size, key.size()));
    }
    return out;
}

KeySpan key_span_of(Query const& query) {
    std::string equal;
    bool const by_id = query.index.empty();
    auto const encode = [&](std::string& out, bson::Value const& value) {
        auto const* id = value.as<ObjectId>();
        if (by_id && id != nullptr)
            out.append(id->view());
        else
            append_key(out, value);
    };
    for (auto const& value : query.equals) encode(equal, value);
    KeySpan span{equal, after_all_with_prefix(equal)};
    if (query.from) {
        span.first = equal;
        encode(span.first, *query.from);
        if (!by_id) span.last = equal + type_bounds(*query.from).second;
    }
    if (query.to) {
        span.last = equal;
        encode(span.last, *query.to);
        if (!by_id && !query.from) span.first = equal + type_bounds(*query.to).first;
    }
    return span;
}

}  // namespace mallard::store
