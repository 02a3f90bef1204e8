#pragma once
// ShortCache: values by key for a short time, bounded, in shards. Whoever loads a value takes a ticket first, reads the
// store, and puts it with the ticket: what was dropped in between is not put, so no cache outlives a change of ours.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/clock.hpp"

namespace mallard::accounts {

template <class Key, class Value>
class ShortCache {
public:
    using Pointer = std::shared_ptr<Value const>;
    using Ticket = std::uint64_t;

    ShortCache(std::size_t entries_max, TimeMs lifetime) : shard_max_(entries_max / shard_count), lifetime_(lifetime) {}

    Pointer find(Key const& key, TimeMs now) const {
        auto& shard = shard_of(key);
        std::lock_guard lock(shard.mutex);
        auto const entry = shard.entries.find(key);
        return entry == shard.entries.end() || entry->second.until <= now ? nullptr : entry->second.value;
    }
    Ticket ticket(Key const& key) const {
        auto& shard = shard_of(key);
        std::lock_guard lock(shard.mutex);
        return shard.drops;
    }
    void put(Key const& key, Pointer value, TimeMs now, Ticket ticket) {
        auto& shard = shard_of(key);
        std::lock_guard lock(shard.mutex);
        if (shard.drops != ticket) return;
        // Which one makes room matters little: what is in use comes back at its next use.
        if (shard.entries.size() >= shard_max_) shard.entries.erase(shard.entries.begin());
        shard.entries.insert_or_assign(key, Entry{std::move(value), now + lifetime_});
    }
    void drop(Key const& key) {
        auto& shard = shard_of(key);
        std::lock_guard lock(shard.mutex);
        ++shard.drops;
        shard.entries.erase(key);
    }
    void drop_all() {
        for (auto& shard : shards_) {
            std::lock_guard lock(shard.mutex);
            ++shard.drops;
            shard.entries.clear();
        }
    }

private:
    static constexpr std::size_t shard_count = 64;
    struct Entry {
        Pointer value;
        TimeMs until;
    };
    struct Shard {
        std::mutex mutex;
        std::unordered_map<Key, Entry> entries;
        Ticket drops = 0;
    };
    Shard& shard_of(Key const& key) const { return shards_[std::hash<Key>{}(key) >> 16 & (shard_count - 1)]; }

    std::size_t shard_max_;
    TimeMs lifetime_;
    mutable std::array<Shard, shard_count> shards_;
};

}  // namespace mallard::accounts
