#include "store/cluster/redis_client.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/log.hpp"

namespace mallard::store::cluster {

namespace {

constexpr LogContext who{.component = "redis"};
constexpr std::string_view come_back = "Redis cannot be reached, try again later";

struct ReplyDeleter {
    void operator()(void* reply) const { freeReplyObject(reply); }
};
using RawReply = std::unique_ptr<void, ReplyDeleter>;

RedisReply reply_of(redisReply const& raw) {
    RedisReply out;
    switch (raw.type) {
        case REDIS_REPLY_INTEGER:
            out.kind = RedisReply::Kind::integer;
            out.integer = raw.integer;
            break;
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
        case REDIS_REPLY_ERROR:
            out.kind = raw.type == REDIS_REPLY_ERROR ? RedisReply::Kind::error : RedisReply::Kind::text;
            out.text.assign(raw.str, static_cast<std::size_t>(raw.len));
            break;
        case REDIS_REPLY_ARRAY:
            out.kind = RedisReply::Kind::list;
            for (std::size_t i = 0; i < raw.elements; ++i) out.list.push_back(reply_of(*raw.element[i]));
            break;
        default: break;
    }
    return out;
}

}  // namespace

RedisConnection::RedisConnection(std::unique_ptr<RedisSocket> socket, std::chrono::milliseconds timeout)
    : socket_(std::move(socket)), timeout_(timeout), reader_(redisReaderCreate()) {}

RedisConnection::~RedisConnection() { redisReaderFree(reader_); }

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(RedisConfig const& config) {
    RedisAddress address{.host = config.host, .port = config.port, .unix_socket = config.unix_socket};
    if (!config.sentinels.empty()) {
        MALLARD_TRY_ASSIGN(address, ask_sentinels(config));
    }
    MALLARD_TRY_ASSIGN(auto connection,
                       open_at(address, config.tls, config.user, config.password, config.user_is_optional, config));
    if (!config.sentinels.empty()) {
        // What a sentinel says may be out of date for a moment after a failover.
        MALLARD_TRY_ASSIGN(auto const role, connection->command({"ROLE"}));
        if (role.list.empty() || role.list.front().text != "master")
            return fail(ErrorKind::unavailable, std::string(come_back), "the server at hand is no master");
    }
    if (config.database != 0) MALLARD_TRY(connection->command({"SELECT", std::to_string(config.database)}));
    return connection;
}

Result<std::unique_ptr<RedisConnection>> RedisConnection::open_at(RedisAddress const& address, RedisTls const& tls,
                                                                  std::string const& user, std::string const& password,
                                                                  bool user_is_optional, RedisConfig const& config) {
    MALLARD_TRY_ASSIGN(auto socket, RedisSocket::open(address, tls, config.connect_timeout));
    std::unique_ptr<RedisConnection> connection(new RedisConnection(std::move(socket), config.command_timeout));
    if (password.empty()) return connection;
    auto done = user.empty() ? connection->command({"AUTH", password}) : connection->command({"AUTH", user, password});
    if (!done && done.error().kind == ErrorKind::io && !user.empty() && user_is_optional)
        done = connection->command({"AUTH", password});
    if (!done && done.error().kind == ErrorKind::unavailable) return std::unexpected(done.error());
    if (!done) return fail(ErrorKind::io, "Redis refuses the server's login", done.error().context);
    return connection;
}

Result<RedisAddress> RedisConnection::ask_sentinels(RedisConfig const& config) {
    std::string why;
    RedisTls tls = config.tls;
    tls.enabled = config.sentinel_tls;
    for (auto const& sentinel : config.sentinels) {
        auto connection = open_at(sentinel, tls, config.sentinel_user, config.sentinel_password, false, config);
        if (!connection) {
            why = connection.error().context;
            continue;
        }
        auto const answer = (*connection)->command({"SENTINEL", "get-master-addr-by-name", config.master_name});
        if (!answer) {
            why = answer.error().context;
            continue;
        }
        int port = 0;
        if (answer->list.size() == 2) {
            auto const& text = answer->list[1].text;
            std::from_chars(text.data(), text.data() + text.size(), port);
        }
        if (port > 0 && port <= 65'535)
            return RedisAddress{
                .host = answer->list[0].text, .port = static_cast<std::uint16_t>(port), .unix_socket = {}};
        why = "the sentinels know no master " + config.master_name;
    }
    return fail(ErrorKind::unavailable, std::string(come_back), why);
}

Result<void> RedisConnection::send(std::vector<std::string_view> const& words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (auto const word : words) {
        out += "$" + std::to_string(word.size()) + "\r\n";
        out += word;
        out += "\r\n";
    }
    return socket_->write(out, timeout_);
}

Result<std::optional<RedisReply>> RedisConnection::next_reply() {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_, &raw) != REDIS_OK)
        return fail(ErrorKind::unavailable, std::string(come_back), reader_->errstr);
    if (raw == nullptr) return std::nullopt;
    RawReply const reply(raw);
    return reply_of(*static_cast<redisReply*>(raw));
}

