#pragma once
// RedisClient: commands over a pool of connections; RedisSubscriber: a connection that listens. The only home of
// hiredis.
//
// - A connection that failed is thrown away, and the next call makes a new one. A command that may be repeated is tried
//   once more on a new connection (Redis was restarted); then, as any that may not, it is `unavailable`.
// - Scripts go by their hash (EVALSHA); one that Redis has forgotten is sent whole.
// - Threads: every call may come from any thread; each takes a connection for its duration.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "store/cluster/redis_socket.hpp"

struct redisReader;

namespace mallard::store::cluster {

struct RedisConfig {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string unix_socket;  // instead of host and port
    std::string user, password;
    // The user of a URL counts only with allowUsernameInURI, as for WildDuck; else it is tried and then left out.
    bool user_is_optional = false;
    int database = 0;
    RedisTls tls;
    // Sentinel: these know where the master of that name is; host and port mean nothing then.
    std::string master_name;
    std::vector<RedisAddress> sentinels;
    std::string sentinel_user, sentinel_password;
    bool sentinel_tls = false;
    unsigned connections_max = 16;
    std::chrono::milliseconds connect_timeout{2'000};
    std::chrono::milliseconds command_timeout{3'000};

    // What WildDuck's dbs.redis may be (storage.md §2):
    // - "redis[s]://[user:password@]host[:port][/database][?password=..&db=..&allowUsernameInURI=yes]", "unix:/path";
    // - a JSON object with ioredis' keys: host, port, path, username, password, db, tls (true, or an object with
    //   caFile, rejectUnauthorized), and for Sentinel name, sentinels [{host, port}], sentinelUsername,
    //   sentinelPassword, enableTLSForSentinelMode.
    // Also "redis-sentinel://[user:password@]host[:port],host[:port].../name[/database][?sentinelPassword=..]".
    static Result<RedisConfig> parse(std::string_view text);
};

// A reply, as a value.
struct RedisReply {
    enum class Kind { nil, integer, text, list, error };
    Kind kind = Kind::nil;
    std::int64_t integer = 0;
    std::string text;
    std::vector<RedisReply> list;
};

class RedisConnection {
public:
    static Result<std::unique_ptr<RedisConnection>> open(RedisConfig const& config);
    ~RedisConnection();
    RedisConnection(RedisConnection const&) = delete;

    // io: Redis says no, the connection is sound. unavailable: it is not.
    Result<RedisReply> command(std::vector<std::string_view> const& words);
    Result<void> send(std::vector<std::string_view> const& words);  // without waiting for the reply
    // One message; nullopt when none came in time.
    Result<std::optional<RedisReply>> receive(std::chrono::milliseconds wait);

private:
    RedisConnection(std::unique_ptr<RedisSocket> socket, std::chrono::milliseconds timeout);
    static Result<std::unique_ptr<RedisConnection>> open_at(RedisAddress const& address, RedisTls const& tls,
                                                            std::string const& user, std::string const& password,
                                                            bool user_is_optional, RedisConfig const& config);
    static Result<RedisAddress> ask_sentinels(RedisConfig const& config);
    // The reply that is whole in what has been read; nullopt: none yet.
    Result<std::optional<RedisReply>> next_reply();

    std::unique_ptr<RedisSocket> socket_;
    std::chrono::milliseconds timeout_;
    redisReader* reader_;
    std::string read_;
};

struct RedisScript {
    std::string_view body;  // static storage: its address is its name
};

class RedisClient {
public:
    explicit RedisClient(RedisConfig config);
    static Result<std::unique_ptr<RedisClient>> open(std::string_view url);  // unavailable when it does not answer

    enum class Repeat { yes, no };  // may the command happen twice?
    Result<RedisReply> command(std::vector<std::string_view> const& words, Repeat repeat = Repeat::yes);
    Result<RedisReply> run(RedisScript const& script, std::string_view key, std::vector<std::string> const& arguments,
                           Repeat repeat = Repeat::no);
    RedisConfig const& config() const { return config_; }

private:
    using Connection = std::unique_ptr<RedisConnection>;
    Result<Connection> take();
    void give_back(Connection connection);
    void drop();
    void drop_idle();

    RedisConfig const config_;
    std::mutex mutex_;
    std::condition_variable free_;
    std::vector<Connection> idle_;
    std::map<char const*, std::string> hashes_;  // of scripts, as Redis gave them
    unsigned open_ = 0;
};

// Listens to channels on a connection and thread of its own, for ever: it reconnects (with pauses up to a second) and
// subscribes again. `on_connected` is called on that thread after each connection: what was published meanwhile is
// lost. `on_lost` is called when one has ended or could not be made.
class RedisSubscriber {
public:
    using OnMessage = std::function<void(std::string_view channel, std::string_view payload)>;
    // `name` shows in Redis' list of clients.
    RedisSubscriber(RedisConfig config, std::vector<std::string> channels, OnMessage on_message,
                    std::function<void()> on_connected, std::function<void()> on_lost = {}, std::string name = {});
    ~RedisSubscriber();

private:
    void listen();
    Result<void> session();
    void connected();

    RedisConfig const config_;
    std::vector<std::string> const channels_;
    OnMessage const on_message_;
    std::function<void()> const on_connected_;
    std::function<void()> const on_lost_;
    std::string const name_;
    std::mutex mutex_;
    std::condition_variable stopping_;
    std::atomic<bool> stop_ = false;
    bool away_ = false;  // the thread's own
    std::thread thread_;
};

}  // namespace mallard::store::cluster
