// What test_stores.hpp promises; no tests of its own.
#include <fmt/format.h>

#include <cstdlib>

#include "migrate/test_stores.hpp"
#include "mime/message.hpp"
#include "store/events.hpp"

namespace mallard::migrate {

namespace {

constexpr std::string_view keywords[] = {"$Forwarded", "NonJunk", "Work", "Later"};

class NoEvents final : public store::Events {
public:
    std::unique_ptr<store::Subscription> subscribe(UserId, std::function<void(store::Event const&)>) override {
        return nullptr;
    }
    void publish(store::Event const&) override {}
};

std::string variable(char const* name) {
    char const* value = std::getenv(name);
    return value ? value : "";
}

std::string url_of_database(std::string const& url, std::string const& database) {
    auto const slash = url.find('/', url.find("//") + 2);
    auto const question = url.find('?');
    return url.substr(0, std::min(slash, question)) + "/" + database +
           (question == std::string::npos ? "" : url.substr(question));
}

class ClusterTestStore final : public TestStore {
public:
    ClusterTestStore() {
        redis_ = std::move(*store::cluster::RedisClient::open(variable("MALLARD_TEST_REDIS_URL")));
        EXPECT_TRUE(redis_->command({"FLUSHDB"}));
        open();
        for (auto const& index : {store::cluster::IndexDefinition{
                 .name = "user_path", .key = {{"user", 1}, {"path", 1}}, .unique = true, .partial = {}}})
            EXPECT_TRUE(mongo_->ensure_index(store::cluster::Db::main, "mailboxes", index));
        EXPECT_TRUE(mongo_->ensure_index(
            store::cluster::Db::gridfs, "attachments.chunks",
            {.name = "files_id_1_n_1", .key = {{"files_id", 1}, {"n", 1}}, .unique = true, .partial = {}}));
    }
    ~ClusterTestStore() override { (void)mongo_->drop_database(store::cluster::Db::main); }
    Side side() override { return {*documents_, *mail_, *state_}; }
    void reopen() override { open(); }

private:
    void open() {
        mail_.reset();
        state_.reset();
        documents_.reset();
        mongo_ = std::move(*store::cluster::MongoClient::open({.url = url_}));
        documents_ = std::make_unique<store::cluster::ClusterDocuments>(*mongo_, clock);
        state_ = std::make_unique<store::cluster::ClusterSharedState>(*redis_, clock.now());
        mail_ = std::make_unique<store::cluster::ClusterMailStore>(*mongo_, *redis_, events_, nullptr, clock);
        for (auto const* collection : {&test_users(), &test_deleted_users(), &test_addresses()})
            EXPECT_TRUE(documents_->declare(*collection));
    }

