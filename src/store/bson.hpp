#pragma once
// BSON as values: documents are what WildDuck stores (storage.md §1), in both engines. Nobody outside store/ and the
// modules that own entities (accounts/, mailboxes/) handles these.
//
// Numbers (storage.md §1): write integers in the int32 range as int32, all others as double (`number()` does that).
// Read with as_int64/as_double, which accept int32, int64 and double. null and absent are alike.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"

namespace mallard::bson {

class Value;
struct Field;
using Array = std::vector<Value>;

// Fields in order, as written.
class Document {
public:
    Document();
    Document(std::initializer_list<Field> fields);
    explicit Document(std::vector<Field> fields);
    Document(Document const&);
    Document(Document&&) noexcept;
    Document& operator=(Document const&);
    Document& operator=(Document&&) noexcept;
    ~Document();

    Value const* find(std::string_view key) const;          // this level only; nullptr when absent
    Value const* find_path(std::string_view dotted) const;  // "metaData.a.b"
    void set(std::string_view key, Value value);            // replaces in place or appends
    void set_path(std::string_view dotted, Value value);    // creates documents on the way
    bool erase(std::string_view key);
    bool erase_path(std::string_view dotted);
    std::vector<Field> const& fields() const { return fields_; }
    bool empty() const;

    // Readers that treat null, absent and a wrong type alike: the fallback.
    std::string_view text(std::string_view key, std::string_view fallback = {}) const;
    std::int64_t integer(std::string_view key, std::int64_t fallback = 0) const;
    bool boolean(std::string_view key, bool fallback = false) const;  // as JS truthiness for numbers and strings
    std::optional<ObjectId> id(std::string_view key) const;
    std::optional<std::int64_t> date(std::string_view key) const;  // ms
    Array const* array(std::string_view key) const;
    Document const* document(std::string_view key) const;

    std::string encode() const;                              // BSON bytes
    static Result<Document> decode(std::string_view bytes);  // corrupt
    bool operator==(Document const&) const;

private:
    std::vector<Field> fields_;
};

struct Null {
    bool operator==(Null const&) const = default;
};
struct Date {
    std::int64_t ms;
    bool operator==(Date const&) const = default;
};
struct Binary {
    std::string bytes;
    std::uint8_t subtype = 0;
    bool operator==(Binary const&) const = default;
};

class Value {
public:
    using Variant = std::variant<Null, bool, std::int32_t, std::int64_t, double, std::string, ObjectId, Date, Binary,
                                 Array, Document>;
    Value() : value_(Null{}) {}
    Value(Null) : value_(Null{}) {}
    Value(bool v) : value_(v) {}
    Value(std::int32_t v) : value_(v) {}
    Value(std::int64_t v) : value_(v) {}  // explicit int64: only where one must be kept
    Value(double v) : value_(v) {}
    Value(char const* v) : value_(std::string(v)) {}
    Value(std::string v) : value_(std::move(v)) {}
    Value(std::string_view v) : value_(std::string(v)) {}
    Value(ObjectId v) : value_(v) {}
    Value(Date v) : value_(v) {}
    Value(Binary v) : value_(std::move(v)) {}
    Value(Array v) : value_(std::move(v)) {}
    Value(Document v) : value_(std::move(v)) {}

    bool is_null() const { return std::holds_alternative<Null>(value_); }
    template <class T>
    T const* as() const {
        return std::get_if<T>(&value_);
    }
    template <class T>
    T* as() {
        return std::get_if<T>(&value_);
    }
    std::optional<std::int64_t> as_int64() const;  // int32, int64, double with an integer value, Date's ms
    std::optional<double> as_double() const;
    bool truthy() const;  // JS truthiness
    Variant const& variant() const { return value_; }
    bool operator==(Value const&) const = default;

private:
    Variant value_;
};

struct Field {
    std::string key;
    Value value;
    bool operator==(Field const&) const = default;
};

Value number(std::int64_t v);  // int32 when it fits, else double, as a JS driver writes numbers

}  // namespace mallard::bson
