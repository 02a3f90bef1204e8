#pragma once
// MailboxLock: WildDuck's write lock of a mailbox (storage.md §11.6, §13, §14), which EXPUNGE and MOVE hold on the
// mailbox that messages leave: of two that would take the same message away, in whatever process, one waits.
//
// It is a Redis key with a time to live, so it can run out under a holder that is slow: what is done under it must stay
// harmless even then. Extend it between the steps of a long work.

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/ids.hpp"
#include "store/cluster/redis_client.hpp"

namespace mallard::store::cluster {

class MailboxLock {
public:
    // Waits for it; unavailable: another holds it for too long, or Redis is away.
    static Result<MailboxLock> take(RedisClient& redis, MailboxId mailbox,
                                    std::chrono::milliseconds wait = std::chrono::minutes(1));
    ~MailboxLock();
    MailboxLock(MailboxLock&& other) noexcept
        : redis_(other.redis_), key_(std::move(other.key_)), index_(std::exchange(other.index_, {})) {}
    MailboxLock& operator=(MailboxLock&&) = delete;

    Result<void> extend();  // unavailable: it ran out, another may have it

private:
    MailboxLock(RedisClient& redis, std::string key, std::string index)
        : redis_(redis), key_(std::move(key)), index_(std::move(index)) {}

    RedisClient& redis_;
    std::string key_;
    std::string index_;  // empty: moved from
};

}  // namespace mallard::store::cluster
