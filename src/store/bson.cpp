#include "store/bson.hpp"

#include <bson/bson.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace mallard::bson {

namespace {

constexpr int depth_max = 100;  // MongoDB's own bound on nesting

}  // namespace

Document::Document() = default;
Document::Document(std::initializer_list<Field> fields) : fields_(fields) {}
Document::Document(std::vector<Field> fields) : fields_(std::move(fields)) {}
Document::Document(Document const&) = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document const&) = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;
bool Document::operator==(Document const& other) const { return fields_ == other.fields_; }
bool Document::empty() const { return fields_.empty(); }

Value const* Document::find(std::string_view key) const {
    auto const field = std::ranges::find(fields_, key, &Field::key);
    return field == fields_.end() ? nullptr : &field->value;
}

Value const* Document::find_path(std::string_view dotted) const {
    Document const* document = this;
    for (;;) {
        auto const dot = dotted.find('.');
        Value const* value = document->find(dotted.substr(0, dot));
        if (dot == std::string_view::npos || value == nullptr) return value;
        document = value->as<Document>();
        if (document == nullptr) return nullptr;
        dotted.remove_prefix(dot + 1);
    }
}

void Document::set(std::string_view key, Value value) {
    auto const field = std::ranges::find(fields_, key, &Field::key);
    if (field == fields_.end())
        fields_.push_back({std::string(key), std::move(value)});
    else
        field->value = std::move(value);
}

void Document::set_path(std::string_view dotted, Value value) {
    auto const dot = dotted.find('.');
    if (dot == std::string_view::npos) return set(dotted, std::move(value));
    std::string_view const key = dotted.substr(0, dot);
    auto field = std::ranges::find(fields_, key, &Field::key);
    if (field == fields_.end() || field->value.as<Document>() == nullptr) {
        set(key, Document());
        field = std::ranges::find(fields_, key, &Field::key);
    }
    field->value.as<Document>()->set_path(dotted.substr(dot + 1), std::move(value));
}

bool Document::erase(std::string_view key) {
    return std::erase_if(fields_, [&](Field const& field) { return field.key == key; }) > 0;
}

bool Document::erase_path(std::string_view dotted) {
    auto const dot = dotted.find('.');
    if (dot == std::string_view::npos) return erase(dotted);
    auto const field = std::ranges::find(fields_, dotted.substr(0, dot), &Field::key);
    if (field == fields_.end()) return false;
    auto* document = field->value.as<Document>();
    return document != nullptr && document->erase_path(dotted.substr(dot + 1));
}

std::string_view Document::text(std::string_view key, std::string_view fallback) const {
    auto const* value = find(key);
    auto const* text = value == nullptr ? nullptr : value->as<std::string>();
    return text == nullptr ? fallback : std::string_view(*text);
}

std::int64_t Document::integer(std::string_view key, std::int64_t fallback) const {
    auto const* value = find(key);
    return value == nullptr ? fallback : value->as_int64().value_or(fallback);
}

bool Document::boolean(std::string_view key, bool fallback) const {
    auto const* value = find(key);
    return value == nullptr || value->is_null() ? fallback : value->truthy();
}

std::optional<ObjectId> Document::id(std::string_view key) const {
    auto const* value = find(key);
    auto const* id = value == nullptr ? nullptr : value->as<ObjectId>();
    return id == nullptr ? std::nullopt : std::optional(*id);
}

std::optional<std::int64_t> Document::date(std::string_view key) const {
    auto const* value = find(key);
    auto const* date = value == nullptr ? nullptr : value->as<Date>();
    return date == nullptr ? std::nullopt : std::optional(date->ms);
}

Array const* Document::array(std::string_view key) const {
    auto const* value = find(key);
    return value == nullptr ? nullptr : value->as<Array>();
}

Document const* Document::document(std::string_view key) const {
    auto const* value = find(key);
    return value == nullptr ? nullptr : value->as<Document>();
}

std::optional<std::int64_t> Value::as_int64() const {
    if (auto const* v = as<std::int32_t>()) return *v;
    if (auto const* v = as<std::int64_t>()) return *v;
    if (auto const* v = as<Date>()) return v->ms;
    if (auto const* v = as<double>()) {
        // 2^63 itself is not an int64; NaN fails both comparisons.
        if (!(*v >= -9223372036854775808.0 && *v < 9223372036854775808.0) || *v != std::trunc(*v)) return std::nullopt;
        return static_cast<std::int64_t>(*v);
    }
    return std::nullopt;
}

std::optional<double> Value::as_double() const {
    if (auto const* v = as<std::int32_t>()) return *v;
    if (auto const* v = as<std::int64_t>()) return static_cast<double>(*v);
    if (auto const* v = as<double>()) return *v;
    return std::nullopt;
}

bool Value::truthy() const {
    if (is_null()) return false;
    if (auto const* v = as<bool>()) return *v;
    if (auto const* v = as<std::string>()) return !v->empty();
    if (auto const v = as_double()) return *v != 0 && !std::isnan(*v);
    return true;
}

Value number(std::int64_t v) {
    if (v >= std::numeric_limits<std::int32_t>::min() && v <= std::numeric_limits<std::int32_t>::max())
        return static_cast<std::int32_t>(v);
    return static_cast<double>(v);
}

// Encoding ---------------------------------------------------------------------------------------------------------

namespace {

void append(bson_t* out, std::string_view key, Value const& value);

struct Append {
    bson_t* out;
    std::string_view key;
    int size() const { return static_cast<int>(key.size()); }

