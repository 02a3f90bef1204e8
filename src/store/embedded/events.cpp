#include "store/embedded/events.hpp"

#include <mutex>

namespace mallard::store::embedded {

class EmbeddedEvents::Handle final : public Subscription {
public:
    Handle(Shard& shard, UserId user, Callbacks::iterator place) : shard_(shard), user_(user), place_(place) {}
    ~Handle() override {
        std::unique_lock lock(shard_.mutex);
        auto const callbacks = shard_.users.find(user_);
        callbacks->second.erase(place_);
        if (callbacks->second.empty()) shard_.users.erase(callbacks);
    }

private:
    Shard& shard_;
    UserId user_;
    Callbacks::iterator place_;
};

std::unique_ptr<Subscription> EmbeddedEvents::subscribe(UserId user, std::function<void(Event const&)> callback) {
    auto& shard = shard_of(user);
    std::unique_lock lock(shard.mutex);
    auto& callbacks = shard.users[user];
    callbacks.push_back(std::move(callback));
    return std::make_unique<Handle>(shard, user, std::prev(callbacks.end()));
}

void EmbeddedEvents::publish(Event const& event) {
    auto& shard = shard_of(event.user);
    std::shared_lock lock(shard.mutex);
    auto const callbacks = shard.users.find(event.user);
    if (callbacks == shard.users.end()) return;
    for (auto const& callback : callbacks->second) callback(event);
}

}  // namespace mallard::store::embedded
