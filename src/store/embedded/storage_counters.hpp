#pragma once
// StorageCounters: octets stored per user. On disk a kv counter, changed in the batch of each append, copy and expunge;
// here a copy of it in memory, so that a quota check reads no disk. A change is begun before its commit and ended after
// it, so a counter is only ever read from the disk while none is on its way. Thread-safe.

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "kv/engine.hpp"

namespace mallard::store::embedded {

class StorageCounters {
    struct Entry;

public:
    explicit StorageCounters(kv::Engine& engine) : engine_(engine) {}

    class Pending {  // one change on its way; ended() or destruction (failed: then the counter is read again)
    public:
        Pending() = default;
        Pending(Pending&& other) noexcept;
        Pending& operator=(Pending&& other) noexcept;
        ~Pending();
        void ended();  // committed

    private:
        friend class StorageCounters;
        std::shared_ptr<Entry> entry_;
        std::int64_t by_ = 0;
    };
    // Adds the change to the batch.
    Result<Pending> begin(UserId user, std::int64_t by, kv::WriteBatch& batch);
    Result<std::int64_t> value(UserId user);
    void forget(UserId user);  // the user is gone
    void forget_all();         // they were repaired on the disk

private:
    struct Entry {
        std::mutex mutex;
        bool known = false;
        std::int64_t value = 0;
        unsigned on_their_way = 0;
    };
    static constexpr std::size_t entries_max = 100'000;

    std::shared_ptr<Entry> entry(UserId user);
    Result<void> load(UserId user, Entry& entry);

    kv::Engine& engine_;
    std::mutex mutex_;
    std::unordered_map<UserId, std::shared_ptr<Entry>> entries_;
};

}  // namespace mallard::store::embedded
