#include "store/cluster/events.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"

namespace mallard::store::cluster {

namespace {

constexpr LogContext who{.component = "events"};
constexpr std::string_view channel_of_all = "wd_events";
constexpr std::string_view channel_of_worker = "wd_events:worker:";
constexpr std::chrono::seconds mode_kept{5};
constexpr std::chrono::seconds list_ttl{180};
constexpr std::chrono::seconds first_connection_max{3};
constexpr std::size_t outgoing_max = 100'000;

// To every process that listens for the user; whether that of ARGV[3] is one of them.
constexpr RedisScript publish_to_workers{R"(
local workers = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')
local own = 0
for _, worker in ipairs(workers) do
    redis.call('PUBLISH', 'wd_events:worker:' .. worker, ARGV[2])
    if worker == ARGV[3] then own = 1 end
end
return own
)"};

// Enters this process in the list of those that listen for the user, and strikes out the dead.
constexpr RedisScript enlist_worker{R"(
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
return redis.call('EXPIRE', KEYS[1], ARGV[4])
)"};

std::string list_key(UserId user) { return "wd:imap:users:" + user.hex(); }

std::string default_worker_id() {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '-';
    return std::string(host.data()) + ":" + std::to_string(getpid());
}

std::string payload_of(Event const& event) {
    std::string const head = "{\"e\":\"" + event.user.hex() + "\"";
    switch (event.kind) {
        case Event::Kind::mailbox_changed:
        case Event::Kind::mailbox_created:
        case Event::Kind::mailbox_renamed: return head + "}";  // 32 bytes: readers have a fast path for it
        case Event::Kind::mailbox_deleted:
            return head + R"(,"p":{"command":"DROP","mailbox":")" + event.mailbox.hex() + "\"}}";
        case Event::Kind::logout:
            return head + R"(,"p":{"command":"LOGOUT","reason":)" +
                   nlohmann::json(event.reason).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "}}";
    }
    return head + "}";
}

}  // namespace

class ClusterEvents::Handle final : public Subscription {
public:
    Handle(ClusterEvents& events, UserId user, Callbacks::iterator place)
        : events_(events), user_(user), place_(place) {}
    ~Handle() override {
        {
            std::unique_lock lock(events_.callbacks_mutex_);
            auto const callbacks = events_.callbacks_.find(user_);
            callbacks->second.erase(place_);
            if (!callbacks->second.empty()) return;
            events_.callbacks_.erase(callbacks);
        }
        events_.enqueue({.kind = Outgoing::Kind::leave, .user = user_});
    }

private:
    ClusterEvents& events_;
    UserId user_;
    Callbacks::iterator place_;
};

class ClusterEvents::HeardWatch final : public Watch {
public:
    HeardWatch(ClusterEvents& events, UserId user) : events_(events), user_(user) {}
    ~HeardWatch() override {
        std::lock_guard lock(events_.watched_mutex_);
        auto const at = events_.watched_.find(user_);
        if (at != events_.watched_.end() && at->second.watch.expired()) events_.watched_.erase(at);
    }
    std::optional<std::uint64_t> moment() const override {
        if (!events_.hears_ || events_.unlisted_) return std::nullopt;
        return number->load();
    }

    std::shared_ptr<std::atomic<std::uint64_t>> const number = std::make_shared<std::atomic<std::uint64_t>>(0);
    std::unique_ptr<Subscription> subscription;  // makes us one who listens for the user

private:
    ClusterEvents& events_;
    UserId user_;
};

ClusterEvents::ClusterEvents(RedisClient& redis, EventsConfig config) : redis_(redis), config_(std::move(config)) {
    if (config_.worker_id.empty()) config_.worker_id = default_worker_id();
    sender_ = std::thread([this] { send_loop(); });
    timer_ = std::thread([this] { timer_loop(); });
    subscriber_ = std::make_unique<RedisSubscriber>(
        redis.config(), std::vector{std::string(channel_of_all), std::string(channel_of_worker) + config_.worker_id},
        [this](std::string_view, std::string_view payload) { hear(payload); }, [this] { on_connected(); },
        [this] { on_lost(); }, client_name());
    // What is published right after this shall be heard; if Redis is away, it is later.
    std::unique_lock lock(connected_mutex_);
    connected_changed_.wait_for(lock, first_connection_max, [&] { return connected_; });
}

