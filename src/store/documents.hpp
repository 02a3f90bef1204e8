#pragma once
// Documents: the small entities (users, addresses, tokens, ...). An entity's module declares its collection and unique
// indexes once, beside its struct, and works on every engine.
//
// - Every document has an "_id" ObjectId (set by the caller).
// - A unique index refuses a second document with the same key: already_exists, with the index name in context.
// - insert, update and erase are atomic with their indexes, and durable when they return.
// - Threads: every call may come from any thread.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "store/bson.hpp"

namespace mallard::store {

struct IndexSpec {
    std::string_view name;                 // MongoDB's index name (storage.md §8)
    std::vector<std::string_view> fields;  // dotted paths, ascending
    bool unique = false;
    bool sparse = false;              // documents where the fields are all null or absent are left out
    std::string_view ttl_field = {};  // the first of the fields: documents whose Date there has passed are gone
};

enum class DatabaseRole { main, users };  // storage.md §2

struct Collection {
    std::string_view name;
    DatabaseRole role = DatabaseRole::main;
    std::vector<IndexSpec> indexes;
};

struct Query {
    std::string_view index;            // name; empty: by _id
    std::vector<bson::Value> equals;   // values for the first fields of the index
    std::vector<bson::Value> any_of;   // or values for its first field, any of them: all of it in one look-up. Alone.
    std::optional<bson::Value> from;   // then the next field: >= from
    std::optional<bson::Value> to;     // and < to
    std::optional<ObjectId> after_id;  // continue after this document of the same key order (paging)
    bool descending = false;
    std::size_t limit = 1000;
};

// One atomic change of a document.
struct Update {
    std::vector<std::pair<std::string, bson::Value>> set;  // dotted paths
    std::vector<std::string> unset;
    std::vector<std::pair<std::string, std::int64_t>> increment;
    std::vector<std::pair<std::string, bson::Value>> push;  // append to an array
    std::vector<std::pair<std::string, bson::Value>> add_to_set;
    std::vector<std::pair<std::string, bson::Value>> pull;    // remove equal elements
    std::vector<std::pair<std::string, bson::Value>> expect;  // all must be equal before, else conflict
};

struct Joined {
    bson::Document document;
    std::optional<bson::Document> other;  // that `document` names
};

class Documents {
public:
    virtual ~Documents() = default;
    // Whether others than this object change what is stored: then what was read may be old at once.
    virtual bool changes_elsewhere() const { return false; }
    // Called once per collection at start, before use. Builds indexes that are missing.
    virtual Result<void> declare(Collection const& collection) = 0;
    // All that was. What moves a store goes by this list, so the embedded engine takes documents of no other
    // collection. The texts live as long as this object.
    virtual std::vector<Collection> declared() const = 0;

    virtual Result<std::optional<bson::Document>> get(Collection const& collection, ObjectId id) const = 0;
    virtual Result<std::optional<bson::Document>> find_one(Collection const& collection, Query const& query) const = 0;
    virtual Result<std::vector<bson::Document>> find(Collection const& collection, Query const& query) const = 0;
    // find_one() of a unique key, and with it the document of `other` whose _id stands in `field`: in one look-up where
    // the engine can.
    virtual Result<std::optional<Joined>> find_joined(Collection const& collection, Query const& query,
                                                      std::string_view field, Collection const& other) const;
    virtual Result<std::uint64_t> count(Collection const& collection, Query const& query) const = 0;
    virtual Result<void> insert(Collection const& collection, bson::Document document) = 0;
    // The document after the change; not_found, conflict (expect), already_exists (unique index).
    virtual Result<bson::Document> update(Collection const& collection, ObjectId id, Update const& update) = 0;
    virtual Result<bool> erase(Collection const& collection, ObjectId id) = 0;  // false: it was not there
};

}  // namespace mallard::store
