#pragma once
// Events over Redis, in WildDuck's words (storage.md §12.2): a signal "something of this user changed" or an action
// (LOGOUT, DROP), on the channel of all processes or, where `worker_channels` says so, on those of the processes that
// registered themselves for the user.
//
// - publish() never waits for Redis: a thread sends. Signals of one user that wait together are one.
// - Every event, also of this process, comes back from Redis. A signal does not say which mailbox: its event has none
// (nil:
//   any of the user's). Signals are delivered 100 ms after the last, at most 1 s after the first; actions at once.
// - While Redis is away signals are lost; when it is back every subscriber gets one.
// - A watch (change_signals.hpp) moves at once with each signal that is not the echo of our own. WildDuck's signal does
//   not say who sent it, so echoes are counted: as many as we sent are ours. Whenever the count may be wrong (a publish
//   failed, the connection was lost) all watches move and counting begins anew.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/cluster/change_signals.hpp"
#include "store/cluster/redis_client.hpp"
#include "store/events.hpp"

namespace mallard::store::cluster {

struct EventsConfig {
    std::string worker_id;                  // empty: "<host name>:<process id>"
    std::function<bool()> worker_channels;  // setting const:imap:use_wd_worker_channels; asked every 5 s; empty: false
    std::chrono::milliseconds coalesce{100};
    std::chrono::milliseconds coalesce_max{1'000};
    std::chrono::seconds worker_ttl{120};     // imap.notifyUserWorkersTtl
    std::chrono::seconds worker_refresh{30};  // imap.notifyUserWorkersRefresh
};

class ClusterEvents final : public Events, public ChangeSignals {
public:
    ClusterEvents(RedisClient& redis, EventsConfig config);
    ~ClusterEvents() override;

    std::unique_ptr<Subscription> subscribe(UserId user, std::function<void(Event const&)> callback) override;
    void publish(Event const& event) override;
    std::shared_ptr<Watch> watch(UserId user) override;

    // Who else listens to events of this Redis database, as every process does that serves from the store: Mallards by
    // name ("mallard:<host>:<pid>"), WildDucks by address, each once. not_supported: Redis does not tell us.
    Result<std::vector<std::string>> listeners_elsewhere();

private:
    class Handle;
    class HeardWatch;
    struct Watched {
        std::weak_ptr<HeardWatch> watch;
        std::shared_ptr<std::atomic<std::uint64_t>> number;
        std::uint64_t own = 0;  // signals we sent that have not come back yet
    };
    using Callbacks = std::list<std::function<void(Event const&)>>;
    using Time = std::chrono::steady_clock::time_point;
    struct Pending {
        Time first, due;
    };
    struct Outgoing {
        enum class Kind { payload, enlist, leave } kind = Kind::payload;
        UserId user;
        std::string payload;
        bool signal = false;
    };

    void hear(std::string_view payload);
    void signal(UserId user);
    void deliver(Event const& event);
    void on_connected();
    void on_lost();
    void count_own(UserId user, int by);
    void move_watch(UserId user, bool maybe_own);
    void move_all_watches();
    void send_loop();
    void timer_loop();
    void send(Outgoing const& out);
    void enqueue(Outgoing out);
    void enlist_all();
    bool by_worker_channels();
    std::string client_name() const;
    Result<void> enlist(UserId user);

    RedisClient& redis_;
    EventsConfig config_;

    std::shared_mutex callbacks_mutex_;  // shared while callbacks run: none runs once its Subscription is gone
    std::unordered_map<UserId, Callbacks> callbacks_;

    std::mutex watched_mutex_;
    std::unordered_map<UserId, Watched> watched_;
    std::atomic<bool> hears_ = false;     // connected and subscribed
    std::atomic<bool> unlisted_ = false;  // senders that look for us in the lists may not find us

    std::mutex out_mutex_;
    std::condition_variable out_ready_;
    std::deque<Outgoing> out_;
    std::unordered_set<UserId> out_signals_;  // users whose signal waits in out_

    std::mutex pending_mutex_;
    std::condition_variable pending_changed_;
    std::unordered_map<UserId, Pending> pending_;

    std::mutex mode_mutex_;
    Time mode_asked_{};
    bool mode_ = false;

    std::atomic<bool> stop_ = false;
    std::mutex connected_mutex_;
    std::condition_variable connected_changed_;
    bool connected_ = false;
    std::thread sender_;
    std::thread timer_;
    std::unique_ptr<RedisSubscriber> subscriber_;
};

}  // namespace mallard::store::cluster
