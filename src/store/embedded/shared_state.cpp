#include "store/embedded/shared_state.hpp"

#include <algorithm>

#include "store/bson.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

// table_state: "h" key -> BSON {ends, fields}; "s" key NUL member -> nothing. No key contains NUL.
std::string hash_row(std::string_view key) { return std::string("h").append(key); }
std::string set_prefix(std::string_view key) { return std::string("s").append(key).append(1, '\0'); }
std::string set_row(std::string_view key, std::string_view member) { return set_prefix(key).append(member); }

std::int64_t ms_of(std::chrono::seconds seconds) { return std::chrono::milliseconds(seconds).count(); }

// Prolonging a token at each use is not worth a write each time.
bool worth_keeping(TimeMs kept_ends, TimeMs ends, std::int64_t ttl_ms) {
    std::int64_t const slack = std::max<std::int64_t>(60'000, ttl_ms / 100);
    return kept_ends == 0 || ends < kept_ends || ends - kept_ends > slack;
}

std::chrono::seconds seconds_until(TimeMs ends, TimeMs now) { return std::chrono::seconds((ends - now + 999) / 1000); }

}  // namespace

Result<void> EmbeddedSharedState::open() {
    kv::WriteBatch expired;
    auto cursor = engine_.scan(table_state, {});
    for (; cursor->valid(); cursor->next()) {
        auto row = cursor->key();
        char const kind = row.front();
        row.remove_prefix(1);
        if (kind == 's') {
            auto const end = row.find('\0');
            if (end == std::string_view::npos) continue;
            shard_of(row.substr(0, end)).sets[std::string(row.substr(0, end))].emplace(row.substr(end + 1));
            continue;
        }
        MALLARD_TRY_ASSIGN(auto const document, bson::Document::decode(cursor->value()));
        HashEntry entry{.ends = document.date("ends").value_or(0), .kept = true};
        entry.kept_ends = entry.ends;
        if (!live(entry.ends)) {
            expired.erase(table_state, cursor->key());
            continue;
        }
        if (auto const* fields = document.document("fields"))
            for (auto const& field : fields->fields()) entry.fields[field.key] = fields->text(field.key);
        shard_of(row).hashes[std::string(row)] = std::move(entry);
    }
    MALLARD_TRY(cursor->status());
    return expired.empty() ? Result<void>() : engine_.commit(expired, kv::Durability::async);
}

Result<void> EmbeddedSharedState::keep(std::string_view key, HashEntry const& entry, kv::Durability durability) {
    bson::Document fields;
    for (auto const& [name, value] : entry.fields) fields.set(name, value);
    bson::Document document{{"fields", std::move(fields)}};
    if (entry.ends != 0) document.set("ends", bson::Date{entry.ends});
    kv::WriteBatch batch;
    batch.put(table_state, hash_row(key), document.encode());
    return engine_.commit(batch, durability);
}

// storage.md §13, ttlcounter.
Result<CounterState> EmbeddedSharedState::count(std::string_view key, std::int64_t by, std::int64_t limit,
                                                std::chrono::seconds window) {
    if (limit <= 0) return CounterState{true, 0, std::chrono::seconds(-1)};
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    TimeMs const now = clock_.now();
    auto counter = shard.counters.find(key);
    if (counter != shard.counters.end() && counter->second.ends <= now) {
        shard.counters.erase(counter);
        counter = shard.counters.end();
    }
    if (counter != shard.counters.end() && counter->second.value >= limit)
        return CounterState{false, counter->second.value, seconds_until(counter->second.ends, now)};
    if (by <= 0) {
        if (counter == shard.counters.end()) return CounterState{true, 0, std::chrono::seconds(-2)};
        return CounterState{true, counter->second.value, seconds_until(counter->second.ends, now)};
    }
    if (counter == shard.counters.end())
        counter = shard.counters.emplace(std::string(key), Counter{0, now + ms_of(window)}).first;
    counter->second.value += by;
    return CounterState{true, counter->second.value, seconds_until(counter->second.ends, now)};
}

// storage.md §13, limitedcounter.
Result<CounterState> EmbeddedSharedState::count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                                        std::int64_t limit) {
    constexpr std::chrono::seconds no_window(-1);
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    auto fields = shard.limited.find(key);
    if (fields == shard.limited.end()) {
        if (by <= 0) return CounterState{true, 0, no_window};
        fields = shard.limited.emplace(std::string(key), Map<std::int64_t>{}).first;
    }
    auto at = fields->second.find(field);
    std::int64_t const current = at == fields->second.end() ? 0 : at->second;
    if (by == 0 || (by < 0 && current < 1)) return CounterState{true, current, no_window};
    if (by > 0 && limit > 0 && current >= limit) return CounterState{false, current, no_window};
    std::int64_t const value = current + by;
    if (value <= 0)
        fields->second.erase(at);
    else if (at == fields->second.end())
        fields->second.emplace(std::string(field), value);
    else
        at->second = value;
    return CounterState{true, value, no_window};
}

