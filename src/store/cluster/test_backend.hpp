#pragma once
// The cluster store as the conformance suites want it: databases of its own on the servers that MALLARD_TEST_MONGO_URL
// and MALLARD_TEST_REDIS_URL name.

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "base/random.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/documents.hpp"
#include "store/cluster/events.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/redis_client.hpp"
#include "store/cluster/shared_state.hpp"
#include "store/conformance/backend.hpp"

namespace mallard::store::cluster {

inline std::string test_mongo_url() {
    char const* url = std::getenv("MALLARD_TEST_MONGO_URL");
    return url == nullptr ? std::string() : std::string(url);
}

inline std::string test_redis_url() {
    char const* url = std::getenv("MALLARD_TEST_REDIS_URL");
    return url == nullptr ? std::string() : std::string(url);
}

inline bool have_servers() { return !test_mongo_url().empty() && !test_redis_url().empty(); }

constexpr char const* no_servers =
    "no test servers: run under tests/mongo/with-servers, or set MALLARD_TEST_MONGO_URL and MALLARD_TEST_REDIS_URL";

// The same server, another database.
inline std::string url_of_database(std::string url, std::string const& database) {
    auto const slash = url.find('/', url.find("//") + 2);
    if (slash == std::string::npos) return url + "/" + database;
    auto const question = url.find('?', slash);
    return url.substr(0, slash + 1) + database + (question == std::string::npos ? "" : url.substr(question));
}

// A connection to an empty database; dropped at the end.
class TestDatabase {
public:
    TestDatabase() { open(); }
    ~TestDatabase() {
        if (client_) static_cast<void>(client_->drop_database(Db::main));
    }
    MongoClient& client() { return *client_; }
    void open() { client_ = std::move(*MongoClient::open({.url = url_})); }
    void close() { client_.reset(); }

private:
    std::string url_ = url_of_database(test_mongo_url(), "mallard_test_" + random_hex(6));
    std::unique_ptr<MongoClient> client_;
};

// A stage of the plan that reads a collection through; empty: there is none.
inline std::string scan_in(bson::Value const& plan) {
    if (auto const* document = plan.as<bson::Document>()) {
        if (document->text("stage") == "COLLSCAN") return bson::to_text(*document);
        for (auto const& field : document->fields())
            if (auto found = scan_in(field.value); !found.empty()) return found;
    }
    if (auto const* array = plan.as<bson::Array>())
        for (auto const& one : *array)
            if (auto found = scan_in(one); !found.empty()) return found;
    return {};
}

// The same of the plan that the server says it would follow; none from a server that does not tell.
inline std::optional<std::string> explained_scan(MongoClient& mongo, Db db, bson::Document const& find) {
    auto const plan = mongo.command(db, {{"explain", find}, {"verbosity", "queryPlanner"}});
    auto const* winner = plan ? plan->find_path("queryPlanner.winningPlan") : nullptr;
    auto const* stages = winner ? winner->as<bson::Document>() : nullptr;
    if (!stages || stages->text("stage").empty()) return std::nullopt;
    return scan_in(*winner);
}

// Redis reads its own clock, tests have one of theirs: what has a time to live grows older by what the test's clock
// moved.
class AgeingState final : public SharedState {
public:
    AgeingState(RedisClient& redis, Clock const& clock) : redis_(redis), clock_(clock), state_(redis, clock.now()) {}

    Result<CounterState> count(std::string_view key, std::int64_t by, std::int64_t limit,
                               std::chrono::seconds window) override {
        return aged().count(key, by, limit, window);
    }
    Result<CounterState> count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                       std::int64_t limit) override {
        return aged().count_limited(key, field, by, limit);
    }
    Result<void> erase(std::string_view key) override { return aged().erase(key); }
    Result<Hash> hash(std::string_view key) const override { return aged().hash(key); }
    Result<void> set_hash(std::string_view key, Hash const& fields, std::optional<std::chrono::seconds> ttl) override {
        return aged().set_hash(key, fields, ttl);
    }
    Result<void> erase_field(std::string_view key, std::string_view field) override {
        return aged().erase_field(key, field);
    }
    Result<void> expire(std::string_view key, std::chrono::seconds ttl) override { return aged().expire(key, ttl); }
    Result<std::vector<std::string>> keys(std::string_view prefix) const override { return aged().keys(prefix); }
    Result<std::vector<StateEntry>> entries(std::string_view prefix) const override { return aged().entries(prefix); }
    Result<void> add_member(std::string_view key, std::string_view member) override {
        return aged().add_member(key, member);
    }
    Result<void> erase_member(std::string_view key, std::string_view member) override {
        return aged().erase_member(key, member);
    }
    Result<std::vector<std::string>> members(std::string_view key) const override { return aged().members(key); }
    Result<bool> is_member(std::string_view key, std::string_view member) const override {
        return aged().is_member(key, member);
    }

private:
    ClusterSharedState& aged() const {
        std::lock_guard lock(mutex_);
        auto const by = clock_.now() - then_;
        then_ += by;
        if (by == 0) return state_;
        auto const keys = state_.keys("");
        for (auto const& key : *keys) {
            auto const left = redis_.command({"PTTL", key})->integer;
            if (left > 0 && left <= by) EXPECT_TRUE(redis_.command({"DEL", key}));
            if (left > by) EXPECT_TRUE(redis_.command({"PEXPIRE", key, std::to_string(left - by)}));
        }
        return state_;
    }

    RedisClient& redis_;
    Clock const& clock_;
    mutable std::mutex mutex_;
    mutable TimeMs then_ = clock_.now();
    mutable ClusterSharedState state_;
};

class ClusterBackend final : public conformance::Backend {
public:
    ClusterBackend() : redis_(std::move(*RedisClient::open(test_redis_url()))) {
        EXPECT_TRUE(redis_->command({"FLUSHDB"}));
        open();
    }
    Documents& documents() override { return *documents_; }
    SharedState& state() override { return *state_; }
    Events& events() override { return *events_; }
    MailStore& mail() override { std::abort(); }
    ManualClock& clock() override { return clock_; }
    void reopen() override {
        events_.reset();
        database_.close();
        database_.open();
        open();
    }

private:
    void open() {
        documents_ = std::make_unique<ClusterDocuments>(database_.client(), clock_);
        if (!state_) state_ = std::make_unique<AgeingState>(*redis_, clock_);
        events_ = std::make_unique<ClusterEvents>(*redis_, EventsConfig{});
    }

    TestDatabase database_;
    ManualClock clock_{SystemClock().now()};  // MongoDB's own sweeper reads the true time
    std::unique_ptr<RedisClient> redis_;
    std::unique_ptr<ClusterDocuments> documents_;
    std::unique_ptr<AgeingState> state_;
    std::unique_ptr<ClusterEvents> events_;
};

}  // namespace mallard::store::cluster
