#pragma once
// Documents on MongoDB, in WildDuck's collections (storage.md §2, §3). Every query names its index to the server
// (hint), so that none scans a collection; an update is one findAndModify with operators.
//
// - Documents whose time has come are gone for readers at once, whenever MongoDB's own sweeper comes by; a unique key
// that
//   such a one still holds is freed by whoever wants it.
// - What MongoDB's operators refuse, but is allowed here (adding to a null, an array that grows and shrinks), is
// computed
//   here and written on the condition that nothing of it changed meanwhile.
// - A server whose unique indexes do not count absent fields (MongoFeatures) is helped by a look before each write,
// under
//   a lock of this process.

#include <mutex>
#include <set>
#include <string>

#include "base/clock.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/declared_collections.hpp"
#include "store/documents.hpp"

namespace mallard::store::cluster {

class ClusterDocuments final : public Documents {
public:
    ClusterDocuments(MongoClient& client, Clock const& clock) : client_(client), clock_(clock) {}

    bool changes_elsewhere() const override { return true; }
    Result<void> declare(Collection const& collection) override;
    std::vector<Collection> declared() const override { return declared_.list(); }
    Result<std::optional<bson::Document>> get(Collection const& collection, ObjectId id) const override;
    Result<std::optional<bson::Document>> find_one(Collection const& collection, Query const& query) const override;
    Result<std::vector<bson::Document>> find(Collection const& collection, Query const& query) const override;
    Result<std::optional<Joined>> find_joined(Collection const& collection, Query const& query, std::string_view field,
                                              Collection const& other) const override;
    Result<std::uint64_t> count(Collection const& collection, Query const& query) const override;
    Result<void> insert(Collection const& collection, bson::Document document) override;
    Result<bson::Document> update(Collection const& collection, ObjectId id, Update const& update) override;
    Result<bool> erase(Collection const& collection, ObjectId id) override;

    // Erases documents whose time has come where the server does not do so itself.
    Result<void> sweep();

private:
    struct Ttl {
        Db db;
        std::string collection, field;
        auto operator<=>(Ttl const&) const = default;
    };

    bool is_hintable(Collection const& collection, std::string_view index) const;
    Result<std::vector<bson::Document>> read(Collection const& collection, Query const& query, IndexSpec const* index,
                                             std::size_t limit) const;
    // The name of a unique index in which another document has a key of this one; empty: none.
    Result<std::string> blocker_of(Collection const& collection, bson::Document const& document) const;
    Result<std::uint64_t> erase_expired(Collection const& collection);
    // True where the server's unique indexes do not do (MongoFeatures) and the collection has one.
    bool looks_before_writing(Collection const& collection) const;
    Result<bson::Document> update_by_operators(Collection const& collection, ObjectId id, Update const& update,
                                               bson::Document const& operators);
    Result<bson::Document> update_by_comparing(Collection const& collection, ObjectId id, Update const& update);
    Error explain(Collection const& collection, bson::Document const& document, Error error) const;

    MongoClient& client_;
    Clock const& clock_;
    DeclaredCollections declared_;
    mutable std::mutex declared_mutex_;
    std::set<std::string> hintable_;  // "<collection>/<index>"
    std::set<Ttl> ttl_;
};

}  // namespace mallard::store::cluster