ClusterEvents::~ClusterEvents() {
    subscriber_.reset();
    {
        std::scoped_lock lock(out_mutex_, pending_mutex_);
        stop_ = true;
    }
    out_ready_.notify_all();
    pending_changed_.notify_all();
    sender_.join();
    timer_.join();
}

std::unique_ptr<Subscription> ClusterEvents::subscribe(UserId user, std::function<void(Event const&)> callback) {
    std::unique_ptr<Subscription> handle;
    bool first = false;
    {
        std::unique_lock lock(callbacks_mutex_);
        auto& callbacks = callbacks_[user];
        first = callbacks.empty();
        callbacks.push_back(std::move(callback));
        handle = std::make_unique<Handle>(*this, user, std::prev(callbacks.end()));
    }
    if (!first) return handle;
    // Where senders look for us in the list, nothing is missed once this returns.
    bool const looked_for = by_worker_channels();
    if (looked_for && enlist(user)) return handle;
    if (looked_for) unlisted_ = true;  // until all are entered anew
    enqueue({.kind = Outgoing::Kind::enlist, .user = user});
    return handle;
}

std::shared_ptr<ChangeSignals::Watch> ClusterEvents::watch(UserId user) {
    std::shared_ptr<HeardWatch> made;
    {
        std::lock_guard lock(watched_mutex_);
        auto& watched = watched_[user];
        if (auto const there = watched.watch.lock()) return there;
        made = std::make_shared<HeardWatch>(*this, user);
        watched = {.watch = made, .number = made->number, .own = 0};
    }
    made->subscription = subscribe(user, [](Event const&) {});
    return made;
}

void ClusterEvents::count_own(UserId user, int by) {
    std::lock_guard lock(watched_mutex_);
    auto const at = watched_.find(user);
    if (at == watched_.end()) return;
    if (by > 0 || at->second.own > 0) at->second.own += static_cast<std::uint64_t>(static_cast<std::int64_t>(by));
}

void ClusterEvents::move_watch(UserId user, bool maybe_own) {
    std::lock_guard lock(watched_mutex_);
    auto const at = watched_.find(user);
    if (at == watched_.end()) return;
    if (maybe_own && at->second.own > 0) {
        --at->second.own;
        return;
    }
    ++*at->second.number;
}

void ClusterEvents::move_all_watches() {
    std::lock_guard lock(watched_mutex_);
    for (auto& [user, watched] : watched_) {
        watched.own = 0;
        ++*watched.number;
    }
}

void ClusterEvents::on_lost() {
    hears_ = false;
    move_all_watches();
}

// Redis takes no spaces in it.
std::string ClusterEvents::client_name() const {
    std::string name = "mallard:" + config_.worker_id;
    std::ranges::replace_if(name, [](unsigned char c) { return c <= ' ' || c > '~'; }, '_');
    return name;
}

Result<std::vector<std::string>> ClusterEvents::listeners_elsewhere() {
    auto const clients = redis_.command({"CLIENT", "LIST", "TYPE", "pubsub"});
    if (!clients && clients.error().kind == ErrorKind::io)
        return fail(ErrorKind::not_supported, "Redis does not tell who uses it", clients.error().context);
    MALLARD_TRY(clients);
    std::vector<std::string> others;
    std::istringstream lines(clients->text);
    for (std::string line; std::getline(lines, line);) {
        std::map<std::string, std::string, std::less<>> fields;
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            auto const equals = std::min(word.find('='), word.size() - 1);
            fields[word.substr(0, equals)] = word.substr(equals + 1);
        }
        bool const of_ours = fields["db"] == std::to_string(redis_.config().database);
        if (!of_ours || fields["name"] == client_name()) continue;
        others.push_back(fields["name"].empty() ? fields["addr"].substr(0, fields["addr"].rfind(':')) : fields["name"]);
    }
    std::ranges::sort(others);
    others.erase(std::ranges::unique(others).begin(), others.end());
    return others;
}

