#include "store/embedded/storage_counters.hpp"

#include <utility>

#include "store/embedded/codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

StorageCounters::Pending::Pending(Pending&& other) noexcept : entry_(std::move(other.entry_)), by_(other.by_) {}

StorageCounters::Pending& StorageCounters::Pending::operator=(Pending&& other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(by_, other.by_);
    return *this;
}

StorageCounters::Pending::~Pending() {
    if (!entry_) return;
    std::lock_guard const lock(entry_->mutex);
    --entry_->on_their_way;
    entry_->known = false;  // whether it reached the disk is not known
}

void StorageCounters::Pending::ended() {
    if (!entry_) return;
    {
        std::lock_guard const lock(entry_->mutex);
        entry_->value += by_;
        --entry_->on_their_way;
    }
    entry_.reset();
}

std::shared_ptr<StorageCounters::Entry> StorageCounters::entry(UserId user) {
    std::lock_guard const lock(mutex_);
    if (auto const it = entries_.find(user); it != entries_.end()) return it->second;
    // Only who holds the lock can take a reference, so an entry that nobody else holds may go.
    if (entries_.size() >= entries_max)
        std::erase_if(entries_, [](auto const& item) { return item.second.use_count() == 1; });
    return entries_[user] = std::make_shared<Entry>();
}

Result<void> StorageCounters::load(UserId user, Entry& entry) {
    if (entry.known) return {};
    MALLARD_TRY_ASSIGN(auto const stored, engine_.get(table_storage, user.view()));
    entry.value = stored ? counter_value(*stored) : 0;
    // With a change on its way the value may already hold it: good enough to answer with, not to keep.
    entry.known = entry.on_their_way == 0;
    return {};
}

Result<StorageCounters::Pending> StorageCounters::begin(UserId user, std::int64_t by, kv::WriteBatch& batch) {
    Pending pending;
    if (by == 0) return pending;
    auto const held = entry(user);
    std::lock_guard const lock(held->mutex);
    MALLARD_TRY(load(user, *held));
    ++held->on_their_way;
    pending.entry_ = held;
    pending.by_ = by;
    batch.add(table_storage, user.view(), by);
    return pending;
}

Result<std::int64_t> StorageCounters::value(UserId user) {
    auto const held = entry(user);
    std::lock_guard const lock(held->mutex);
    MALLARD_TRY(load(user, *held));
    return held->value;
}

void StorageCounters::forget(UserId user) {
    auto const held = entry(user);
    std::lock_guard const lock(held->mutex);
    held->known = false;
}

void StorageCounters::forget_all() {
    std::lock_guard const lock(mutex_);
    for (auto const& [user, entry] : entries_) {
        std::lock_guard const held(entry->mutex);
        entry->known = false;
    }
}

}  // namespace mallard::store::embedded
