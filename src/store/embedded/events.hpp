#pragma once
// Events of one process: callbacks by user. A shard's lock is shared while callbacks run and exclusive to subscribe and
// unsubscribe, which is why no callback runs any more once its Subscription is gone, and why none may call back in.

#include <array>
#include <list>
#include <shared_mutex>
#include <unordered_map>

#include "store/events.hpp"

namespace mallard::store::embedded {

class EmbeddedEvents final : public Events {
public:
    std::unique_ptr<Subscription> subscribe(UserId user, std::function<void(Event const&)> callback) override;
    void publish(Event const& event) override;

private:
    using Callbacks = std::list<std::function<void(Event const&)>>;
    struct Shard {
        std::shared_mutex mutex;
        std::unordered_map<UserId, Callbacks> users;
    };
    class Handle;

    Shard& shard_of(UserId user) { return shards_[std::hash<UserId>{}(user) >> 40 & 63]; }

    std::array<Shard, 64> shards_;
};

}  // namespace mallard::store::embedded