Result<void> EmbeddedSharedState::erase(std::string_view key) {
    auto& shard = shard_of(key);
    {
        std::lock_guard lock(shard.mutex);
        auto const counter = shard.counters.find(key);
        if (counter != shard.counters.end()) shard.counters.erase(counter);
        auto const limited = shard.limited.find(key);
        if (limited != shard.limited.end()) shard.limited.erase(limited);
        if (!shard.hashes.contains(key) && !shard.sets.contains(key)) return {};
    }
    std::lock_guard write_lock(shard.write_mutex);
    kv::WriteBatch batch;
    batch.erase(table_state, hash_row(key));
    batch.erase_range(table_state, set_prefix(key), kv::KeyRange::prefix(set_prefix(key)).last);
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    std::lock_guard lock(shard.mutex);
    if (auto const entry = shard.hashes.find(key); entry != shard.hashes.end()) shard.hashes.erase(entry);
    if (auto const set = shard.sets.find(key); set != shard.sets.end()) shard.sets.erase(set);
    return {};
}

Result<SharedState::Hash> EmbeddedSharedState::hash(std::string_view key) const {
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    if (auto const entry = shard.hashes.find(key); entry != shard.hashes.end() && live(entry->second.ends))
        return entry->second.fields;
    Hash fields;
    if (auto const limited = shard.limited.find(key); limited != shard.limited.end())
        for (auto const& [field, value] : limited->second) fields[field] = std::to_string(value);
    return fields;
}

Result<void> EmbeddedSharedState::set_hash(std::string_view key, Hash const& fields,
                                           std::optional<std::chrono::seconds> ttl) {
    return merge(key, fields, ttl, kv::Durability::sync);
}

Result<void> EmbeddedSharedState::merge(std::string_view key, Hash const& fields,
                                        std::optional<std::chrono::seconds> ttl, kv::Durability durability) {
    auto& shard = shard_of(key);
    std::lock_guard write_lock(shard.write_mutex);
    HashEntry entry;
    {
        std::lock_guard lock(shard.mutex);
        if (auto const old = shard.hashes.find(key); old != shard.hashes.end() && live(old->second.ends))
            entry = old->second;
    }
    for (auto const& [name, value] : fields) entry.fields.insert_or_assign(name, value);
    if (ttl) entry.ends = clock_.now() + ms_of(*ttl);
    bool const was_kept = entry.kept;
    entry.kept = is_lasting(key);
    if (entry.kept) {
        entry.kept_ends = entry.ends;
        MALLARD_TRY(keep(key, entry, durability));
    } else if (was_kept) {
        kv::WriteBatch batch;
        batch.erase(table_state, hash_row(key));
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    }
    std::lock_guard lock(shard.mutex);
    shard.hashes.insert_or_assign(std::string(key), std::move(entry));
    return {};
}

Result<void> EmbeddedSharedState::erase_field(std::string_view key, std::string_view field) {
    auto& shard = shard_of(key);
    std::lock_guard write_lock(shard.write_mutex);
    HashEntry entry;
    {
        std::lock_guard lock(shard.mutex);
        if (auto const limited = shard.limited.find(key); limited != shard.limited.end())
            if (auto const at = limited->second.find(field); at != limited->second.end()) limited->second.erase(at);
        auto const old = shard.hashes.find(key);
        if (old == shard.hashes.end() || !old->second.fields.contains(field)) return {};
        entry = old->second;
    }
    entry.fields.erase(entry.fields.find(field));
    if (entry.kept) {
        if (!entry.fields.empty()) {
            MALLARD_TRY(keep(key, entry, kv::Durability::sync));
        } else {
            kv::WriteBatch batch;
            batch.erase(table_state, hash_row(key));
            MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
        }
    }
    std::lock_guard lock(shard.mutex);
    if (entry.fields.empty())
        shard.hashes.erase(shard.hashes.find(key));
    else
        shard.hashes.insert_or_assign(std::string(key), std::move(entry));
    return {};
}

