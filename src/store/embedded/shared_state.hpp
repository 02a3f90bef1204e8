#pragma once
// SharedState of one process: everything in memory; hashes without a time to live, tokens (keys "tn:...") and sets are
// also on kv, so that they survive a restart. Counters are not.
// Locks: a shard's data mutex is held for look-ups and changes in memory only; whoever also writes to disk holds the
// shard's write mutex around both, so that disk and memory change in the same order.

#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "kv/engine.hpp"
#include "store/shared_state.hpp"

namespace mallard::store::embedded {

class EmbeddedSharedState final : public SharedState {
public:
    EmbeddedSharedState(kv::Engine& engine, Clock const& clock) : engine_(engine), clock_(clock) {}
    Result<void> open();  // loads what was kept

    Result<CounterState> count(std::string_view key, std::int64_t by, std::int64_t limit,
                               std::chrono::seconds window) override;
    Result<CounterState> count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                       std::int64_t limit) override;
    Result<void> erase(std::string_view key) override;
    Result<Hash> hash(std::string_view key) const override;
    Result<void> set_hash(std::string_view key, Hash const& fields,
                          std::optional<std::chrono::seconds> ttl = {}) override;
    Result<void> erase_field(std::string_view key, std::string_view field) override;
    Result<void> expire(std::string_view key, std::chrono::seconds ttl) override;
    Result<std::vector<std::string>> keys(std::string_view prefix) const override;
    Result<std::vector<StateEntry>> entries(std::string_view prefix) const override;
    Result<void> add_member(std::string_view key, std::string_view member) override;
    Result<void> erase_member(std::string_view key, std::string_view member) override;
    Result<std::vector<std::string>> members(std::string_view key) const override;
    Result<bool> is_member(std::string_view key, std::string_view member) const override;

    Result<void> sweep();  // drops what has expired

private:
    struct Text {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    template <class T>
    using Map = std::unordered_map<std::string, T, Text, std::equal_to<>>;

    struct Counter {
        std::int64_t value = 0;
        TimeMs ends = 0;
    };
    struct HashEntry {
        Hash fields;
        TimeMs ends = 0;       // 0: never
        TimeMs kept_ends = 0;  // what the disk says
        bool kept = false;     // also on disk
    };
    struct Shard {
        std::mutex write_mutex;  // before mutex
        mutable std::mutex mutex;
        Map<Counter> counters;
        Map<Map<std::int64_t>> limited;
        Map<HashEntry> hashes;
        Map<std::set<std::string, std::less<>>> sets;
    };

    Shard& shard_of(std::string_view key) const { return shards_[Text{}(key) % shards_.size()]; }
    bool live(TimeMs ends) const { return ends == 0 || ends > clock_.now(); }
    Result<void> merge(std::string_view key, Hash const& fields, std::optional<std::chrono::seconds> ttl,
                       kv::Durability durability);
    Result<void> keep(std::string_view key, HashEntry const& entry, kv::Durability durability);

    kv::Engine& engine_;
    Clock const& clock_;
    mutable std::array<Shard, 32> shards_;
};

}  // namespace mallard::store::embedded
