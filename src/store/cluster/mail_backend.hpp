#pragma once
// The mail store of one or several processes on one database of its own, for tests.

#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "mime/message.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"
#include "store/cluster/wildduck_indexes.hpp"

namespace mallard::store::cluster {

// The indexes that the store's promises rest on; the rest are for speed.
inline Result<void> make_unique_indexes(MongoClient& mongo) {
    MALLARD_TRY(mongo.ensure_index(Db::main, "mailboxes",
                                   {.name = "user_path", .key = {{"user", 1}, {"path", 1}}, .unique = true}));
    MALLARD_TRY(mongo.ensure_index(
        Db::gridfs, "attachments.files",
        definition_of(*find_wildduck_index("attachments.files", "related_attachments_cu"))));  // a hint names it
    return mongo.ensure_index(Db::gridfs, "attachments.chunks",
                              {.name = "files_id_1_n_1", .key = {{"files_id", 1}, {"n", 1}}, .unique = true});
}

// Tells Redis, and at once whoever listens here: which mailbox it was, which WildDuck's signal does not say.
class TeeEvents final : public Events {
public:
    explicit TeeEvents(Events& redis) : redis_(redis) {}
    std::unique_ptr<Subscription> subscribe(UserId user, std::function<void(Event const&)> callback) override {
        std::lock_guard const lock(state_->mutex);
        auto const number = state_->next++;
        state_->callbacks.emplace(number, std::pair(user, std::move(callback)));
        return std::make_unique<Entry>(state_, number);
    }
    void publish(Event const& event) override {
        {
            std::lock_guard const lock(state_->mutex);
            for (auto const& [number, one] : state_->callbacks)
                if (one.first == event.user) one.second(event);
        }
        redis_.publish(event);
    }

private:
    struct State {
        std::mutex mutex;
        int next = 0;
        std::map<int, std::pair<UserId, std::function<void(Event const&)>>> callbacks;
    };
    struct Entry final : Subscription {
        Entry(std::shared_ptr<State> state, int number) : state(std::move(state)), number(number) {}
        ~Entry() override {
            std::lock_guard const lock(state->mutex);
            state->callbacks.erase(number);
        }
        std::shared_ptr<State> state;
        int number;
    };
    Events& redis_;
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

// On a sharded cluster a write of one document must name the whole shard key (storage.md §1, §8: the indexes *_shard).
inline void expect_shard_key(MongoClient::Observed const& request) {
    static std::map<std::string, std::vector<std::string>> const keys{{"messages", {"mailbox", "uid", "_id"}},
                                                                      {"threads", {"user"}},
                                                                      {"storage.chunks", {"files_id"}},
                                                                      {"attachments.chunks", {"files_id"}}};
    auto const key = keys.find(request.collection);
    if (!request.writes_one || key == keys.end()) return;
    for (auto const& field : key->second) {
        auto const* value = request.filter.find(field);
        EXPECT_TRUE(value && !value->as<bson::Document>())
            << request.collection << " " << bson::to_text(request.filter);
    }
}

class MailBackend : public conformance::Backend {
public:
    MailBackend() : redis_(std::move(*RedisClient::open(test_redis_url()))) {
        open();
        if (auto made = make_unique_indexes(mongo()); !made) ADD_FAILURE() << made.error().message;
    }
    ~MailBackend() override { (void)mongo().drop_database(Db::main); }
    Documents& documents() override { std::abort(); }  // no test of the mail store asks for it
    SharedState& state() override { std::abort(); }
    Events& events() override { return here_->tee; }
    ClusterEvents& redis_events() { return here_->events; }
    MailStore& mail() override { return here_->store; }
    ManualClock& clock() override { return clock_; }
    MongoClient& mongo() { return *here_->mongo; }
    RedisClient& redis() { return *redis_; }
    // FerretDB 1.24 on SQLite finds by an index only what is asked for by _id alone: each change of flags reads the
    // whole collection twice (0.15 s each at 700 messages).
    double share_of_long_tests() const override { return here_->mongo->features().atomic_updates ? 1 : 0.2; }
    void reopen() override {
        here_.reset();
        open();
    }

    // As another process would be: connections and memory of its own.
    struct Process {
        Process(std::string const& url, RedisClient& redis, Clock const& clock, bool worker_channels)
            : mongo(std::move(*MongoClient::open({.url = url}))),
              events(redis, {.worker_id = "test:" + random_hex(6), .worker_channels = [=] { return worker_channels; }}),
              tee(events),
              store(*mongo, redis, tee, &events, clock, {}, std::chrono::milliseconds(50)) {
            mongo->observe(expect_shard_key);
        }
        std::unique_ptr<MongoClient> mongo;
        ClusterEvents events;
        TeeEvents tee;
        ClusterMailStore store;
    };
    std::unique_ptr<Process> another_process(bool worker_channels = false) {
        return std::make_unique<Process>(url_, *redis_, clock_, worker_channels);
    }

private:
    void open() { here_ = another_process(); }

    std::string url_ = url_of_database(test_mongo_url(), "mallard_mail_" + random_hex(6));
    ManualClock clock_;
    std::unique_ptr<RedisClient> redis_;
    std::unique_ptr<Process> here_;
};

template <class F>
bool eventually(F&& holds) {
    for (int i = 0; i < 3'000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return holds();
}

class ClusterMail : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        backend = std::make_unique<MailBackend>();
    }
    static Result<Appended> append(MailStore& store, MailboxId mailbox, std::string const& source, Flags flags = {}) {
        auto const tree = mime::parse(source);
        NewMessage message;
        message.source = source;
        message.tree = &tree;
        message.internal_date = 1'700'000'000'000;
        message.flags = std::move(flags);
        message.record.envelope = "()";
        return store.append(mailbox, std::move(message));
    }
    MailboxInfo make_mailbox(std::string path, std::string special_use = {}) {
        MailboxInfo info;
        info.user = user;
        info.path = std::move(path);
        info.special_use = std::move(special_use);
        return *backend->mail().create_mailbox(info);
    }

    std::vector<bson::Document> all(std::string_view collection, bson::Document const& filter = {}) {
        auto found = backend->mongo().find(Db::main, collection, filter, {.sort = {{"uid", 1}}});
        EXPECT_TRUE(found) << found.error().context;
        return found ? std::move(*found) : std::vector<bson::Document>{};
    }
    bson::Document one(std::string_view collection, bson::Document const& filter) {
        auto found = all(collection, filter);
        EXPECT_EQ(found.size(), 1u);
        return found.empty() ? bson::Document{} : found.front();
    }
    // The metadata of the n-th stored body.
    bson::Document files_of(std::size_t n) {
        auto const files = all("attachments.files");
        auto const* metadata = n < files.size() ? files[n].document("metadata") : nullptr;
        EXPECT_TRUE(metadata);
        return metadata ? *metadata : bson::Document{};
    }
    std::uint64_t round_trips_of(std::function<void()> const& work) {
        auto const before = backend->mongo().round_trips();
        work();
        return backend->mongo().round_trips() - before;
    }

    std::unique_ptr<MailBackend> backend;
    UserId const user = UserId::generate();
};

}  // namespace mallard::store::cluster
