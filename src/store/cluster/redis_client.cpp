#include "store/cluster/redis_client.hpp"

#include <hiredis/hiredis.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/log.hpp"

namespace mallard::store::cluster {

namespace {

constexpr LogContext who{.component = "redis"};
constexpr std::string_view come_back = "Redis cannot be reached, try again later";

timeval timeval_of(std::chrono::milliseconds time) {
    return {static_cast<time_t>(time.count() / 1000), static_cast<suseconds_t>(time.count() % 1000 * 1000)};
}

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
            out.kind = RedisReply::Kind::text;
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

bool parse_number(std::string_view text, int& out) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned byte = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
            out.push_back(static_cast<char>(byte));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

}  // namespace

Result<RedisConfig> RedisConfig::parse(std::string_view url) {
    RedisConfig out;
    auto const bad = [] {
        return fail(ErrorKind::invalid, "The Redis URL cannot be read: redis://host:port/database");
    };
    if (url.starts_with("unix:")) {
        out.unix_socket = url.substr(5);
        return out;
    }
    if (url.starts_with("rediss:")) return fail(ErrorKind::not_supported, "Redis over TLS is not supported");
    if (!url.starts_with("redis://")) return bad();
    url.remove_prefix(8);
    auto const question = url.find('?');
    auto query = question == std::string_view::npos ? std::string_view() : url.substr(question + 1);
    url = url.substr(0, question);
    if (auto const slash = url.find('/'); slash != std::string_view::npos) {
        auto const database = url.substr(slash + 1);
        if (!database.empty() && !parse_number(database, out.database)) return bad();
        url = url.substr(0, slash);
    }
    if (auto const at = url.rfind('@'); at != std::string_view::npos) {
        auto const login = url.substr(0, at);
        auto const colon = login.find(':');
        if (colon != std::string_view::npos) out.password = percent_decoded(login.substr(colon + 1));
        out.user = percent_decoded(login.substr(0, colon));
        url = url.substr(at + 1);
    }
    bool const bracketed = url.starts_with('[');
    auto const colon = bracketed ? url.find("]:") : url.rfind(':');
    if (colon != std::string_view::npos) {
        int port = 0;
        if (!parse_number(url.substr(colon + (bracketed ? 2 : 1)), port) || port < 1 || port > 65535) return bad();
        out.port = static_cast<std::uint16_t>(port);
        url = url.substr(0, colon + (bracketed ? 1 : 0));
    }
    if (bracketed) url = url.substr(1, url.size() - 2);
    if (!url.empty()) out.host = url;
    while (!query.empty()) {
        auto const part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(part.size() + 1, query.size()));
        if (part.starts_with("password=")) out.password = percent_decoded(part.substr(9));
        if (part.starts_with("db=") && !parse_number(part.substr(3), out.database)) return bad();
    }
    return out;
}

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(RedisConfig const& config) {
    auto const timeout = timeval_of(config.connect_timeout);
    redisContext* context = config.unix_socket.empty()
                                ? redisConnectWithTimeout(config.host.c_str(), config.port, timeout)
                                : redisConnectUnixWithTimeout(config.unix_socket.c_str(), timeout);
    if (context == nullptr) return fail(ErrorKind::unavailable, std::string(come_back), "out of memory");
    std::unique_ptr<RedisConnection> connection(new RedisConnection(context));
    if (context->err != 0) return connection->broken();
    redisSetTimeout(context, timeval_of(config.command_timeout));
    redisEnableKeepAlive(context);
    if (!config.password.empty()) {
        std::vector<std::string_view> login = {"AUTH"};
        if (!config.user.empty()) login.push_back(config.user);
        login.push_back(config.password);
        if (!connection->command(login)) return fail(ErrorKind::io, "Redis refuses the server's login");
    }
    if (config.database != 0) MALLARD_TRY(connection->command({"SELECT", std::to_string(config.database)}));
    return connection;
}

RedisConnection::~RedisConnection() { redisFree(context_); }

std::unexpected<Error> RedisConnection::broken() const {
    return fail(ErrorKind::unavailable, std::string(come_back), context_->errstr);
}

Result<void> RedisConnection::send(std::vector<std::string_view> const& words) {
    std::vector<char const*> data;
    std::vector<std::size_t> sizes;
    for (auto word : words) {
        data.push_back(word.data() == nullptr ? "" : word.data());
        sizes.push_back(word.size());
    }
    if (redisAppendCommandArgv(context_, static_cast<int>(words.size()), data.data(), sizes.data()) != REDIS_OK)
        return broken();
    int done = 0;
    while (done == 0)
        if (redisBufferWrite(context_, &done) != REDIS_OK) return broken();
    return {};
}

Result<RedisReply> RedisConnection::command(std::vector<std::string_view> const& words) {
    MALLARD_TRY(send(words));
    void* raw = nullptr;
    if (redisGetReply(context_, &raw) != REDIS_OK) return broken();
    RawReply const reply(raw);
    auto out = reply_of(*static_cast<redisReply*>(raw));
    if (static_cast<redisReply*>(raw)->type != REDIS_REPLY_ERROR) return out;
    // It is there, but not ready: a restart that loads its data, a failover, a script that runs on.
    for (std::string_view soon : {"LOADING", "READONLY", "MASTERDOWN", "BUSY", "CLUSTERDOWN", "TRYAGAIN"})
        if (out.text.starts_with(soon)) return fail(ErrorKind::unavailable, std::string(come_back), out.text);
    return fail(ErrorKind::io, "Redis refused this", out.text);
}

Result<std::optional<RedisReply>> RedisConnection::receive(std::chrono::milliseconds wait) {
    void* raw = nullptr;
    if (redisReaderGetReply(context_->reader, &raw) != REDIS_OK) return broken();
    if (raw == nullptr) {
        pollfd poll_for{context_->fd, POLLIN, 0};
        if (poll(&poll_for, 1, static_cast<int>(wait.count())) <= 0) return std::nullopt;
        if (redisBufferRead(context_) != REDIS_OK) return broken();
        if (redisReaderGetReply(context_->reader, &raw) != REDIS_OK) return broken();
        if (raw == nullptr) return std::nullopt;
    }
    RawReply const reply(raw);
    return reply_of(*static_cast<redisReply*>(raw));
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
                                 std::function<void()> on_connected, std::function<void()> on_lost)
    : config_(std::move(config)),
      channels_(std::move(channels)),
      on_message_(std::move(on_message)),
      on_connected_(std::move(on_connected)),
      on_lost_(std::move(on_lost)),
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
