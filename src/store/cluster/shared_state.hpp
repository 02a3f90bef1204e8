#pragma once
// SharedState on Redis: WildDuck's keys (storage.md §14) in WildDuck's forms: ttlcounters are decimal strings with a
// TTL, limitedcounters hashes with a `_version`, tokens and challenges hashes. Whatever must be atomic is a script.

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "store/cluster/redis_client.hpp"
#include "store/shared_state.hpp"

namespace mallard::store::cluster {

class ClusterSharedState final : public SharedState {
public:
    // `version`: when the installation's oldest count may be from, in ms: the start of this process (storage.md §13: a
    // newer process drops counts of connections that died with an older one).
    ClusterSharedState(RedisClient& redis, std::int64_t version) : redis_(redis), version_(version) {}

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

private:
    Result<CounterState> add_limited(std::string const& key, std::string const& field, std::int64_t by,
                                     std::int64_t limit);
    void pay_owed();

    RedisClient& redis_;
    std::int64_t const version_;
    std::mutex owed_mutex_;
    std::map<std::pair<std::string, std::string>, std::int64_t> owed_;  // what could not be taken off: key, field
};

}  // namespace mallard::store::cluster