void ClusterEvents::publish(Event const& event) {
    bool const signal = event.kind != Event::Kind::mailbox_deleted && event.kind != Event::Kind::logout;
    enqueue({.user = event.user, .payload = payload_of(event), .signal = signal});
}

void ClusterEvents::enqueue(Outgoing out) {
    {
        std::lock_guard lock(out_mutex_);
        if (out.signal && !out_signals_.insert(out.user).second) return;  // one waits already
        if (out_.size() >= outgoing_max) {  // Redis has been away for long: the oldest is the least of the losses
            if (out_.front().signal) out_signals_.erase(out_.front().user);
            out_.pop_front();
        }
        out_.push_back(std::move(out));
    }
    out_ready_.notify_one();
}

void ClusterEvents::send_loop() {
    auto refresh_at = std::chrono::steady_clock::now() + config_.worker_refresh;
    std::unique_lock lock(out_mutex_);
    while (true) {
        out_ready_.wait_until(lock, refresh_at, [&] { return stop_ || !out_.empty(); });
        if (out_.empty() && stop_) return;
        if (!out_.empty()) {
            Outgoing const out = std::move(out_.front());
            out_.pop_front();
            if (out.signal) out_signals_.erase(out.user);  // a change from now on needs a signal of its own
            lock.unlock();
            send(out);
            lock.lock();
        }
        if (std::chrono::steady_clock::now() < refresh_at) continue;
        lock.unlock();
        enlist_all();
        refresh_at = std::chrono::steady_clock::now() + config_.worker_refresh;
        lock.lock();
    }
}

void ClusterEvents::send(Outgoing const& out) {
    Result<void> done;
    auto const forget = [](auto&& reply) { return reply ? Result<void>() : std::unexpected(reply.error()); };
    switch (out.kind) {
        case Outgoing::Kind::enlist: done = enlist(out.user); break;
        case Outgoing::Kind::leave: {
            bool again = false;
            {
                std::shared_lock lock(callbacks_mutex_);
                again = callbacks_.contains(out.user);
            }
            if (!again) done = forget(redis_.command({"ZREM", list_key(out.user), config_.worker_id}));
            break;
        }
        case Outgoing::Kind::payload: {
            if (out.signal) count_own(out.user, 1);  // first: its echo may be faster than the reply
            if (!by_worker_channels()) {
                // Should it go out twice, the second echo counts as another's signal, which does no harm.
                done = forget(redis_.command({"PUBLISH", channel_of_all, out.payload}));
                if (!done) move_all_watches();
                break;
            }
            auto const oldest = SystemClock().now() - std::chrono::milliseconds(config_.worker_ttl).count();
            auto const sent =
                redis_.run(publish_to_workers, list_key(out.user),
                           {std::to_string(oldest), out.payload, config_.worker_id}, RedisClient::Repeat::yes);
            if (!sent)
                move_all_watches();
            else if (out.signal && sent->integer == 0)
                count_own(out.user, -1);
            done = forget(sent);
            break;
        }
    }
    if (!done)
        log(LogLevel::debug, who, "Could not tell the other processes",  // that Redis is away was said
            {{"user", out.user.hex()}, {"error", done.error().context}});
}

Result<void> ClusterEvents::enlist(UserId user) {
    auto const now = SystemClock().now();
    auto const oldest = now - std::chrono::milliseconds(config_.worker_ttl).count();
    MALLARD_TRY(
        redis_.run(enlist_worker, list_key(user),
                   {std::to_string(now), std::to_string(oldest), config_.worker_id, std::to_string(list_ttl.count())},
                   RedisClient::Repeat::yes));
    return {};
}

void ClusterEvents::enlist_all() {
    std::vector<UserId> users;
    {
        std::shared_lock lock(callbacks_mutex_);
        for (auto const& [user, callbacks] : callbacks_) users.push_back(user);
    }
    for (auto const& user : users)
        if (!enlist(user)) {  // Redis is away; those that wait for it come first
            unlisted_ = by_worker_channels();
            return;
        }
    if (unlisted_.exchange(false)) move_all_watches();
}

