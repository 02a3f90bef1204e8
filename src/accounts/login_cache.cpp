#include "accounts/login_cache.hpp"

#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

namespace {

constexpr std::size_t shard_entries_max = 4096;

}  // namespace

LoginCache::LoginCache(int seconds, Clock const& clock) : key_(32, '\0'), lifetime_(seconds * 1000LL), clock_(clock) {
    random_bytes(key_.data(), key_.size());
}

std::string LoginCache::digest(Credentials const& credentials) const {
    // The length of the name keeps name and password apart.
    std::string text = std::to_string(static_cast<int>(credentials.scope));
    text.append(" ").append(std::to_string(credentials.username.size())).append(" ");
    text.append(credentials.username).append(credentials.password);
    return hmac_sha256(key_, text);
}

std::optional<Login> LoginCache::find(std::string const& digest) {
    auto& shard = shard_of(digest);
    std::lock_guard lock(shard.mutex);
    auto const entry = shard.entries.find(digest);
    if (entry == shard.entries.end() || entry->second.until <= clock_.now() ||
        entry->second.ticket != ticket(entry->second.login.user))
        return std::nullopt;
    ++entry->second.hits;
    return entry->second.login;
}

std::int64_t LoginCache::put(std::string const& digest, Login login, std::uint64_t ticket) {
    auto& shard = shard_of(digest);
    std::lock_guard lock(shard.mutex);
    std::int64_t hits = 0;
    if (auto const old = shard.entries.find(digest); old != shard.entries.end()) {
        hits = old->second.hits;
        shard.entries.erase(old);
    }
    if (lifetime_ <= 0 || ticket != this->ticket(login.user)) return hits;
    if (shard.entries.size() >= shard_entries_max) shard.entries.erase(shard.entries.begin());
    shard.entries.emplace(digest, Entry{std::move(login), ticket, clock_.now() + lifetime_});
    return hits;
}

}  // namespace mallard::accounts
