#include "store/embedded/threads.hpp"

#include <xxhash.h>

#include <algorithm>
#include <optional>

#include "store/embedded/codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr TimeMs day_ms = 86'400'000;
constexpr std::uint64_t lifetime_days = 180;  // storage.md §4.5: a thread that nobody joins for so long is over
constexpr std::size_t expiry_rows_max = 20'000;
constexpr std::uint64_t refresh_days = 30;  // the date is rewritten when it is older than this

std::string thread_key(UserId user, std::string_view ref, std::string_view subject) {
    std::uint64_t const seed = XXH3_64bits(subject.data(), subject.size());
    auto const hash = XXH3_128bits_withSeed(ref.data(), ref.size(), seed);
    std::string key(user.view());
    put_be64(key, hash.high64);
    put_be64(key, hash.low64);
    return key;
}

}  // namespace

Result<ThreadId> Threads::join(UserId user, std::vector<std::string> const& refs, std::string_view subject,
                               kv::WriteBatch& batch) {
    if (refs.empty()) return ThreadId::generate();
    std::vector<std::string> keys;
    for (auto const& ref : refs) keys.push_back(thread_key(user, ref, subject));
    auto const today = static_cast<std::uint64_t>(clock_.now() / day_ms);

    Stripe& stripe = stripes_[std::hash<UserId>{}(user) % stripes_.size()];
    std::lock_guard const lock(stripe.mutex);
    std::optional<ThreadId> thread;
    for (auto const& key : keys)
        if (auto const it = stripe.recent.find(key); it != stripe.recent.end() && !thread) thread = it->second;

    MALLARD_TRY_ASSIGN(auto const stored, engine_.multi_get(table_thread, keys));
    std::vector<bool> fresh(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!stored[i]) continue;
        ByteReader in(*stored[i]);
        ThreadId const id(in.id());
        std::uint64_t const day = in.varint();
        if (!in.ok() || day + lifetime_days < today) continue;
        if (!thread) thread = id;
        fresh[i] = id == *thread && day + refresh_days >= today;
    }
    if (!thread) thread = ThreadId::generate();

    if (stripe.recent.size() + keys.size() > recent_max) stripe.recent.clear();
    std::string value(thread->view());
    put_varint(value, today);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!fresh[i]) batch.put(table_thread, keys[i], value);
        stripe.recent[keys[i]] = *thread;
    }
    return *thread;
}

Result<void> Threads::lead(UserId user, std::vector<std::string> const& refs, std::string_view subject, ThreadId thread,
                           TimeMs joined, kv::WriteBatch& batch) {
    auto const day = static_cast<std::uint64_t>(std::clamp<TimeMs>(joined, 0, clock_.now()) / day_ms);
    if (day + lifetime_days < static_cast<std::uint64_t>(clock_.now() / day_ms)) return {};
    Stripe& stripe = stripes_[std::hash<UserId>{}(user) % stripes_.size()];
    std::lock_guard const lock(stripe.mutex);
    stripe.recent.clear();
    for (auto const& ref : refs) {
        auto const key = thread_key(user, ref, subject);
        MALLARD_TRY_ASSIGN(auto const stored, engine_.get(table_thread, key));
        ByteReader in(stored ? *stored : std::string_view{});
        in.id();
        if (std::uint64_t const known = in.varint(); in.ok() && known > day) continue;
        std::string value(thread.view());
        put_varint(value, day);
        batch.put(table_thread, key, value);
    }
    return {};
}

Result<void> Threads::expire() {
    std::lock_guard const lock(expiry_mutex_);
    auto const today = static_cast<std::uint64_t>(clock_.now() / day_ms);
    kv::WriteBatch batch;
    auto const cursor = engine_.scan(table_thread, {expiry_position_, {}});
    std::size_t seen = 0;
    for (; cursor->valid() && seen < expiry_rows_max; cursor->next(), ++seen) {
        ByteReader in(cursor->value());
        in.id();
        std::uint64_t const day = in.varint();
        if (!in.ok() || day + lifetime_days < today) batch.erase(table_thread, cursor->key());
    }
    MALLARD_TRY(cursor->status());
    expiry_position_ = cursor->valid() ? std::string(cursor->key()) : std::string{};
    return engine_.commit(batch, kv::Durability::async);
}

}  // namespace mallard::store::embedded
