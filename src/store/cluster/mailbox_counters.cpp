#include "store/cluster/mailbox_counters.hpp"

namespace mallard::store::cluster {

namespace {

constexpr std::string_view counter_ttl_seconds = "86400";

// KEYS: total; ARGV: unseen's key, by how much each, whether unseen goes, ttl.
constexpr RedisScript adjust_script{R"(
local function add(key, by)
    if by == 0 or redis.call('EXISTS', key) == 0 then return end
    if redis.call('INCRBY', key, by) < 0 then redis.call('DEL', key) else redis.call('EXPIRE', key, ARGV[5]) end
end
add(KEYS[1], tonumber(ARGV[2]))
if ARGV[4] == '1' then redis.call('DEL', ARGV[1]) else add(ARGV[1], tonumber(ARGV[3])) end
return 1
)"};

}  // namespace

void adjust_counters(RedisClient& redis, MailboxId mailbox, CounterChange const& change) {
    if (!change.any()) return;
    std::string const total = "total:" + mailbox.hex(), unseen = "unseen:" + mailbox.hex();
    auto const done = redis.run(adjust_script, total,
                                {unseen, std::to_string(change.total), std::to_string(change.unseen),
                                 change.unseen_unknown ? "1" : "0", std::string(counter_ttl_seconds)},
                                RedisClient::Repeat::no);
    if (!done) (void)redis.command({"DEL", total, unseen});
}

}  // namespace mallard::store::cluster
