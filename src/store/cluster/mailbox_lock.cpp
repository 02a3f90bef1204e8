#include "store/cluster/mailbox_lock.hpp"

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/random.hpp"

namespace mallard::store::cluster {

namespace {

constexpr std::string_view lock_key = "mail:mbwr:";
constexpr std::string_view index_key = "mailindex";
constexpr std::string_view release_channel = "mail-release";
// WildDuck's are of five minutes. A shorter one holds up less when it dies with its holder, and long work extends it.
constexpr std::chrono::milliseconds lock_ttl = std::chrono::seconds(30);
// Others publish their release, but a look costs less. All look equally often, however long they have waited: who comes
// last must not be the likeliest to get it.
constexpr std::chrono::milliseconds look_again{10};

// KEYS: lock; ARGV: counter, ttl, our name. The name, which WildDuck ignores, tells a repeated call that the first one
// succeeded.
constexpr RedisScript take_script{R"(
if redis.call('EXISTS', KEYS[1]) == 1 then
    if redis.call('HGET', KEYS[1], 'by') == ARGV[3] then return redis.call('HGET', KEYS[1], 'index') end
    return false
end
local index = redis.call('INCR', ARGV[1])
redis.call('HSET', KEYS[1], 'index', index, 'by', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tostring(index)
)"};

constexpr RedisScript extend_script{R"(
if redis.call('HGET', KEYS[1], 'index') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
)"};

constexpr RedisScript release_script{R"(
if redis.call('HGET', KEYS[1], 'index') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], KEYS[1])
return 1
)"};

// Locks that could not be given back, since Redis was away: key -> index. Who takes one next gives it back first.
struct Abandoned {
    std::mutex mutex;
    std::map<std::string, std::string> indexes;

    std::string of(std::string const& key) {
        std::lock_guard const lock(mutex);
        auto const at = indexes.find(key);
        return at == indexes.end() ? std::string() : at->second;
    }
    void note(std::string const& key, std::string const& index) {
        std::lock_guard const lock(mutex);
        indexes.insert_or_assign(key, index);
    }
    void forget(std::string const& key, std::string const& index) {
        std::lock_guard const lock(mutex);
        if (auto const at = indexes.find(key); at != indexes.end() && at->second == index) indexes.erase(at);
    }
};

Abandoned& abandoned() {
    static Abandoned locks;
    return locks;
}

Result<void> release(RedisClient& redis, std::string const& key, std::string const& index) {
    MALLARD_TRY(redis.run(release_script, key, {index, std::string(release_channel)}, RedisClient::Repeat::yes));
    return {};
}

}  // namespace

Result<MailboxLock> MailboxLock::take(RedisClient& redis, MailboxId mailbox, std::chrono::milliseconds wait) {
    std::string const key = std::string(lock_key) + mailbox.hex();
    auto const end = std::chrono::steady_clock::now() + wait;
    std::vector<std::string> const arguments{std::string(index_key), std::to_string(lock_ttl.count()), random_hex(8)};
    for (;;) {
        if (auto const index = abandoned().of(key); !index.empty()) {
            MALLARD_TRY(release(redis, key, index));
            abandoned().forget(key, index);
        }
        MALLARD_TRY_ASSIGN(auto const taken, redis.run(take_script, key, arguments, RedisClient::Repeat::yes));
        if (taken.kind == RedisReply::Kind::text) return MailboxLock(redis, key, taken.text);
        if (std::chrono::steady_clock::now() >= end)
            return fail(ErrorKind::unavailable, "The mailbox is busy, try again later", "lock " + key + " is held");
        std::this_thread::sleep_for(look_again);
    }
}

MailboxLock::~MailboxLock() {
    if (!index_.empty() && !release(redis_, key_, index_)) abandoned().note(key_, index_);
}

Result<void> MailboxLock::extend() {
    MALLARD_TRY_ASSIGN(auto const extended, redis_.run(extend_script, key_, {index_, std::to_string(lock_ttl.count())},
                                                       RedisClient::Repeat::yes));
    if (extended.integer != 1)
        return fail(ErrorKind::unavailable, "The mailbox is busy, try again later", "lock " + key_ + " ran out");
    return {};
}

}  // namespace mallard::store::cluster