    std::string const url_ = url_of_database(variable("MALLARD_TEST_MONGO_URL"), "mallard_migrate_" + random_hex(6));
    NoEvents events_;
    std::unique_ptr<store::cluster::RedisClient> redis_;
    std::unique_ptr<store::cluster::MongoClient> mongo_;
    std::unique_ptr<store::cluster::ClusterDocuments> documents_;
    std::unique_ptr<store::cluster::ClusterSharedState> state_;
    std::unique_ptr<store::cluster::ClusterMailStore> mail_;
};

}  // namespace

store::Collection const& test_users() {
    static store::Collection const collection{
        .name = "users",
        .role = store::DatabaseRole::users,
        .indexes = {{.name = "users_dotless", .fields = {"unameview"}, .unique = true}}};
    return collection;
}

store::Collection const& test_deleted_users() {
    static store::Collection const collection{.name = "deletedusers",
                                              .role = store::DatabaseRole::users,
                                              .indexes = {{.name = "d", .fields = {"unameview"}}}};
    return collection;
}

store::Collection const& test_addresses() {
    static store::Collection const collection{
        .name = "addresses",
        .role = store::DatabaseRole::users,
        .indexes = {{.name = "address_dotless", .fields = {"addrview"}, .unique = true}}};
    return collection;
}

bool have_cluster() {
    return !variable("MALLARD_TEST_MONGO_URL").empty() && !variable("MALLARD_TEST_REDIS_URL").empty();
}

std::unique_ptr<TestStore> make_cluster_store() { return std::make_unique<ClusterTestStore>(); }

void EmbeddedTestStore::open(int fail_at) {
    store_.reset();
    faulty_.reset();
    disk_ = kv::open_memory(memory_, store::embedded::table_specs());
    faulty_ = kv::wrap_faulty(*disk_, fail_at);
    auto opened = store::embedded::EmbeddedStore::open(*faulty_, {.upkeep = false}, clock);
    if (!opened) opened = store::embedded::EmbeddedStore::open(*disk_, {.upkeep = false}, clock);
    store_ = std::move(*opened);
    for (auto const* collection : {&test_users(), &test_deleted_users(), &test_addresses()})
        (void)store_->documents().declare(*collection);
}

UserId Usage::add_user() {
    auto const id = UserId::generate();
    auto const name = fmt::format("user{}", ++number_);
    EXPECT_TRUE(side_.documents.insert(
        test_users(), {{"_id", id}, {"username", name}, {"unameview", id.hex()}, {"storageUsed", 0}, {"quota", 5.5}}));
    EXPECT_TRUE(side_.documents.insert(test_addresses(), {{"_id", ObjectId::generate()},
                                                          {"user", id},
                                                          {"addrview", id.hex() + "@example.com"},
                                                          {"tags", bson::Array{"a", "b"}}}));
    EXPECT_TRUE(side_.state.set_hash("tn:token:" + id.hex(), {{"user", id.hex()}, {"s", "signature"}}));
    EXPECT_TRUE(side_.state.set_hash("tn:token:lives" + id.hex(), {{"x", "y"}}, std::chrono::seconds(5'000)));
    EXPECT_TRUE(side_.state.add_member("tn:user:" + id.hex(), id.hex()));
    EXPECT_TRUE(side_.state.add_member("feature:x", id.hex()));
    EXPECT_TRUE(side_.mail.create_mailbox({.user = id, .path = "INBOX"}));
    EXPECT_TRUE(side_.mail.create_mailbox({.user = id, .path = "Trash", .special_use = "\\Trash"}));
    users_.push_back(id);
    return id;
}

void Usage::some(int steps) {
    for (int i = 0; i < steps; ++i) step();
}

void Usage::step() {
    if (users_.size() < 2 || below(100) == 0) add_user();
    std::size_t const n = below(static_cast<std::uint32_t>(users_.size()));
    UserId const user = users_[n];
    auto const mailboxes = side_.mail.mailboxes(user);
    ASSERT_TRUE(mailboxes);
    if (users_.size() > 4 && below(50) == 0) {
        remove_user(n);
        return;
    }
    if (mailboxes->empty() || below(30) == 0) return add_mailbox(user);
    MailboxId const mailbox = (*mailboxes)[below(static_cast<std::uint32_t>(mailboxes->size()))].id;
    std::uint32_t const what = below(100);
    if (what < 45) return append(mailbox);
    if (what < 90) return change_messages(user, mailbox);
    if (what < 95) return change_mailbox(mailbox);
    change_documents(user);
}

// At once, or such that they can be brought back.
void Usage::remove_user(std::size_t n) {
    UserId const user = users_[n];
    users_.erase(users_.begin() + static_cast<std::ptrdiff_t>(n));
    if (below(2) == 0) {
        auto const document = side_.documents.get(test_users(), user);
        ASSERT_TRUE(document && *document);
        EXPECT_TRUE(side_.documents.insert(test_deleted_users(), **document));
    } else {
        EXPECT_TRUE(side_.mail.delete_user(user));
    }
    EXPECT_TRUE(side_.documents.erase(test_users(), user));
    EXPECT_TRUE(side_.state.erase("tn:token:" + user.hex()));
    EXPECT_TRUE(side_.state.erase_member("feature:x", user.hex()));
}

void Usage::add_mailbox(UserId user) {
    EXPECT_TRUE(side_.mail.create_mailbox(
        {.user = user, .path = fmt::format("Box {} ü", ++number_), .subscribed = below(2) == 0}));
}

void Usage::append(MailboxId mailbox) {
    ++number_;
    std::string source =
        fmt::format("From: ann@example.com\r\nSubject: message {0}\r\nMessage-ID: <{0}@x>\r\nIn-Reply-To: <{1}@x>\r\n",
                    number_, number_ / 3);
    if (below(4) == 0) {
        source +=
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\ntext\r\n--B\r\n"
            "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        char const letter = static_cast<char>('A' + below(3));
        for (std::uint32_t i = 0; i < 200 + 9'000 * (below(20) == 0); ++i) source += std::string(76, letter) + "\r\n";
        source += "--B--\r\n";
    } else {
        source += fmt::format("\r\nbody {}\r\nbare\nlines{}", number_, std::string(below(2'000), 'x'));
    }
    auto const tree = mime::parse(source);
    store::NewMessage message;
    message.source = source;
    message.tree = &tree;
    message.internal_date = 1'700'000'000'000 + std::int64_t{below(1'000'000)} * 1000;
    message.record.envelope = fmt::format("(envelope {})", number_);
    message.record.parts = std::string("p\0q", 3);
    message.record.meta =
        bson::Document{{"source", "TEST"}, {"n", bson::number(static_cast<std::int64_t>(number_))}}.encode();
    message.record.header_date = message.internal_date - 777;
    message.flags.system = static_cast<std::uint8_t>(below(32));
    if (below(3) == 0) message.flags.keywords.emplace_back(keywords[below(std::size(keywords))]);
    message.thread_refs = {fmt::format("<{}@x>", number_ / 3)};
    message.thread_subject = "message";
    EXPECT_TRUE(side_.mail.append(mailbox, message));
}

store::UidSet Usage::some_uids(MailboxId mailbox) {
    auto const snapshot = side_.mail.snapshot(mailbox);
    if (!snapshot || (*snapshot)->size() == 0) return {};
    auto const uid = (*snapshot)->row(below((*snapshot)->size())).uid;
    return {{uid, uid + below(4)}};
}

void Usage::change_messages(UserId user, MailboxId mailbox) {
    auto const uids = some_uids(mailbox);
    auto const mailboxes = side_.mail.mailboxes(user);
    MailboxId const other = (*mailboxes)[below(static_cast<std::uint32_t>(mailboxes->size()))].id;
    switch (below(8)) {
        case 0: EXPECT_TRUE(side_.mail.expunge(mailbox, uids, false)); return;
        case 1: EXPECT_TRUE(side_.mail.copy(mailbox, uids, other)); return;
        case 2: EXPECT_TRUE(side_.mail.move(mailbox, uids, other)); return;
        case 3: tell_messages(mailbox); return;
        default: break;
    }
    store::FlagChange change;
    change.mode = static_cast<store::FlagMode>(below(3));
    change.flags.system = static_cast<std::uint8_t>(below(32));
    if (below(2) == 0) change.flags.keywords.emplace_back(keywords[below(std::size(keywords))]);
    EXPECT_TRUE(side_.mail.change_flags(mailbox, uids, change));
}

void Usage::tell_messages(MailboxId mailbox) {
    store::MessagePatch patch;
    if (below(2) == 0) patch.custom = fmt::format("{{\"number\":{}}}", ++number_);
    if (below(2) == 0)
        patch.expires = below(3) == 0 ? std::nullopt : std::optional<TimeMs>(4'000'000'000'000 + below(1'000));
    EXPECT_TRUE(side_.mail.patch(mailbox, some_uids(mailbox), patch));
}

void Usage::change_mailbox(MailboxId mailbox) {
    if (below(3) == 0) {
        EXPECT_TRUE(side_.mail.delete_mailbox(mailbox));
        return;
    }
    store::MailboxPatch patch;
    patch.path = fmt::format("Renamed {}", ++number_);
    patch.subscribed = below(2) == 0;
    patch.encrypt_messages = below(2) == 0;
    if (below(2) == 0) patch.retention_ms = std::int64_t{100'000'000'000} * below(3);
    EXPECT_TRUE(side_.mail.update_mailbox(mailbox, patch));
}

void Usage::change_documents(UserId user) {
    EXPECT_TRUE(side_.documents.update(test_users(), user, {.set = {{"quota", bson::number(below(1'000))}}}));
    EXPECT_TRUE(side_.state.set_hash("tn:token:" + user.hex(), {{"s", fmt::format("signature {}", ++number_)}}));
}

void move_all(Migration& migration) {
    auto const begun = migration.begin();
    ASSERT_TRUE(begun) << begun.error().message;
    for (int passes = 0;; ++passes) {
        ASSERT_LT(passes, 5) << "two quiet stores never become equal";
        auto const changes = migration.pass();
        ASSERT_TRUE(changes) << changes.error().message << " " << changes.error().context;
        if (*changes == 0) break;
    }
    auto const verified = migration.verify();
    ASSERT_TRUE(verified) << verified.error().message << " " << verified.error().context;
    for (auto const& problem : verified->problems) ADD_FAILURE() << problem;
}

void expect_equal(Side a, Side b) {
    ManualClock clock;
    Migration both(a, b, clock, {.from = "a", .to = "b"}, {});
    auto const verified = both.verify();
    ASSERT_TRUE(verified) << verified.error().message << " " << verified.error().context;
    for (auto const& problem : verified->problems) ADD_FAILURE() << problem;
    auto const report = b.mail.check(false, {});
    ASSERT_TRUE(report) << report.error().message;
    for (auto const& problem : report->problems) ADD_FAILURE() << problem;
}

}  // namespace mallard::migrate
