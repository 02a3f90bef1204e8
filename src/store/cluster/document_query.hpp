#pragma once
// From store::Query to MongoDB's filter, sort and hint, so that each is answered by the index it names. Pure.

#include <optional>

#include "base/clock.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/documents.hpp"

namespace mallard::store::cluster {

IndexSpec const* find_index(Collection const& collection, std::string_view name);

// The document to go on after, at its place in the order of the index.
struct Place {
    ObjectId id;
    std::vector<bson::Value> values;  // of the fields of the index
};

bson::Document filter_of(Collection const& collection, Query const& query, IndexSpec const* index,
                         std::optional<Place> const& after, TimeMs now);
bson::Document sort_of(Query const& query, IndexSpec const* index);

// What leaves out documents whose time has come; nothing for a collection without a time to live.
void append_not_expired(bson::Array& clauses, Collection const& collection, TimeMs now);
bool expired(Collection const& collection, bson::Document const& document, TimeMs now);
// {"$and": clauses}, or the one, or everything.
bson::Document all_of(bson::Array clauses);

// The operators of an update, or nothing when MongoDB cannot do all of it at once (an array that grows and shrinks).
std::optional<bson::Document> operators_of(Update const& update);

}  // namespace mallard::store::cluster
