#include "store/cluster/document_query.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "store/document_keys.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Document;
using bson::Value;

// MongoDB's comparison operators look at one type only; its order goes over all, in this order. Numbers are one type.
constexpr std::string_view types_in_order[] = {"number",  "string",   "object", "array",
                                               "binData", "objectId", "bool",   "date"};

std::size_t rank_of(Value const& value) {
    struct Rank {
        std::size_t operator()(bson::Null) const { return 0; }
        std::size_t operator()(std::int32_t) const { return 1; }
        std::size_t operator()(std::int64_t) const { return 1; }
        std::size_t operator()(double) const { return 1; }
        std::size_t operator()(std::string const&) const { return 2; }
        std::size_t operator()(Document const&) const { return 3; }
        std::size_t operator()(Array const&) const { return 4; }
        std::size_t operator()(bson::Binary const&) const { return 5; }
        std::size_t operator()(ObjectId const&) const { return 6; }
        std::size_t operator()(bool) const { return 7; }
        std::size_t operator()(bson::Date) const { return 8; }
    };
    return std::visit(Rank{}, value.variant());
}

Document one(std::string_view field, Value value) {
    Document out;
    out.set(field, std::move(value));
    return out;
}

Document any_of(Array clauses) {
    if (clauses.size() == 1) return *clauses.front().as<Document>();
    return one("$or", std::move(clauses));
}

// `field` beyond `value` in the order over all types; nothing when nothing is.
void append_beyond(Array& clauses, std::string_view field, Value const& value, bool descending) {
    auto const rank = rank_of(value);
    if (rank == 0) {
        if (!descending) clauses.emplace_back(one(field, one("$ne", bson::Null{})));
        return;
    }
    clauses.emplace_back(one(field, one(descending ? "$lt" : "$gt", value)));
    auto const first = descending ? 1 : rank + 1;
    auto const last = descending ? rank : std::size(types_in_order) + 1;
    for (auto type = first; type < last; ++type)
        clauses.emplace_back(one(field, one("$type", types_in_order[type - 1])));
    if (descending) clauses.emplace_back(one(field, bson::Null{}));
}

Document after_clause(Query const& query, IndexSpec const& index, Place const& after) {
    Array alternatives;
    for (std::size_t at = query.equals.size(); at <= index.fields.size(); ++at) {
        Array beyond;
        if (at < index.fields.size())
            append_beyond(beyond, index.fields[at], after.values[at], query.descending);
        else if (std::ranges::find(index.fields, "_id") == index.fields.end())
            beyond.emplace_back(one("_id", one(query.descending ? "$lt" : "$gt", after.id)));
        if (beyond.empty()) continue;
        Array together;
        for (std::size_t same = query.equals.size(); same < at; ++same)
            together.emplace_back(one(index.fields[same], after.values[same]));
        together.emplace_back(any_of(std::move(beyond)));
        alternatives.emplace_back(all_of(std::move(together)));
    }
    if (alternatives.empty()) return one("_id", one("$exists", false));  // nothing comes after
    return any_of(std::move(alternatives));
}

}  // namespace

IndexSpec const* find_index(Collection const& collection, std::string_view name) {
    auto const index = std::ranges::find(collection.indexes, name, &IndexSpec::name);
    return index == collection.indexes.end() ? nullptr : &*index;
}

Document all_of(Array clauses) {
    if (clauses.empty()) return {};
    if (clauses.size() == 1) return *clauses.front().as<Document>();
    // Side by side where no field comes twice: what simple servers look up by index.
    Document flat;
    bool twice = false;
    for (auto const& clause : clauses)
        for (auto const& field : clause.as<Document>()->fields()) {
            twice = twice || flat.find(field.key) != nullptr;
            flat.set(field.key, field.value);
        }
    if (!twice) return flat;
    return one("$and", std::move(clauses));
}

void append_not_expired(Array& clauses, Collection const& collection, TimeMs now) {
    for (auto const& index : collection.indexes)
        if (!index.ttl_field.empty())  // whatever is no date stays for ever
            clauses.emplace_back(one(index.ttl_field, one("$not", one("$lte", bson::Date{now}))));
}

