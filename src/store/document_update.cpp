#include "store/document_update.hpp"

#include <algorithm>
#include <limits>

#include "store/document_keys.hpp"

namespace mallard::store {

namespace {

bool same(bson::Value const& a, bson::Value const& b) { return key_of(a) == key_of(b); }

// MongoDB keeps the type of a number that is incremented, and widens an int32 that overflows to int64.
std::optional<bson::Value> sum_of(bson::Value const& before, std::int64_t by) {
    if (before.is_null()) return bson::number(by);
    if (auto const* v = before.as<double>()) return bson::Value(*v + static_cast<double>(by));
    if (before.as<std::int32_t>() == nullptr && before.as<std::int64_t>() == nullptr) return std::nullopt;
    std::int64_t sum = 0;
    if (__builtin_add_overflow(*before.as_int64(), by, &sum)) return std::nullopt;
    bool const fits =
        sum >= std::numeric_limits<std::int32_t>::min() && sum <= std::numeric_limits<std::int32_t>::max();
    if (before.as<std::int32_t>() != nullptr && fits) return bson::Value(static_cast<std::int32_t>(sum));
    return bson::Value(sum);
}

Result<void> increment(bson::Document& document, std::string_view path, std::int64_t by) {
    auto const* before = document.find_path(path);
    auto sum = sum_of(before == nullptr ? bson::Value() : *before, by);
    if (!sum) return fail(ErrorKind::invalid, "Not a number", "increment of " + std::string(path));
    document.set_path(path, std::move(*sum));
    return {};
}

// The array at the path, for a change; empty when there is none yet.
Result<bson::Array> array_at(bson::Document const& document, std::string_view path) {
    auto const* value = document.find_path(path);
    if (value == nullptr || value->is_null()) return bson::Array{};
    auto const* array = value->as<bson::Array>();
    if (array == nullptr) return fail(ErrorKind::invalid, "Not an array", "push to " + std::string(path));
    return *array;
}

}  // namespace

Result<void> apply_update(bson::Document& document, Update const& update) {
    for (auto const& [path, value] : update.expect) {
        auto const* now = document.find_path(path);
        if (!same(now == nullptr ? bson::Value() : *now, value))
            return fail(ErrorKind::conflict, "It was changed meanwhile", "expected " + path);
    }
    for (auto const& [path, value] : update.set) document.set_path(path, value);
    for (auto const& path : update.unset) document.erase_path(path);
    for (auto const& [path, by] : update.increment) MALLARD_TRY(increment(document, path, by));
    for (auto const& [path, value] : update.push) {
        MALLARD_TRY_ASSIGN(auto array, array_at(document, path));
        array.push_back(value);
        document.set_path(path, std::move(array));
    }
    for (auto const& [path, value] : update.add_to_set) {
        MALLARD_TRY_ASSIGN(auto array, array_at(document, path));
        if (std::ranges::none_of(array, [&](auto const& element) { return same(element, value); }))
            array.push_back(value);
        document.set_path(path, std::move(array));
    }
    for (auto const& [path, value] : update.pull) {
        if (document.find_path(path) == nullptr) continue;
        MALLARD_TRY_ASSIGN(auto array, array_at(document, path));
        std::erase_if(array, [&](auto const& element) { return same(element, value); });
        document.set_path(path, std::move(array));
    }
    return {};
}

}  // namespace mallard::store
