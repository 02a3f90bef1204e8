#pragma once
// WildDuck's indexes (storage.md §8, its indexes.yaml): where Mallard and WildDuck work on one database, both make the
// same ones, by the same names.

#include <span>
#include <string_view>

#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

struct WildDuckIndex {
    Db db;
    std::string_view collection, name;
    std::string_view key;      // "mailbox, uid:-1": -1 descending, h hashed, t text
    std::string_view options;  // "unique", "sparse", "ttl=<seconds>", "where <field>=<value>" (partial)
};

std::span<WildDuckIndex const> wildduck_indexes();
WildDuckIndex const* find_wildduck_index(std::string_view collection, std::string_view name);
IndexDefinition definition_of(WildDuckIndex const& index);

// Makes all of them that are missing.
Result<void> ensure_wildduck_indexes(MongoClient& client);

}  // namespace mallard::store::cluster
