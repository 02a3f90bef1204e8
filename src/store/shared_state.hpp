#pragma once
// SharedState: what all processes of a server must see alike but may lose: counters with a time to live, tokens,
// small hashes, locks. In-process (embedded) or Redis (cluster, the keys of storage.md §14). The embedded one persists
// hashes and sets whose keys are among lasting_keys, and nothing else.
// Threads: every call may come from any thread.

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mallard::store {

// How the keys begin of what outlives a restart, and goes along when a store is moved: users with a feature, what POP3
// remembers, addresses exempt from limits, access tokens (storage.md §14).
inline constexpr std::array<std::string_view, 4> lasting_keys = {"feature:", "pxm:", "rl-", "tn:"};

inline bool is_lasting(std::string_view key) {
    return std::ranges::any_of(lasting_keys, [&](auto beginning) { return key.starts_with(beginning); });
}

struct CounterState {
    bool allowed;  // false: the limit was reached before this call
    std::int64_t value;
    std::chrono::seconds resets;  // until the window ends; negative when no window runs
};

// A hash or a set.
struct StateEntry {
    std::string key;
    std::map<std::string, std::string, std::less<>> fields;
    std::vector<std::string> members;
    std::optional<std::chrono::seconds> ttl;  // left to live, rounded up
    bool operator==(StateEntry const&) const = default;
};

class SharedState {
public:
    virtual ~SharedState() = default;

    // ttlcounter (storage.md §13): the window starts at the first increment and is not extended. limit 0: unlimited.
    virtual Result<CounterState> count(std::string_view key, std::int64_t by, std::int64_t limit,
                                       std::chrono::seconds window) = 0;
    // limitedcounter (storage.md §13): `field` of the hash `key` by `by`, refused at `limit`.
    virtual Result<CounterState> count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                               std::int64_t limit) = 0;
    virtual Result<void> erase(std::string_view key) = 0;

    using Hash = std::map<std::string, std::string, std::less<>>;
    virtual Result<Hash> hash(std::string_view key) const = 0;  // empty when absent
    virtual Result<void> set_hash(std::string_view key, Hash const& fields,
                                  std::optional<std::chrono::seconds> ttl = {}) = 0;  // merges; ttl of the whole key
    virtual Result<void> erase_field(std::string_view key, std::string_view field) = 0;
    virtual Result<void> expire(std::string_view key, std::chrono::seconds ttl) = 0;
    virtual Result<std::vector<std::string>> keys(std::string_view prefix) const = 0;  // administration only
    // The hashes and sets under the prefix, by key; counters are left out. Administration only.
    virtual Result<std::vector<StateEntry>> entries(std::string_view prefix) const = 0;

    virtual Result<void> add_member(std::string_view key, std::string_view member) = 0;  // sets
    virtual Result<void> erase_member(std::string_view key, std::string_view member) = 0;
    virtual Result<std::vector<std::string>> members(std::string_view key) const = 0;
    virtual Result<bool> is_member(std::string_view key, std::string_view member) const = 0;
};

}  // namespace mallard::store