Result<RedisReply> RedisConnection::command(std::vector<std::string_view> const& words) {
    MALLARD_TRY(send(words));
    auto const end = std::chrono::steady_clock::now() + timeout_;
    while (true) {
        auto const left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        MALLARD_TRY_ASSIGN(auto reply, receive(std::max(left, std::chrono::milliseconds(0))));
        if (!reply && left.count() <= 0)
            return fail(ErrorKind::unavailable, std::string(come_back), "no answer in time");
        if (!reply) continue;
        if (reply->kind != RedisReply::Kind::error) return std::move(*reply);
        // It is there, but not ready: a restart that loads its data, a failover, a script that runs on.
        for (std::string_view soon : {"LOADING", "READONLY", "MASTERDOWN", "BUSY ", "CLUSTERDOWN", "TRYAGAIN"})
            if (reply->text.starts_with(soon)) return fail(ErrorKind::unavailable, std::string(come_back), reply->text);
        return fail(ErrorKind::io, "Redis refused this", reply->text);
    }
}

Result<std::optional<RedisReply>> RedisConnection::receive(std::chrono::milliseconds wait) {
    MALLARD_TRY_ASSIGN(auto ready, next_reply());
    if (ready) return ready;
    read_.clear();
    auto const done = socket_->read(read_, wait);
    if (!done && done.error().kind == ErrorKind::timeout) return std::nullopt;
    if (!done) return std::unexpected(done.error());
    if (redisReaderFeed(reader_, read_.data(), read_.size()) != REDIS_OK)
        return fail(ErrorKind::unavailable, std::string(come_back), reader_->errstr);
    return next_reply();
}

RedisClient::RedisClient(RedisConfig config) : config_(std::move(config)) {}

Result<std::unique_ptr<RedisClient>> RedisClient::open(std::string_view url) {
    MALLARD_TRY_ASSIGN(auto config, RedisConfig::parse(url));
    auto client = std::make_unique<RedisClient>(std::move(config));
    MALLARD_TRY(client->command({"PING"}));
    return client;
}

Result<RedisClient::Connection> RedisClient::take() {
    {
        std::unique_lock lock(mutex_);
        if (!free_.wait_for(lock, config_.command_timeout,
                            [&] { return !idle_.empty() || open_ < config_.connections_max; }))
            return fail(ErrorKind::unavailable, std::string(come_back), "no free connection in the pool");
        if (!idle_.empty()) {
            auto connection = std::move(idle_.back());
            idle_.pop_back();
            return connection;
        }
        ++open_;
    }
    auto connection = RedisConnection::open(config_);
    if (!connection) drop();
    return connection;
}

void RedisClient::give_back(Connection connection) {
    {
        std::lock_guard lock(mutex_);
        idle_.push_back(std::move(connection));
    }
    free_.notify_one();
}

void RedisClient::drop() {
    {
        std::lock_guard lock(mutex_);
        --open_;
    }
    free_.notify_one();
}

void RedisClient::drop_idle() {
    std::vector<Connection> gone;
    {
        std::lock_guard lock(mutex_);
        gone.swap(idle_);
        open_ -= static_cast<unsigned>(gone.size());
    }
    free_.notify_all();
}

