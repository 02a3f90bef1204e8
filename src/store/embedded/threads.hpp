#pragma once
// Threads of conversation: a message joins the thread of the same user that has one of its references and the same
// subject; else it starts one (storage.md §11.4). Thread-safe.

#include <array>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "kv/engine.hpp"

namespace mallard::store::embedded {

class Threads {
public:
    Threads(kv::Engine& engine, Clock const& clock) : engine_(engine), clock_(clock) {}

    // The message's thread; what is new about it goes into the batch.
    Result<ThreadId> join(UserId user, std::vector<std::string> const& refs, std::string_view subject,
                          kv::WriteBatch& batch);

    // Leads the references to this thread, which a message of that time has joined.
    Result<void> lead(UserId user, std::vector<std::string> const& refs, std::string_view subject, ThreadId thread,
                      TimeMs joined, kv::WriteBatch& batch);

    // Forgets threads that are over, a bounded number of rows per call, going round.
    Result<void> expire();

private:
    // Threads begun lately, also by commits that are still on their way: two answers that come at once find each other.
    struct Stripe {
        std::mutex mutex;
        std::unordered_map<std::string, ThreadId> recent;
    };
    static constexpr std::size_t recent_max = 512;  // per stripe; then forgotten all at once

    kv::Engine& engine_;
    Clock const& clock_;
    std::array<Stripe, 64> stripes_;
    std::mutex expiry_mutex_;
    std::string expiry_position_;
};

}  // namespace mallard::store::embedded
