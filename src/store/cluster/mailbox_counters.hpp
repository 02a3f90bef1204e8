#pragma once
// The counters of a mailbox in Redis, total:<id> and unseen:<id> (storage.md §12.3): whoever wants one counts and sets
// it; whoever changes the mailbox adjusts it, if it is there, after the journal is written.

#include "base/ids.hpp"
#include "store/cluster/redis_client.hpp"

namespace mallard::store::cluster {

struct CounterChange {
    std::int64_t total = 0;
    std::int64_t unseen = 0;
    bool unseen_unknown = false;  // flags changed: unseen is counted anew
    bool any() const { return total != 0 || unseen != 0 || unseen_unknown; }
};

// On failure both are removed, if that can be done; they live for a day at most.
void adjust_counters(RedisClient& redis, MailboxId mailbox, CounterChange const& change);

}  // namespace mallard::store::cluster