Result<RedisReply> RedisClient::command(std::vector<std::string_view> const& words, Repeat repeat) {
    for (bool second = false;; second = true) {
        auto connection = take();
        if (!connection) return std::unexpected(std::move(connection.error()));
        auto reply = (*connection)->command(words);
        if (reply || reply.error().kind != ErrorKind::unavailable) {
            give_back(std::move(*connection));
            return reply;
        }
        connection->reset();
        drop();
        drop_idle();  // those of before the restart are of no use either
        if (second || repeat == Repeat::no) return reply;
    }
}

Result<RedisReply> RedisClient::run(RedisScript const& script, std::string_view key,
                                    std::vector<std::string> const& arguments, Repeat repeat) {
    std::string hash;
    {
        std::lock_guard lock(mutex_);
        if (auto const known = hashes_.find(script.body.data()); known != hashes_.end()) hash = known->second;
    }
    if (hash.empty()) {
        MALLARD_TRY_ASSIGN(auto const loaded, command({"SCRIPT", "LOAD", script.body}));
        hash = loaded.text;
        std::lock_guard lock(mutex_);
        hashes_[script.body.data()] = hash;
    }
    std::vector<std::string_view> words = {"EVALSHA", hash, "1", key};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto reply = command(words, repeat);
    if (reply || !reply.error().context.starts_with("NOSCRIPT")) return reply;
    words[0] = "EVAL";
    words[1] = script.body;
    return command(words, repeat);
}

RedisSubscriber::RedisSubscriber(RedisConfig config, std::vector<std::string> channels, OnMessage on_message,
                                 std::function<void()> on_connected, std::function<void()> on_lost, std::string name)
    : config_(std::move(config)),
      channels_(std::move(channels)),
      on_message_(std::move(on_message)),
      on_connected_(std::move(on_connected)),
      on_lost_(std::move(on_lost)),
      name_(std::move(name)),
      thread_([this] { listen(); }) {}

RedisSubscriber::~RedisSubscriber() {
    {
        std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopping_.notify_all();
    thread_.join();
}

void RedisSubscriber::listen() {
    std::chrono::milliseconds pause{20};
    while (!stop_) {
        auto const began = std::chrono::steady_clock::now();
        auto const ended = session();
        if (on_lost_) on_lost_();
        if (stop_) return;
        if (!ended && !away_) log(LogLevel::error, who, "Redis is away", {{"error", ended.error().context}});
        away_ = true;  // said once; it may last
        bool const held = std::chrono::steady_clock::now() - began > std::chrono::seconds(5);
        pause = held ? std::chrono::milliseconds(20) : std::min(pause * 2, std::chrono::milliseconds(1'000));
        std::unique_lock lock(mutex_);
        stopping_.wait_for(lock, pause, [&] { return stop_.load(); });
    }
}

void RedisSubscriber::connected() {
    if (away_) log(LogLevel::info, who, "Redis is back");
    away_ = false;
    on_connected_();
}

// Until the connection is lost or this ends.
Result<void> RedisSubscriber::session() {
    constexpr std::chrono::milliseconds look_up{50};  // how soon it sees that it shall end
    constexpr std::chrono::seconds silence_max{30};   // then it asks whether anybody is there
    MALLARD_TRY_ASSIGN(auto const connection, RedisConnection::open(config_));
    if (!name_.empty()) (void)connection->command({"CLIENT", "SETNAME", name_});
    std::vector<std::string_view> words = {"SUBSCRIBE"};
    words.insert(words.end(), channels_.begin(), channels_.end());
    MALLARD_TRY(connection->send(words));
    auto heard = std::chrono::steady_clock::now();
    bool asked = false;
    for (std::size_t subscribed = 0; !stop_;) {
        MALLARD_TRY_ASSIGN(auto const message, connection->receive(look_up));
        auto const now = std::chrono::steady_clock::now();
        if (!message) {
            if (now - heard < silence_max) continue;
            if (asked) return fail(ErrorKind::unavailable, std::string(come_back), "no answer to PING");
            MALLARD_TRY(connection->send({"PING"}));
            asked = true;
            heard = now;
            continue;
        }
        heard = now;
        asked = false;
        auto const& parts = message->list;
        if (parts.size() == 3 && parts[0].text == "message") on_message_(parts[1].text, parts[2].text);
        if (parts.size() == 3 && parts[0].text == "subscribe" && ++subscribed == channels_.size()) connected();
    }
    return {};
}

}  // namespace mallard::store::cluster
