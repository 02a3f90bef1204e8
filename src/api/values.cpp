#include "api/values.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "http/schema.hpp"

namespace mallard::api {

OrderedJson parsed_object(std::string const& json_text) {
    if (json_text.empty()) return OrderedJson::object();
    auto const parsed = http::parse_json(json_text);
    if (!parsed || !parsed->is_object()) return OrderedJson::object();
    return OrderedJson(*parsed);
}

OrderedJson to_json(bson::Value const& value) {
    return std::visit(
        [](auto const& v) -> OrderedJson {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, bson::Null>) {
                return nullptr;
            } else if constexpr (std::is_same_v<T, ObjectId>) {
                return v.hex();
            } else if constexpr (std::is_same_v<T, bson::Date>) {
                return http::iso_date(v.ms);
            } else if constexpr (std::is_same_v<T, bson::Binary>) {
                return base64_encode(v.bytes);
            } else if constexpr (std::is_same_v<T, bson::Array>) {
                OrderedJson list = OrderedJson::array();
                for (auto const& item : v) list.push_back(to_json(item));
                return list;
            } else if constexpr (std::is_same_v<T, bson::Document>) {
                OrderedJson object = OrderedJson::object();
                for (auto const& field : v.fields()) object[field.key] = to_json(field.value);
                return object;
            } else if constexpr (std::is_same_v<T, double>) {
                auto const whole = static_cast<std::int64_t>(v);
                return static_cast<double>(whole) == v ? OrderedJson(whole) : OrderedJson(v);
            } else {
                return v;
            }
        },
        value.variant());
}

std::vector<accounts::Target> targets_of(std::vector<std::string> const& values) {
    std::vector<accounts::Target> targets;
    for (auto const& value : values) {
        accounts::Target target;
        target.id = ObjectId::generate();
        target.value = value;
        auto const lower = to_lower(value.substr(0, 8));
        target.type = lower.starts_with("smtp") ? "relay" : "http";
        if (value.find("://") == value.npos) target.type = "mail";
        targets.push_back(std::move(target));
    }
    return targets;
}

OrderedJson target_values(std::vector<accounts::Target> const& targets) {
    OrderedJson list = OrderedJson::array();
    for (auto const& target : targets) list.push_back(target.value);
    return list;
}

std::vector<std::string> clean_tags(std::vector<std::string> tags) {
    std::vector<std::string> kept;
    for (auto& tag : tags) {
        std::string trimmed(trim(tag));
        bool const known = std::ranges::any_of(kept, [&](auto const& other) { return iequals(other, trimmed); });
        if (!trimmed.empty() && !known) kept.push_back(std::move(trimmed));
    }
    std::ranges::sort(kept, {}, [](auto const& tag) { return to_lower(tag); });
    return kept;
}

OrderedJson counter_limit(store::SharedState& state, std::string const& key, std::int64_t allowed) {
    OrderedJson out{{"allowed", allowed}, {"used", 0}, {"ttl", false}};
    auto const counter = state.count(key, 0, allowed, std::chrono::seconds(86400));
    if (!counter) return out;
    out["used"] = counter->value;
    if (counter->resets.count() >= 0 && counter->value > 0) out["ttl"] = counter->resets.count();
    return out;
}

}  // namespace mallard::api
