#pragma once
// Documents on kv. A document lies under (collection, _id); each of its index keys is a row
// (collection, index, key, _id) without a value.
// Locks: a change holds the stripe of its _id, then, in ascending order, the stripes of its unique keys, until its
// commit is durable. So changes of other documents share its fsync, and no two take the same unique key.

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "kv/engine.hpp"
#include "store/declared_collections.hpp"
#include "store/documents.hpp"

namespace mallard::store::embedded {

class EmbeddedDocuments final : public Documents {
public:
    EmbeddedDocuments(kv::Engine& engine, Clock const& clock) : engine_(engine), clock_(clock) {}

    Result<void> declare(Collection const& collection) override;
    std::vector<Collection> declared() const override { return declared_.list(); }
    Result<std::optional<bson::Document>> get(Collection const& collection, ObjectId id) const override;
    Result<std::optional<bson::Document>> find_one(Collection const& collection, Query const& query) const override;
    Result<std::vector<bson::Document>> find(Collection const& collection, Query const& query) const override;
    Result<std::uint64_t> count(Collection const& collection, Query const& query) const override;
    Result<void> insert(Collection const& collection, bson::Document document) override;
    Result<bson::Document> update(Collection const& collection, ObjectId id, Update const& update) override;
    Result<bool> erase(Collection const& collection, ObjectId id) override;

    // Erases documents whose time has come (ttl_field), a bounded number per call. true: there is more to do.
    Result<bool> sweep();

private:
    class KeyLocks;
    using Stripes = std::array<std::mutex, 256>;

    std::mutex& stripe_of(ObjectId id) { return id_stripes_[std::hash<ObjectId>{}(id) >> 32 & 0xff]; }
    Result<void> build_index(Collection const& collection, IndexSpec const& index);
    Result<std::optional<bson::Document>> read(Collection const& collection, ObjectId id, kv::View const* view) const;
    bool expired(Collection const& collection, bson::Document const& document) const;
    // Calls visit(id, document bytes or empty) for what the query names, in its order, until it returns false.
    template <class F>
    Result<void> walk(Collection const& collection, Query const& query, kv::View const& view, F&& visit) const;
    Result<std::uint64_t> total(Collection const& collection) const;
    Result<void> commit_counted(Collection const& collection, kv::WriteBatch const& batch, int rows);
    Result<void> write_change(Collection const& collection, ObjectId id, bson::Document const* before,
                              bson::Document const* after);

    kv::Engine& engine_;
    Clock const& clock_;
    DeclaredCollections declared_;
    struct Total {
        std::atomic<std::int64_t> rows = 0;
        std::atomic<bool> counted = false;
    };
    mutable std::mutex counting_mutex_;  // before totals_mutex_
    mutable std::shared_mutex totals_mutex_;
    mutable std::map<std::string, Total> totals_;  // documents of a collection
    Stripes id_stripes_;
    Stripes key_stripes_;
};

}  // namespace mallard::store::embedded
