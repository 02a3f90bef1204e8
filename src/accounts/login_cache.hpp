#pragma once
// LoginCache: credentials that were verified a moment ago, as a keyed hash (the key is random and never leaves the
// process). A change of the user's password or state drops all of the user's entries, those on their way in included.

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "accounts/accounts.hpp"

namespace mallard::accounts {

class LoginCache {
public:
    LoginCache(int seconds, Clock const& clock);

    std::string digest(Credentials const& credentials) const;
    std::optional<Login> find(std::string const& digest);
    // Taken before the user is read; put() does nothing when drop() came after.
    std::uint64_t ticket(UserId user) const { return drops_of(user).load(); }
    // Gives back how often the entry it replaces was found.
    std::int64_t put(std::string const& digest, Login login, std::uint64_t ticket);
    void drop(UserId user) { ++drops_of(user); }

private:
    struct Entry {
        Login login;
        std::uint64_t ticket;
        TimeMs until;
        std::int64_t hits = 0;
    };
    struct Shard {
        std::mutex mutex;
        std::unordered_map<std::string, Entry> entries;
    };

    std::atomic<std::uint64_t>& drops_of(UserId user) const {
        return drops_[std::hash<UserId>{}(user) >> 32 & (drops_.size() - 1)];
    }
    Shard& shard_of(std::string const& digest) {
        return shards_[static_cast<unsigned char>(digest[0]) % shards_.size()];
    }

    std::string key_;
    TimeMs lifetime_;
    Clock const& clock_;
    mutable std::array<std::atomic<std::uint64_t>, 1024> drops_{};  // shared by few users each
    std::array<Shard, 32> shards_;
};

}  // namespace mallard::accounts