Result<void> EmbeddedSharedState::expire(std::string_view key, std::chrono::seconds ttl) {
    auto& shard = shard_of(key);
    TimeMs const ends = clock_.now() + ms_of(ttl);
    {
        std::lock_guard lock(shard.mutex);
        if (auto const counter = shard.counters.find(key); counter != shard.counters.end()) counter->second.ends = ends;
        auto const entry = shard.hashes.find(key);
        if (entry == shard.hashes.end() || !live(entry->second.ends)) return {};
        if (!entry->second.kept || !worth_keeping(entry->second.kept_ends, ends, ms_of(ttl))) {
            entry->second.ends = ends;
            return {};
        }
    }
    return merge(key, {}, ttl, kv::Durability::async);
}

Result<std::vector<std::string>> EmbeddedSharedState::keys(std::string_view prefix) const {
    std::vector<std::string> found;
    auto const take = [&](auto const& map, auto const& is_live) {
        for (auto const& [key, entry] : map)
            if (std::string_view(key).starts_with(prefix) && is_live(entry)) found.push_back(key);
    };
    for (auto const& shard : shards_) {
        std::lock_guard lock(shard.mutex);
        take(shard.counters, [&](Counter const& counter) { return live(counter.ends); });
        take(shard.hashes, [&](HashEntry const& entry) { return live(entry.ends); });
        take(shard.limited, [](auto const& fields) { return !fields.empty(); });
        take(shard.sets, [](auto const& set) { return !set.empty(); });
    }
    std::ranges::sort(found);
    auto const [first, last] = std::ranges::unique(found);
    found.erase(first, last);
    return found;
}

Result<std::vector<StateEntry>> EmbeddedSharedState::entries(std::string_view prefix) const {
    std::vector<StateEntry> found;
    TimeMs const now = clock_.now();
    for (auto const& shard : shards_) {
        std::lock_guard lock(shard.mutex);
        for (auto const& [key, entry] : shard.hashes) {
            if (!std::string_view(key).starts_with(prefix) || !live(entry.ends)) continue;
            auto& out = found.emplace_back(StateEntry{.key = key, .fields = entry.fields, .members = {}, .ttl = {}});
            if (entry.ends != 0) out.ttl = seconds_until(entry.ends, now);
        }
        for (auto const& [key, set] : shard.sets)
            if (std::string_view(key).starts_with(prefix) && !set.empty())
                found.push_back({.key = key, .fields = {}, .members = {set.begin(), set.end()}, .ttl = {}});
    }
    std::ranges::sort(found, {}, &StateEntry::key);
    return found;
}

Result<void> EmbeddedSharedState::add_member(std::string_view key, std::string_view member) {
    auto& shard = shard_of(key);
    std::lock_guard write_lock(shard.write_mutex);
    if (is_lasting(key)) {
        kv::WriteBatch batch;
        batch.put(table_state, set_row(key, member), "");
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    }
    std::lock_guard lock(shard.mutex);
    shard.sets[std::string(key)].emplace(member);
    return {};
}

Result<void> EmbeddedSharedState::erase_member(std::string_view key, std::string_view member) {
    auto& shard = shard_of(key);
    std::lock_guard write_lock(shard.write_mutex);
    kv::WriteBatch batch;
    batch.erase(table_state, set_row(key, member));
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    std::lock_guard lock(shard.mutex);
    auto const set = shard.sets.find(key);
    if (set == shard.sets.end()) return {};
    if (auto const at = set->second.find(member); at != set->second.end()) set->second.erase(at);
    if (set->second.empty()) shard.sets.erase(set);
    return {};
}

Result<std::vector<std::string>> EmbeddedSharedState::members(std::string_view key) const {
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    auto const set = shard.sets.find(key);
    if (set == shard.sets.end()) return std::vector<std::string>{};
    return std::vector<std::string>(set->second.begin(), set->second.end());
}

Result<bool> EmbeddedSharedState::is_member(std::string_view key, std::string_view member) const {
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    auto const set = shard.sets.find(key);
    return set != shard.sets.end() && set->second.contains(member);
}

Result<void> EmbeddedSharedState::sweep() {
    for (auto& shard : shards_) {
        std::lock_guard write_lock(shard.write_mutex);
        kv::WriteBatch batch;
        {
            std::lock_guard lock(shard.mutex);
            std::erase_if(shard.counters, [&](auto const& item) { return !live(item.second.ends); });
            std::erase_if(shard.limited, [](auto const& item) { return item.second.empty(); });
            std::erase_if(shard.hashes, [&](auto const& item) {
                if (live(item.second.ends)) return false;
                if (item.second.kept) batch.erase(table_state, hash_row(item.first));
                return true;
            });
        }
        if (!batch.empty()) MALLARD_TRY(engine_.commit(batch, kv::Durability::async));
    }
    return {};
}

}  // namespace mallard::store::embedded