bool ClusterEvents::by_worker_channels() {
    if (!config_.worker_channels) return false;
    std::lock_guard lock(mode_mutex_);
    auto const now = std::chrono::steady_clock::now();
    if (mode_asked_ == Time{} || now - mode_asked_ >= mode_kept) {
        mode_ = config_.worker_channels();
        mode_asked_ = now;
    }
    return mode_;
}

void ClusterEvents::on_connected() {
    move_all_watches();
    hears_ = true;
    {
        std::lock_guard lock(connected_mutex_);
        if (!connected_) {
            connected_ = true;
            connected_changed_.notify_all();
            return;
        }
    }
    std::vector<UserId> users;
    {
        std::shared_lock lock(callbacks_mutex_);
        for (auto const& [user, callbacks] : callbacks_) users.push_back(user);
    }
    for (auto const& user : users) {
        enqueue({.kind = Outgoing::Kind::enlist, .user = user});
        signal(user);
    }
}

void ClusterEvents::hear(std::string_view payload) {
    constexpr std::string_view head = "{\"e\":\"";
    if (payload.size() == 32 && payload.starts_with(head) && payload.ends_with("\"}")) {
        auto const user = UserId::from_hex(payload.substr(head.size(), 24));
        if (!user) return;
        move_watch(*user, true);
        signal(*user);
        return;
    }
    auto const json = nlohmann::json::parse(payload, nullptr, false);
    auto const text = [](nlohmann::json const& object, char const* key) {
        if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return std::string();
        return object[key].get<std::string>();
    };
    auto const user = UserId::from_hex(text(json, "e"));
    if (!user) return;
    move_watch(*user, false);
    if (!json.contains("p")) return signal(*user);
    auto const command = text(json["p"], "command");
    if (command == "LOGOUT")
        deliver({.kind = Event::Kind::logout, .user = *user, .mailbox = {}, .reason = text(json["p"], "reason")});
    else if (auto const mailbox = MailboxId::from_hex(text(json["p"], "mailbox")); command == "DROP" && mailbox)
        deliver({.kind = Event::Kind::mailbox_deleted, .user = *user, .mailbox = *mailbox, .reason = {}});
}

void ClusterEvents::signal(UserId user) {
    {
        std::shared_lock lock(callbacks_mutex_);
        if (!callbacks_.contains(user)) return;
    }
    auto const now = std::chrono::steady_clock::now();
    {
        std::lock_guard lock(pending_mutex_);
        auto const [at, fresh] = pending_.try_emplace(user, Pending{now, now + config_.coalesce});
        if (!fresh) at->second.due = std::min(now + config_.coalesce, at->second.first + config_.coalesce_max);
        if (!fresh) return;  // the timer looks again when the earlier moment has come
    }
    pending_changed_.notify_one();
}

void ClusterEvents::timer_loop() {
    std::unique_lock lock(pending_mutex_);
    while (!stop_) {
        auto const now = std::chrono::steady_clock::now();
        std::vector<UserId> due;
        auto next = now + std::chrono::seconds(10);
        for (auto const& [user, pending] : pending_) {
            if (pending.due <= now)
                due.push_back(user);
            else
                next = std::min(next, pending.due);
        }
        for (auto const& user : due) pending_.erase(user);
        if (due.empty()) {
            pending_changed_.wait_until(lock, next);
            continue;
        }
        lock.unlock();
        for (auto const& user : due)
            deliver({.kind = Event::Kind::mailbox_changed, .user = user, .mailbox = {}, .reason = {}});
        lock.lock();
    }
}

void ClusterEvents::deliver(Event const& event) {
    std::shared_lock lock(callbacks_mutex_);
    auto const callbacks = callbacks_.find(event.user);
    if (callbacks == callbacks_.end()) return;
    for (auto const& callback : callbacks->second) callback(event);
}

}  // namespace mallard::store::cluster