bool expired(Collection const& collection, Document const& document, TimeMs now) {
    for (auto const& index : collection.indexes) {
        if (index.ttl_field.empty()) continue;
        auto const* value = document.find_path(index.ttl_field);
        auto const* date = value == nullptr ? nullptr : value->as<bson::Date>();
        if (date != nullptr && date->ms <= now) return true;
    }
    return false;
}

Document filter_of(Collection const& collection, Query const& query, IndexSpec const* index,
                   std::optional<Place> const& after, TimeMs now) {
    auto const field = [&](std::size_t n) { return index == nullptr ? std::string_view("_id") : index->fields[n]; };
    std::size_t const fields = index == nullptr ? 1 : index->fields.size();
    Array clauses;
    std::size_t at = 0;
    if (!query.any_of.empty()) {
        clauses.emplace_back(one(field(0), one("$in", Array(query.any_of.begin(), query.any_of.end()))));
        at = 1;
    }
    for (; at < query.equals.size() && at < fields; ++at) clauses.emplace_back(one(field(at), query.equals[at]));
    if (at < fields && (query.from || query.to)) {
        Document range;
        if (query.from) range.set("$gte", *query.from);
        if (query.to) range.set("$lt", *query.to);
        clauses.emplace_back(one(field(at), std::move(range)));
    } else if (index != nullptr && index->sparse && at == 0) {
        Array present;
        for (auto path : index->fields) present.emplace_back(one(path, one("$ne", bson::Null{})));
        clauses.emplace_back(any_of(std::move(present)));
    }
    if (after && index != nullptr) clauses.emplace_back(after_clause(query, *index, *after));
    if (after && index == nullptr) clauses.emplace_back(one("_id", one(query.descending ? "$lt" : "$gt", after->id)));
    append_not_expired(clauses, collection, now);
    return all_of(std::move(clauses));
}

Document sort_of(Query const& query, IndexSpec const* index) {
    int const direction = query.descending ? -1 : 1;
    Document out;
    if (index != nullptr)
        for (std::size_t at = query.equals.size(); at < index->fields.size(); ++at)
            out.set(index->fields[at], direction);
    // A unique index leaves nothing to the id: its own order will do, without sorting. Elements of arrays are no order.
    if (index == nullptr || !index->unique || out.empty()) out.set("_id", direction);
    return out;
}

std::optional<Document> operators_of(Update const& update) {
    Document set, unset, increment, push, add, pull;
    std::set<std::string, std::less<>> arrays;
    std::map<std::string, Array> pushed, added, pulled;
    for (auto const& [path, value] : update.set) set.set(path, value);
    for (auto const& path : update.unset) unset.set(path, 1);
    for (auto const& [path, by] : update.increment) {
        if (increment.find(path) != nullptr) return std::nullopt;
        increment.set(path, bson::number(by));
    }
    for (auto const& [path, value] : update.push) pushed[path].push_back(value);
    for (auto const& [path, value] : update.add_to_set) added[path].push_back(value);
    for (auto const& [path, value] : update.pull) pulled[path].push_back(value);
    for (auto const* changes : {&pushed, &added, &pulled})
        for (auto const& [path, values] : *changes)
            if (!arrays.insert(path).second) return std::nullopt;
    auto const single_or_each = [](Array& values) {
        return values.size() == 1 ? values.front() : Value(one("$each", std::move(values)));
    };
    for (auto& [path, values] : pushed) push.set(path, single_or_each(values));
    for (auto& [path, values] : added) add.set(path, single_or_each(values));
    for (auto& [path, values] : pulled) pull.set(path, std::move(values));
    Document out;
    for (auto& [name, changes] : {std::pair{"$set", &set},
                                  {"$unset", &unset},
                                  {"$inc", &increment},
                                  {"$push", &push},
                                  {"$addToSet", &add},
                                  {"$pullAll", &pull}})
        if (!changes->empty()) out.set(name, std::move(*changes));
    if (out.empty()) return std::nullopt;
    return out;
}

}  // namespace mallard::store::cluster