    void operator()(Null) const { bson_append_null(out, key.data(), size()); }
    void operator()(bool v) const { bson_append_bool(out, key.data(), size(), v); }
    void operator()(std::int32_t v) const { bson_append_int32(out, key.data(), size(), v); }
    void operator()(std::int64_t v) const { bson_append_int64(out, key.data(), size(), v); }
    void operator()(double v) const { bson_append_double(out, key.data(), size(), v); }
    void operator()(std::string const& v) const {
        bson_append_utf8(out, key.data(), size(), v.data(), static_cast<int>(v.size()));
    }
    void operator()(ObjectId const& v) const {
        bson_oid_t oid;
        bson_oid_init_from_data(&oid, v.bytes.data());
        bson_append_oid(out, key.data(), size(), &oid);
    }
    void operator()(Date v) const { bson_append_date_time(out, key.data(), size(), v.ms); }
    void operator()(Binary const& v) const {
        bson_append_binary(out, key.data(), size(), static_cast<bson_subtype_t>(v.subtype),
                           reinterpret_cast<std::uint8_t const*>(v.bytes.data()),
                           static_cast<std::uint32_t>(v.bytes.size()));
    }
    void operator()(Array const& v) const {
        bson_t child;
        bson_append_array_begin(out, key.data(), size(), &child);
        for (std::size_t i = 0; i < v.size(); ++i) append(&child, std::to_string(i), v[i]);
        bson_append_array_end(out, &child);
    }
    void operator()(Document const& v) const {
        bson_t child;
        bson_append_document_begin(out, key.data(), size(), &child);
        for (auto const& field : v.fields()) append(&child, field.key, field.value);
        bson_append_document_end(out, &child);
    }
};

void append(bson_t* out, std::string_view key, Value const& value) {
    // libbson takes no null pointer for an empty key.
    std::visit(Append{out, key.data() == nullptr ? std::string_view("") : key}, value.variant());
}

Result<Value> read_value(bson_iter_t* at, int depth);

Result<Document> read_fields(bson_iter_t* at, int depth) {
    std::vector<Field> fields;
    if (depth > depth_max) return fail(ErrorKind::corrupt, "Stored data is damaged", "BSON nested too deeply");
    while (bson_iter_next(at)) {
        std::string_view const key(bson_iter_key(at), bson_iter_key_len(at));
        MALLARD_TRY_ASSIGN(auto value, read_value(at, depth));
        fields.push_back({std::string(key), std::move(value)});
    }
    if (at->err_off != 0) return fail(ErrorKind::corrupt, "Stored data is damaged", "BSON field cannot be read");
    return Document(std::move(fields));
}

Result<Value> read_value(bson_iter_t* at, int depth) {
    switch (bson_iter_type(at)) {
        case BSON_TYPE_DOUBLE: return Value(bson_iter_double(at));
        case BSON_TYPE_UTF8: {
            std::uint32_t size = 0;
            char const* text = bson_iter_utf8(at, &size);
            return Value(std::string(text, size));
        }
        case BSON_TYPE_DOCUMENT: {
            bson_iter_t child;
            if (!bson_iter_recurse(at, &child)) break;
            MALLARD_TRY_ASSIGN(auto document, read_fields(&child, depth + 1));
            return Value(std::move(document));
        }
        case BSON_TYPE_ARRAY: {
            bson_iter_t child;
            if (depth >= depth_max || !bson_iter_recurse(at, &child)) break;
            Array array;
            while (bson_iter_next(&child)) {
                MALLARD_TRY_ASSIGN(auto value, read_value(&child, depth + 1));
                array.push_back(std::move(value));
            }
            if (child.err_off != 0) break;
            return Value(std::move(array));
        }
        case BSON_TYPE_BINARY: {
            bson_subtype_t subtype;
            std::uint32_t size = 0;
            std::uint8_t const* bytes = nullptr;
            bson_iter_binary(at, &subtype, &size, &bytes);
            return Value(
                Binary{std::string(reinterpret_cast<char const*>(bytes), size), static_cast<std::uint8_t>(subtype)});
        }
        case BSON_TYPE_OID:
            return Value(ObjectId::from_bytes({reinterpret_cast<char const*>(bson_iter_oid(at)->bytes), 12}));
        case BSON_TYPE_BOOL: return Value(bson_iter_bool(at));
        case BSON_TYPE_DATE_TIME: return Value(Date{bson_iter_date_time(at)});
        case BSON_TYPE_INT32: return Value(bson_iter_int32(at));
        case BSON_TYPE_INT64: return Value(static_cast<std::int64_t>(bson_iter_int64(at)));
        case BSON_TYPE_NULL:
        case BSON_TYPE_UNDEFINED: return Value(Null{});
        default: break;
    }
    return fail(ErrorKind::corrupt, "Stored data is damaged",
                "BSON field '" + std::string(bson_iter_key(at)) + "' cannot be read");
}

}  // namespace

std::string Document::encode() const {
    bson_t out = BSON_INITIALIZER;
    for (auto const& field : fields_) append(&out, field.key, field.value);
    std::string bytes(reinterpret_cast<char const*>(bson_get_data(&out)), out.len);
    bson_destroy(&out);
    return bytes;
}

Result<Document> Document::decode(std::string_view bytes) {
    bson_t in;
    bson_iter_t at;
    // Every document ends with a zero byte; libbson checks the length, not that.
    if (bytes.size() < 5 || bytes.back() != '\0' ||
        !bson_init_static(&in, reinterpret_cast<std::uint8_t const*>(bytes.data()), bytes.size()) ||
        !bson_iter_init(&at, &in))
        return fail(ErrorKind::corrupt, "Stored data is damaged", "not a BSON document");
    return read_fields(&at, 0);
}

}  // namespace mallard::bson
