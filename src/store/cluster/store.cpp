#include "store/cluster/store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "base/log.hpp"
#include "base/random.hpp"
#include "store/cluster/wildduck_indexes.hpp"

namespace mallard::store::cluster {

namespace {

constexpr LogContext log_context{.component = "store", .session = {}, .user = {}, .address = {}};
constexpr std::string_view settings_collection = "settings";  // storage.md §4.14
constexpr std::string_view worker_channels_key = "const:imap:use_wd_worker_channels";
constexpr std::string_view upkeep_key = "mallard:upkeep";
constexpr int sweeps_max = 100;  // a turn of upkeep ends even if others make work as fast as it is done

// One line for the operator: which option, where it leads, what came of it.
std::unexpected<Error> explained(std::string_view option, std::string const& url, Error const& error) {
    std::string what = error.message;
    if (!error.context.empty()) what = error.context;
    std::ranges::replace(what, '\n', ' ');
    return fail(error.kind, fmt::format("{} ({}): {}", option, without_login(url), what));
}

// A Redis that starts along with us is waited for, as MongoClient waits for its server.
Result<std::unique_ptr<RedisClient>> open_redis(std::string const& url, std::chrono::milliseconds wait) {
    auto const end = std::chrono::steady_clock::now() + wait;
    for (;;) {
        auto client = RedisClient::open(url);
        if (client || client.error().kind != ErrorKind::unavailable || std::chrono::steady_clock::now() > end)
            return client;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

class Store final : public ClusterStore {
public:
    Store(std::unique_ptr<MongoClient> mongo, std::unique_ptr<RedisClient> redis, ClusterConfig config,
          Clock const& clock)
        : mongo_(std::move(mongo)),
          redis_(std::move(redis)),
          pause_(config.upkeep_pause),
          documents_(*mongo_, clock),
          state_(*redis_, clock.now()),
          events_(*redis_, with_worker_channels(std::move(config.events))),
          mail_(*mongo_, *redis_, events_, &events_, clock, std::move(config.derive)),
          clock_(clock) {}

    ~Store() override {
        {
            std::lock_guard const lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    void start() {
        thread_ = std::thread([this] { run(); });
    }

    Documents& documents() override { return documents_; }
    MailStore& mail() override { return mail_; }
    SharedState& state() override { return state_; }
    ClusterEvents& events() override { return events_; }
    MongoClient& mongo() override { return *mongo_; }
    RedisClient& redis() override { return *redis_; }

    Result<std::string> shared_secret(std::string_view name, std::string_view fresh) override {
        std::string const key = "mallard:" + std::string(name);
        bson::Document const filter{{"key", key}};
        MALLARD_TRY_ASSIGN(auto const found, mongo_->find_one(Db::main, settings_collection, filter));
        if (found) return std::string(found->text("value"));
        auto const made = mongo_->insert(Db::main, settings_collection,
                                         {{"_id", ObjectId::generate()},
                                          {"key", key},
                                          {"value", fresh},
                                          {"encrypted", false},
                                          {"created", bson::Date{clock_.now()}},
                                          {"enumerable", false}});
        if (made) return std::string(fresh);
        if (made.error().kind != ErrorKind::already_exists) return std::unexpected(made.error());
        MALLARD_TRY_ASSIGN(auto const other, mongo_->find_one(Db::main, settings_collection, filter));
        if (!other) return fail(ErrorKind::conflict, "A setting was removed while it was read", key);
        return std::string(other->text("value"));
    }

private:
    // WildDuck's setting says how processes tell one another (storage.md §12.2).
    EventsConfig with_worker_channels(EventsConfig config) {
        config.worker_channels = [mongo = mongo_.get()] {
            auto const setting = mongo->find_one(Db::main, settings_collection, {{"key", worker_channels_key}});
            if (!setting || !*setting) return false;
            return (*setting)->text("value") == "true" || (*setting)->boolean("value");
        };
        return config;
    }

    bool pause() {  // false: stopping
        std::unique_lock lock(mutex_);
        return !wake_.wait_for(lock, pause_, [&] { return stopping_; });
    }

    bool stopping() {
        std::lock_guard const lock(mutex_);
        return stopping_;
    }

    void run() {
        while (pause()) {
            auto const done = work();
            if (!done)
                log(LogLevel::error, log_context, "Upkeep of the store failed: " + done.error().message,
                    {{"context", done.error().context}});
        }
    }

    // One process at a time: the first to ask in each while.
    Result<void> work() {
        MALLARD_TRY_ASSIGN(auto const turn, state_.count(upkeep_key, 1, 1, pause_));
        if (!turn.allowed) return {};
        MALLARD_TRY(documents_.sweep());
        for (int i = 0; i < sweeps_max && !stopping(); ++i) {
            MALLARD_TRY_ASSIGN(bool const more, mail_.sweep());
            if (!more) break;
        }
        return {};
    }

    std::unique_ptr<MongoClient> mongo_;
    std::unique_ptr<RedisClient> redis_;
    std::chrono::seconds const pause_;
    ClusterDocuments documents_;
    ClusterSharedState state_;
    ClusterEvents events_;
    ClusterMailStore mail_;
    Clock const& clock_;

    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
};

}  // namespace

std::string without_login(std::string const& url) {
    if (url.find_first_not_of(" \t\r\n") != std::string::npos && url[url.find_first_not_of(" \t\r\n")] == '{') {
        auto const redis = RedisConfig::parse(url);
        if (!redis) return "an object";
        if (!redis->sentinels.empty()) return "Redis " + redis->master_name;
        if (!redis->unix_socket.empty()) return redis->unix_socket;
        return fmt::format("{}:{}", redis->host, redis->port);
    }
    auto const scheme = url.find("://");
    if (scheme == std::string::npos) return url;
    auto const end = std::min(url.find_first_of("/?", scheme + 3), url.size());
    auto const at = url.rfind('@', end);
    std::string out = url.substr(0, scheme + 3);
    out += at == std::string::npos || at < scheme ? url.substr(scheme + 3) : url.substr(at + 1);
    return out.substr(0, out.find('?'));
}

std::string lacks(MongoFeatures const& features) {
    std::string out;
    auto const say = [&](bool has, std::string_view what) {
        if (!has) out += (out.empty() ? "" : ", ") + std::string(what);
    };
    say(features.atomic_updates, "atomic updates");
    say(features.unique_counts_absent, "unique indexes that count absent fields");
    say(features.partial_indexes, "partial indexes");
    say(features.sparse_indexes, "sparse indexes");
    say(features.ttl_indexes, "TTL indexes");
    say(features.hashed_indexes, "hashed indexes");
    say(features.text_indexes, "text indexes");
    say(features.pipeline_updates, "pipeline updates");
    say(features.array_filters, "array filters");
    say(features.update_modifiers, "modifiers of $push, $addToSet and $pull");
    say(features.max_operator, "$max");
    say(features.nested_arrays, "nested arrays");
    say(features.retryable_writes, "retryable writes");
    return out;
}

Result<std::unique_ptr<ClusterStore>> ClusterStore::open(ClusterConfig config, Clock const& clock) {
    auto redis = open_redis(config.redis_url, config.mongo.retry_for);
    if (!redis) return explained("dbs.redis", config.redis_url, redis.error());
    auto mongo = MongoClient::open(config.mongo);
    if (!mongo) return explained("dbs.mongo", config.mongo.url, mongo.error());
    for (auto const& [db, option, place] : {std::tuple{Db::users, "dbs.users", &config.mongo.users},
                                            std::tuple{Db::gridfs, "dbs.gridfs", &config.mongo.gridfs}})
        if (auto const reached = (*mongo)->command(db, {{"ping", 1}}); !reached)
            return explained(option, *place, reached.error());
    if (auto const indexed = ensure_wildduck_indexes(**mongo); !indexed)
        return explained("dbs.mongo", config.mongo.url, indexed.error());
    bool const upkeep = config.upkeep;
    auto store = std::make_unique<Store>(*std::move(mongo), *std::move(redis), std::move(config), clock);
    if (upkeep) store->start();
    return store;
}

}  // namespace mallard::store::cluster
