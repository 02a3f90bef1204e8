#include "store/cluster/shared_state.hpp"

#include <algorithm>

namespace mallard::store::cluster {

namespace {

constexpr std::chrono::seconds default_window{86'400};
constexpr std::string_view version_field = "_version";

// ttlcounter(key, by, limit, window): the window starts at the first increment and is not extended.
constexpr RedisScript ttl_counter{R"(
local key, by, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(redis.call('GET', key) or 0)
if now >= limit then return {0, now, redis.call('TTL', key)} end
if by > 0 then
    local starts = now == 0
    now = redis.call('INCRBY', key, ARGV[1])
    if starts then redis.call('EXPIRE', key, window) end
end
return {1, now, redis.call('TTL', key)}
)"};

// limitedcounter(key, field, by, limit, version): a newer version forgets what older ones counted.
constexpr RedisScript limited_counter{R"(
local key, field, by, limit, version = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if version > tonumber(redis.call('HGET', key, '_version') or 0) then
    redis.call('DEL', key)
    redis.call('HSET', key, '_version', ARGV[4])
end
local now = tonumber(redis.call('HGET', key, field) or 0)
if by > 0 then
    if now >= limit then return {0, now} end
    now = redis.call('HINCRBY', key, field, ARGV[2])
elseif by < 0 and now >= 1 then
    now = redis.call('HINCRBY', key, field, ARGV[2])
end
return {1, now}
)"};

// Fields, then the time to live of the whole, so that no hash without its time can be left behind.
constexpr RedisScript hash_with_ttl{R"(
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return redis.call('EXPIRE', KEYS[1], ARGV[1])
)"};

Result<CounterState> state_of(RedisReply const& reply) {
    if (reply.list.size() < 2) return fail(ErrorKind::corrupt, "Redis gave an answer of another form");
    std::chrono::seconds const resets(reply.list.size() > 2 ? reply.list[2].integer : -1);
    return CounterState{reply.list[0].integer == 1, reply.list[1].integer, resets};
}

std::string escaped_pattern(std::string_view prefix) {
    std::string out;
    for (char c : prefix) {
        if (std::string_view("*?[]\\^").contains(c)) out.push_back('\\');
        out.push_back(c);
    }
    return out + "*";
}

}  // namespace

Result<CounterState> ClusterSharedState::count(std::string_view key, std::int64_t by, std::int64_t limit,
                                               std::chrono::seconds window) {
    if (limit <= 0) return CounterState{true, 0, std::chrono::seconds(-1)};  // as WildDuck: Redis is not asked
    if (window.count() <= 0) window = default_window;
    MALLARD_TRY_ASSIGN(
        auto const reply,
        redis_.run(ttl_counter, key, {std::to_string(by), std::to_string(limit), std::to_string(window.count())}));
    return state_of(reply);
}

Result<CounterState> ClusterSharedState::add_limited(std::string const& key, std::string const& field, std::int64_t by,
                                                     std::int64_t limit) {
    MALLARD_TRY_ASSIGN(
        auto const reply,
        redis_.run(limited_counter, key, {field, std::to_string(by), std::to_string(limit), std::to_string(version_)}));
    return state_of(reply);
}

// A connection that ended while Redis was away would count for ever. Should Redis have heard of it after all, the count
// is too low for a while: better than shutting the user out.
void ClusterSharedState::pay_owed() {
    decltype(owed_) owed;
    {
        std::lock_guard const lock(owed_mutex_);
        owed.swap(owed_);
    }
    bool reached = true;
    for (auto& [counter, times] : owed)
        while (times > 0 && (reached = reached && add_limited(counter.first, counter.second, -1, 0).has_value()))
            --times;
    if (reached) return;
    std::lock_guard const lock(owed_mutex_);
    for (auto const& [counter, times] : owed)
        if (times > 0) owed_[counter] += times;
}

Result<CounterState> ClusterSharedState::count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                                       std::int64_t limit) {
    pay_owed();
    std::pair const counter{std::string(key), std::string(field)};
    auto result = add_limited(counter.first, counter.second, by, limit);
    if (!result && by < 0) {
        std::lock_guard const lock(owed_mutex_);
        owed_[counter] -= by;
    }
    return result;
}

Result<void> ClusterSharedState::erase(std::string_view key) {
    MALLARD_TRY(redis_.command({"DEL", key}));
    return {};
}

Result<SharedState::Hash> ClusterSharedState::hash(std::string_view key) const {
    MALLARD_TRY_ASSIGN(auto reply, redis_.command({"HGETALL", key}));
    Hash out;
    for (std::size_t i = 0; i + 1 < reply.list.size(); i += 2)
        if (reply.list[i].text != version_field)
            out.emplace(std::move(reply.list[i].text), std::move(reply.list[i + 1].text));
    return out;
}

Result<void> ClusterSharedState::set_hash(std::string_view key, Hash const& fields,
                                          std::optional<std::chrono::seconds> ttl) {
    if (ttl) {
        std::vector<std::string> arguments = {std::to_string(ttl->count())};
        for (auto const& [field, value] : fields) {
            arguments.push_back(field);
            arguments.push_back(value);
        }
        MALLARD_TRY(redis_.run(hash_with_ttl, key, arguments, RedisClient::Repeat::yes));
        return {};
    }
    if (fields.empty()) return {};
    std::vector<std::string_view> words = {"HSET", key};
    for (auto const& [field, value] : fields) {
        words.push_back(field);
        words.push_back(value);
    }
    MALLARD_TRY(redis_.command(words));
    return {};
}

Result<void> ClusterSharedState::erase_field(std::string_view key, std::string_view field) {
    MALLARD_TRY(redis_.command({"HDEL", key, field}));
    return {};
}

Result<void> ClusterSharedState::expire(std::string_view key, std::chrono::seconds ttl) {
    MALLARD_TRY(redis_.command({"EXPIRE", key, std::to_string(ttl.count())}));
    return {};
}

Result<std::vector<std::string>> ClusterSharedState::keys(std::string_view prefix) const {
    std::vector<std::string> out;
    std::string const pattern = escaped_pattern(prefix);
    std::string cursor = "0";
    do {
        MALLARD_TRY_ASSIGN(auto reply, redis_.command({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"}));
        if (reply.list.size() != 2) return fail(ErrorKind::corrupt, "Redis gave an answer of another form");
        cursor = reply.list[0].text;
        for (auto& key : reply.list[1].list) out.push_back(std::move(key.text));
    } while (cursor != "0");
    std::ranges::sort(out);  // SCAN may give one twice
    auto const [first, last] = std::ranges::unique(out);
    out.erase(first, last);
    return out;
}

Result<std::vector<StateEntry>> ClusterSharedState::entries(std::string_view prefix) const {
    std::vector<StateEntry> found;
    MALLARD_TRY_ASSIGN(auto const names, keys(prefix));
    for (auto const& key : names) {
        MALLARD_TRY_ASSIGN(auto const type, redis_.command({"TYPE", key}));
        StateEntry entry{.key = key, .fields = {}, .members = {}, .ttl = {}};
        if (type.text == "hash") {
            MALLARD_TRY_ASSIGN(entry.fields, hash(key));
        } else if (type.text == "set") {
            MALLARD_TRY_ASSIGN(entry.members, members(key));
            std::ranges::sort(entry.members);
        }
        if (entry.fields.empty() && entry.members.empty()) continue;  // a counter, or gone meanwhile
        MALLARD_TRY_ASSIGN(auto const left, redis_.command({"PTTL", key}));
        if (left.integer >= 0) entry.ttl = std::chrono::seconds((left.integer + 999) / 1000);
        found.push_back(std::move(entry));
    }
    return found;
}

Result<void> ClusterSharedState::add_member(std::string_view key, std::string_view member) {
    MALLARD_TRY(redis_.command({"SADD", key, member}));
    return {};
}

Result<void> ClusterSharedState::erase_member(std::string_view key, std::string_view member) {
    MALLARD_TRY(redis_.command({"SREM", key, member}));
    return {};
}

Result<std::vector<std::string>> ClusterSharedState::members(std::string_view key) const {
    MALLARD_TRY_ASSIGN(auto reply, redis_.command({"SMEMBERS", key}));
    std::vector<std::string> out;
    for (auto& member : reply.list) out.push_back(std::move(member.text));
    return out;
}

Result<bool> ClusterSharedState::is_member(std::string_view key, std::string_view member) const {
    MALLARD_TRY_ASSIGN(auto const reply, redis_.command({"SISMEMBER", key, member}));
    return reply.integer == 1;
}

}  // namespace mallard::store::cluster
