// The mail store on real servers: the conformance suite, and what only this engine has.
#include "store/cluster/mail_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>

#include "base/random.hpp"
#include "mime/message.hpp"
#include "store/cluster/message_document.hpp"
#include "store/cluster/wildduck_indexes.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {
namespace {

std::string mongo_url() {
    char const* url = std::getenv("MALLARD_TEST_MONGO_URL");
    return url ? url : "";
}

// The same server, another database.
std::string url_of(std::string url, std::string const& database) {
    auto const slash = url.find('/', url.find("//") + 2);
    if (slash == std::string::npos) return url + '/' + database;
    auto const question = url.find('?', slash);
    return url.substr(0, slash + 1) + database + (question == std::string::npos ? "" : url.substr(question));
}

// Tells within the process only: what Redis does between processes is the matter of the events' own tests.
class LocalEvents final : public Events {
public:
    std::unique_ptr<Subscription> subscribe(UserId user, std::function<void(Event const&)> callback) override {
        std::lock_guard const lock(state_->mutex);
        auto const number = state_->next++;
        state_->callbacks.emplace(number, std::pair(user, std::move(callback)));
        return std::make_unique<Entry>(state_, number);
    }
    void publish(Event const& event) override {
        std::lock_guard const lock(state_->mutex);
        for (auto const& [number, one] : state_->callbacks)
            if (one.first == event.user) one.second(event);
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
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Counters that are never there: the store only ever forgets them.
class NoState final : public SharedState {
public:
    Result<CounterState> count(std::string_view, std::int64_t, std::int64_t, std::chrono::seconds) override {
        return CounterState{true, 0, std::chrono::seconds(-1)};
    }
    Result<CounterState> count_limited(std::string_view, std::string_view, std::int64_t, std::int64_t) override {
        return CounterState{true, 0, std::chrono::seconds(-1)};
    }
    Result<void> erase(std::string_view) override { return {}; }
    Result<Hash> hash(std::string_view) const override { return Hash{}; }
    Result<void> set_hash(std::string_view, Hash const&, std::optional<std::chrono::seconds>) override { return {}; }
    Result<void> erase_field(std::string_view, std::string_view) override { return {}; }
    Result<void> expire(std::string_view, std::chrono::seconds) override { return {}; }
    Result<std::vector<std::string>> keys(std::string_view) const override { return std::vector<std::string>{}; }
    Result<std::vector<StateEntry>> entries(std::string_view) const override { return std::vector<StateEntry>{}; }
    Result<void> add_member(std::string_view, std::string_view) override { return {}; }
    Result<void> erase_member(std::string_view, std::string_view) override { return {}; }
    Result<std::vector<std::string>> members(std::string_view) const override { return std::vector<std::string>{}; }
    Result<bool> is_member(std::string_view, std::string_view) const override { return false; }
};

// The indexes that the store's promises rest on; the rest are for speed.
Result<void> make_unique_indexes(MongoClient& mongo) {
    MALLARD_TRY(mongo.ensure_index(Db::main, "mailboxes",
                                   {.name = "user_path", .key = {{"user", 1}, {"path", 1}}, .unique = true}));
    MALLARD_TRY(mongo.ensure_index(
        Db::gridfs, "attachments.files",
        definition_of(*find_wildduck_index("attachments.files", "related_attachments_cu"))));  // a hint names it
    return mongo.ensure_index(Db::gridfs, "attachments.chunks",
                              {.name = "files_id_1_n_1", .key = {{"files_id", 1}, {"n", 1}}, .unique = true});
}

class MailBackend : public conformance::Backend {
public:
    MailBackend() {
        open();
        if (auto made = make_unique_indexes(*mongo_); !made) ADD_FAILURE() << made.error().message;
    }
    ~MailBackend() override { (void)mongo_->drop_database(Db::main); }
    Documents& documents() override { std::abort(); }  // no test of the mail store asks for it
    SharedState& state() override { return state_; }
    Events& events() override { return events_; }
    MailStore& mail() override { return *store_; }
    ManualClock& clock() override { return clock_; }
    MongoClient& mongo() { return *mongo_; }
    void reopen() override {
        store_.reset();
        mongo_.reset();
        open();
    }
    std::unique_ptr<ClusterMailStore> another_process() {
        return std::make_unique<ClusterMailStore>(*mongo_, state_, events_, clock_);
    }

private:
    void open() {
        auto opened = MongoClient::open({.url = url_});
        if (!opened) {
            ADD_FAILURE() << opened.error().message << ' ' << opened.error().context;
            std::abort();
        }
        mongo_ = std::move(*opened);
        store_ = another_process();
    }

    std::string url_ = url_of(mongo_url(), "mallard_mail_" + random_hex(6));
    ManualClock clock_;
    NoState state_;
    LocalEvents events_;
    std::unique_ptr<MongoClient> mongo_;
    std::unique_ptr<ClusterMailStore> store_;
};

std::vector<conformance::BackendFactory> backends() {
    if (mongo_url().empty()) return {};
    return {{"Cluster", [] { return std::make_unique<MailBackend>(); }}};
}

}  // namespace
}  // namespace mallard::store::cluster

namespace mallard::store::conformance {
INSTANTIATE_TEST_SUITE_P(Cluster, MailStoreSuite, testing::ValuesIn(cluster::backends()), name_of_backend);
}

namespace mallard::store::cluster {
namespace {

class ClusterMail : public testing::Test {
protected:
    void SetUp() override {
        if (mongo_url().empty()) GTEST_SKIP() << "MALLARD_TEST_MONGO_URL is not set";
        backend = std::make_unique<MailBackend>();
    }
    static Result<Appended> append(MailStore& store, MailboxId mailbox, std::string const& source) {
        auto const tree = mime::parse(source);
        NewMessage message;
        message.source = source;
        message.tree = &tree;
        message.internal_date = 1'700'000'000'000;
        message.record.envelope = "()";
        return store.append(mailbox, std::move(message));
    }
    MailboxInfo make_mailbox(std::string path) {
        MailboxInfo info;
        info.user = user;
        info.path = std::move(path);
        return *backend->mail().create_mailbox(info);
    }

