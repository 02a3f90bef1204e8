#include "engines/cluster_engine.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "mailboxes/mailboxes.hpp"
#include "mime/message.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"
#include "store/cluster/wildduck_indexes.hpp"
#include "store/embedded/events.hpp"

namespace mallard::engines {

namespace {

using store::cluster::Db;
using store::cluster::MongoClient;
using store::cluster::RedisClient;

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message + " (" + result.error().context + ')');
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// As they come over Redis: a signal does not say which mailbox.
class SignalEvents final : public store::Events {
public:
    std::unique_ptr<store::Subscription> subscribe(UserId user,
                                                   std::function<void(store::Event const&)> callback) override {
        return events_.subscribe(user, std::move(callback));
    }
    void publish(store::Event const& event) override {
        store::Event heard = event;
        if (event.kind != store::Event::Kind::logout && event.kind != store::Event::Kind::mailbox_deleted)
            heard = {.kind = store::Event::Kind::mailbox_changed, .user = event.user, .mailbox = {}, .reason = {}};
        events_.publish(heard);
    }

private:
    store::embedded::EmbeddedEvents events_;
};

// The database and the Redis number of this process: other test programs use the same servers at the same time.
class Servers {
public:
    Servers() {
        if (!store::cluster::have_servers()) throw std::runtime_error(store::cluster::no_servers);
        auto const url = store::cluster::test_redis_url();
        auto const shared = must(RedisClient::open(url));
        auto const databases = must(shared->command({"CONFIG", "GET", "databases"}));
        auto const count = databases.list.size() == 2 ? std::stoll(databases.list[1].text) : 16;
        auto const turn = must(shared->command({"INCR", "mallard:test:turn"})).integer;
        std::int64_t const first = shared->config().database + 1;  // those below are not ours
        if (first >= count) throw std::runtime_error("MALLARD_TEST_REDIS_URL names the last number: give a lower one");
        auto const number = std::to_string(first + turn % (count - first));
        redis = must(RedisClient::open(url.substr(0, url.find('/', url.find("//") + 2)) + "/" + number));
        must(store::cluster::ensure_wildduck_indexes(database.client()));
    }

    // Emptied, not dropped: making the indexes takes longer.
    void clear() {
        must(redis->command({"FLUSHDB"}));
        auto& mongo = database.client();
        auto const listed = must(mongo.command(Db::main, {{"listCollections", 1}, {"nameOnly", true}}));
        auto const* batch = listed.find_path("cursor.firstBatch");
        for (auto const& one : *batch->as<bson::Array>()) {
            auto const* collection = one.as<bson::Document>();
            must(mongo.erase(Db::main, collection->text("name"), {}, true));
        }
    }

    store::cluster::TestDatabase database;
    std::unique_ptr<RedisClient> redis;
};

class ClusterTestEngine final : public TestEngine {
public:
    ClusterTestEngine(Servers& servers, Clock const& clock)
        : client_(servers.database.client()),
          documents_(servers.database.client(), clock),
          state_(*servers.redis, clock),
          mail_(servers.database.client(), *servers.redis, events_, nullptr, clock,
                [](std::string_view source, TimeMs internal_date) {
                    auto const tree = mime::parse(source);
                    return mailboxes::derive(source, tree, {}, internal_date, {}).record;
                }) {}
    store::Documents& documents() override { return documents_; }
    store::MailStore& mail() override { return mail_; }
    store::SharedState& state() override { return state_; }
    store::Events& events() override { return events_; }
    std::uint64_t round_trips() const override { return client_.round_trips(); }
    bool joins() const override { return client_.features().lookups; }

private:
    MongoClient& client_;
    store::cluster::ClusterDocuments documents_;
    store::cluster::AgeingState state_;
    SignalEvents events_;
    store::cluster::ClusterMailStore mail_;
};

}  // namespace

std::unique_ptr<TestEngine> open_cluster_engine(Clock const& clock) {
    static Servers servers;
    servers.clear();
    return std::make_unique<ClusterTestEngine>(servers, clock);
}

}  // namespace mallard::engines