    std::unique_ptr<MailBackend> backend;
    UserId const user = UserId::generate();
};

TEST_F(ClusterMail, ShowsWhatAnotherProcessDid) {
    auto const other = backend->another_process();
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    MailStore& here = backend->mail();
    ASSERT_TRUE(append(here, box.id, "A: 1\r\n\r\n"));
    EXPECT_EQ((*other->snapshot(box.id))->size(), 1u);
    ASSERT_TRUE(append(*other, box.id, "A: 2\r\n\r\n"));
    EXPECT_EQ((*here.snapshot(box.id))->size(), 2u);
    ASSERT_TRUE(here.change_flags(box.id, {{1, 2}}, {FlagMode::add, {seen, {"Kw"}}, {}}));
    auto const after = *other->snapshot(box.id);
    EXPECT_EQ(after->flags(after->row(1)), (Flags{seen, {"Kw"}}));
    ASSERT_TRUE(other->move(box.id, {{1, 1}}, target.id));
    EXPECT_EQ((*here.snapshot(box.id))->size(), 1u);
    EXPECT_EQ((*here.snapshot(target.id))->size(), 1u);
}

TEST_F(ClusterMail, WritesTheFieldsOfAMessageAsWildDuckDoes) {  // storage.md §4.2, §11.9
    auto const box = make_mailbox("INBOX");
    std::string const source =
        "From: Ann <ann@example.com>\r\nSubject: Hi\r\nMessage-ID: <m1@example.com>\r\n\r\nHello\r\n";
    auto const appended = append(backend->mail(), box.id, source);
    ASSERT_TRUE(appended) << appended.error().message << ' ' << appended.error().context;
    auto const found = backend->mongo().find_one(Db::main, "messages", {{"_id", appended->id}});
    ASSERT_TRUE(found && *found);
    bson::Document const& message = **found;
    EXPECT_EQ(message.text("v"), "1.0");
    EXPECT_EQ(*message.find("uid"), bson::Value(1));
    EXPECT_EQ(*message.find("modseq"), bson::Value(2));
    EXPECT_EQ(*message.find("size"), bson::Value(static_cast<std::int32_t>(source.size())));
    EXPECT_EQ(message.text("msgid"), "<m1@example.com>");
    EXPECT_EQ(message.text("text"), "Hello");
    EXPECT_EQ(message.text("intro"), "Hello");
    EXPECT_TRUE(message.boolean("unseen") && message.boolean("undeleted") && message.boolean("searchable"));
    EXPECT_EQ(*message.find("ha"), bson::Value(false));
    EXPECT_EQ(message.id("user"), user);
    EXPECT_FALSE(message.find("attachments") || message.find("mallardSource") || message.find("mallardSize"));
    auto const journal = backend->mongo().find(Db::main, "journal", {{"mailbox", box.id}, {"command", "EXISTS"}});
    ASSERT_TRUE(journal);
    ASSERT_EQ(journal->size(), 1u);
    EXPECT_EQ(*journal->front().find("uid"), bson::Value(1));
    EXPECT_EQ(*journal->front().find("modseq"), bson::Value(2));
    EXPECT_EQ(*journal->front().find("unseen"), bson::Value(true));
    EXPECT_EQ(journal->front().id("message"), appended->id);
}

TEST_F(ClusterMail, StoresADecodedAttachmentOnceAndCountsIt) {  // storage.md §10.3
    auto const box = make_mailbox("INBOX");
    auto const source = conformance::with_attachment(500'000, 3);
    auto const appended = append(backend->mail(), box.id, source);
    ASSERT_TRUE(appended) << appended.error().message << ' ' << appended.error().context;
    ASSERT_TRUE(append(backend->mail(), box.id, source));
    auto const files = backend->mongo().find(Db::gridfs, "attachments.files", {});
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 1u);
    auto const* metadata = files->front().document("metadata");
    ASSERT_TRUE(metadata);
    EXPECT_EQ(metadata->integer("c"), 2);
    EXPECT_EQ(*metadata->find("decoded"), bson::Value(true));
    EXPECT_EQ(*metadata->find("lineLen"), bson::Value(76));
    EXPECT_EQ(files->front().integer("length"), 375'000);
    ASSERT_TRUE(backend->mail().expunge(box.id, {{1, 2}}, false));
    backend->clock().advance(25LL * 3'600'000);
    while (*backend->mail().sweep()) {}
    EXPECT_EQ(*backend->mongo().count(Db::gridfs, "attachments.files", {}), 0);
    EXPECT_EQ(*backend->mongo().count(Db::gridfs, "attachments.chunks", {}), 0);
}

TEST_F(ClusterMail, AppendsInFewRoundTrips) {
    auto const box = make_mailbox("INBOX");
    ASSERT_TRUE(append(backend->mail(), box.id, "A: 1\r\n\r\nx"));
    auto const before = backend->mongo().round_trips();
    ASSERT_TRUE(append(backend->mail(), box.id, "A: 2\r\n\r\nx"));
    EXPECT_LE(backend->mongo().round_trips() - before, 6u);
}

}  // namespace
}  // namespace mallard::store::cluster
