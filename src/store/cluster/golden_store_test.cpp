// What the store leaves in MongoDB and Redis, to the letter (storage.md §4, §5, §10 to §14).
#include <algorithm>
#include <condition_variable>
#include <map>

#include "mime/message.hpp"
#include "mime/summary.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Document;
using bson::to_text;

constexpr TimeMs received = 1'704'103'200'000, now = 1'704'103'260'000;

std::string const worked_example =  // storage.md §11.9
    "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hi\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n"
    "Message-ID: <m1@example.com>\r\nContent-Type: multipart/mixed; boundary=B1\r\n\r\n"
    "--B1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
    "--B1\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--B1--\r\n";

class GoldenStore : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        database = std::make_unique<TestDatabase>();
        redis = std::move(*RedisClient::open(test_redis_url()));
        ASSERT_TRUE(redis->command({"FLUSHDB"}));
        clock = std::make_unique<ManualClock>(now);
        state = std::make_unique<ClusterSharedState>(*redis, now);
        events = std::make_unique<ClusterEvents>(*redis, EventsConfig{});
        store = std::make_unique<ClusterMailStore>(mongo(), *redis, *events, nullptr, *clock);
        names[user] = "user";
        ASSERT_TRUE(mongo().insert(Db::users, "users", {{"_id", user}, {"storageUsed", 0}}));
    }
    MongoClient& mongo() { return database->client(); }

    MailboxInfo make_mailbox(std::string path, std::string special_use = "", std::int64_t retention = 0) {
        MailboxInfo info;
        info.user = user;
        info.path = path;
        info.special_use = std::move(special_use);
        info.retention_ms = retention;
        auto const made = store->create_mailbox(std::move(info));
        EXPECT_TRUE(made);
        names[made->id] = path;
        return *made;
    }

    Appended append(MailboxId mailbox, std::string const& source, Flags flags = {}) {
        auto const tree = mime::parse(source);
        NewMessage message{.source = source, .tree = &tree, .flags = std::move(flags), .internal_date = received};
        message.record.header_date = received;
        message.record.meta = Document{{"source", "IMAP"}, {"time", bson::Date{now}}}.encode();
        message.thread_refs = mime::thread_refs(tree, source);
        message.thread_subject = "Hi";
        auto const appended = store->append(mailbox, std::move(message));
        EXPECT_TRUE(appended) << appended.error().message << ' ' << appended.error().context;
        names[appended->id] = "message" + std::to_string(++messages);
        return *appended;
    }

    // The documents of a collection, a line each; of the fields only those named, if any are. What only the test
    // cannot know is struck out.
    std::string shown(Db db, std::string_view collection, Document const& filter = {},
                      std::vector<std::string> const& fields = {}, Document sort = {{"_id", 1}}) {
        auto found = mongo().find(db, collection, filter, {.sort = std::move(sort)});
        EXPECT_TRUE(found) << found.error().context;
        std::string out;
        for (auto& document : *found) {
            if (fields.empty() && collection != "attachments.files" && collection != "messages" && document.id("_id") &&
                !names.contains(*document.id("_id")))
                document.set("_id", "new");
            Document some;
            for (auto const& field : document.fields())
                if (fields.empty() || std::ranges::find(fields, field.key) != fields.end())
                    some.set(field.key, field.value);
            out += to_text(some, names) + "\n";
        }
        return out;
    }

    // Where servers order the fields in ways of their own (upserts).
    std::string sorted_text(Document const& document) const {
        std::map<std::string, std::string> sorted;
        for (auto const& [key, value] : document.fields()) sorted[key] = to_text(value, names);
        std::string line;
        for (auto const& [key, value] : sorted) line += (line.empty() ? "" : " ") + key + ":" + value;
        return line;
    }

    UserId const user = UserId::generate();
    bson::Names names;
    int messages = 0;
    std::unique_ptr<TestDatabase> database;
    std::unique_ptr<RedisClient> redis;
    std::unique_ptr<ManualClock> clock;
    std::unique_ptr<ClusterSharedState> state;
    std::unique_ptr<ClusterEvents> events;
    std::unique_ptr<ClusterMailStore> store;
};

TEST_F(GoldenStore, WritesMailboxes) {  // §4.1
    make_mailbox("INBOX");
    make_mailbox("Junk", "\\Junk", 2'592'000'000);
    std::string const counted = "uidValidity:1704103260, uidNext:1, modifyIndex:1, subscribed:true, flags:[], ";
    EXPECT_EQ(shown(Db::main, "mailboxes"), "{_id:INBOX, path:\"INBOX\", specialUse:null, " + counted +
                                                "user:user, retention:0}\n"
                                                "{_id:Junk, path:\"Junk\", specialUse:\"\\\\Junk\", " +
                                                counted + "user:user, retention:2592000000.0}\n");
}

TEST_F(GoldenStore, WritesTheWorkedExample) {  // §4.2, §11.9
    auto const box = make_mailbox("INBOX");
    append(box.id, worked_example);
    auto const message = mongo().find_one(Db::main, "messages", {});
    ASSERT_TRUE(message && *message);
    names[(*message)->id("thread").value()] = "thread";
    Document const& found = **message;
    auto const magic = found.integer("magic", -1);
    EXPECT_TRUE(magic >= 0 && magic <= 65'535);
    auto const shown_of = [&](std::string_view key) {
        auto const* value = found.find(key);
        return value == nullptr ? "absent" : to_text(*value, names);
    };
    struct {
        std::string_view key, value;
    } const rows[] = {
        {"_id", "message1"},
        {"root", "message1"},
        {"v", "\"1.0\""},
        {"userDeleted", "false"},
        {"idate", "Date(1704103200000)"},
        {"hdate", "Date(1704103200000)"},
        {"flags", "[]"},
        {"size", "375"},
        {"meta", "{source:\"IMAP\", time:Date(1704103260000)}"},
        {"filters", "[]"},
        {"headers", R"([{key:"from", value:"ann <ann@example.com>"}, {key:"to", value:"bob@example.org"}, )"
                    R"({key:"subject", value:"hi"}, {key:"message-id", value:"<m1@example.com>"}])"},
        {"msgid", "\"<m1@example.com>\""},
        {"unseen", "true"},
        {"flagged", "false"},
        {"undeleted", "true"},
        {"draft", "false"},
        {"subject", "\"Hi\""},
        {"copied", "false"},
        {"retentionTime", "1704103260000.0"},
        {"retention", "0"},
        {"exp", "false"},
        {"rdate", "absent"},
        {"attachments",
         R"([{id:"ATT00001", filename:"a.pdf", contentType:"application/pdf", disposition:"attachment", )"
         R"(transferEncoding:"base64", cid:null, related:false, sizeKb:1, size:8, )"
         R"(fileContentHash:"MV1Cm3cUzttq0ErDEkAUUldpJjBFfzyIJTxb7OrHYCc="}])"},
        {"ha", "true"},
        {"text", "\"Hello\""},
        {"textFooter", "absent"},
        {"intro", "\"Hello\""},
        {"html", "[\"<p>Hello</p>\"]"},
        {"mailbox", "INBOX"},
        {"user", "user"},
        {"uid", "1"},
        {"modseq", "2"},
        {"searchable", "true"},
        {"junk", "absent"},
        {"thread", "thread"},
    };
    for (auto const& row : rows) EXPECT_EQ(shown_of(row.key), row.value) << row.key;
}

TEST_F(GoldenStore, WritesWhatGoesWithAMessage) {  // §4.5, §10.3, §11.9, §13
    auto const box = make_mailbox("INBOX");
    append(box.id, worked_example);
    auto const message = mongo().find_one(Db::main, "messages", {});
    ASSERT_TRUE(message && *message);
    names[(*message)->id("thread").value()] = "thread";
    auto const magic = (*message)->integer("magic", -1);
    EXPECT_EQ(shown(Db::users, "users"), "{_id:user, storageUsed:375}\n");
    EXPECT_EQ(shown(Db::main, "mailboxes", {}, {"uidNext", "modifyIndex"}), "{uidNext:2, modifyIndex:2}\n");
    auto const threads = mongo().find(Db::main, "threads", {});
    ASSERT_TRUE(threads && threads->size() == 1);
    EXPECT_EQ(sorted_text(threads->front()),
              "_id:thread ids:[\"6nqph37mRCkgBcdWwTY0rlAHXxU\"] subject:\"Hi\" updated:Date(1704103260000) user:user");
    std::string const digest =
        "Bin(\"\\xffr6*:\\xd7x\\x91\\xc0\\x8ey\\x1e\\xf2\\x0cQ\\xde\\xc4Vg\\x94\\x82\\xea\\x02e\\xa7):\\x1b\\xfc{Qg\")";
    EXPECT_EQ(shown(Db::gridfs, "attachments.files"),
              "{_id:" + digest +
                  ", length:4, chunkSize:261120, uploadDate:Date(1704103260000), filename:null, "
                  "contentType:\"application/pdf\", metadata:{m:" +
                  std::to_string(magic) +
                  ", c:1, cu:Date(1704103260000), esize:8, transferEncoding:\"base64\", decoded:true, lineLen:76, "
                  "fileContentHash:\"MV1Cm3cUzttq0ErDEkAUUldpJjBFfzyIJTxb7OrHYCc=\"}}\n");
    EXPECT_EQ(shown(Db::gridfs, "attachments.chunks"),
              "{_id:\"new\", files_id:" + digest + ", n:0, data:Bin(\"%PDF\")}\n");
}

TEST_F(GoldenStore, WritesNoContentHashWhereTheBodyWasThere) {  // §10.2
    auto const box = make_mailbox("INBOX");
    append(box.id, worked_example);
    append(box.id, worked_example);
    auto const found = shown(Db::main, "messages", {{"uid", 2}}, {"attachments"});
    EXPECT_TRUE(found.contains("size:8}") && !found.contains("fileContentHash")) << found;
    EXPECT_EQ(*mongo().count(Db::gridfs, "attachments.files", {{"metadata.c", 2}}), 1);
    EXPECT_EQ(*mongo().count(Db::main, "threads", {}), 1);
}

TEST_F(GoldenStore, SetsWhatExpiresAndWhatIsJunk) {  // §4.2
    auto const junk = make_mailbox("Junk", "\\Junk", 2'592'000'000);
    append(junk.id, "Subject: Hi\r\n\r\nx\r\n", {static_cast<std::uint8_t>(seen | deleted), {"$Forwarded"}});
    EXPECT_EQ(shown(Db::main, "messages", {},
                    {"flags", "unseen", "flagged", "undeleted", "draft", "searchable", "exp", "rdate", "retention",
                     "retentionTime", "junk"},
                    {{"uid", 1}}),
              "{flags:[\"\\\\Seen\", \"\\\\Deleted\", \"$Forwarded\"], unseen:false, flagged:false, undeleted:false, "
              "draft:false, retentionTime:1704103260000.0, retention:2592000000.0, exp:true, "
              "rdate:1706695260000.0, junk:true}\n");
}

TEST_F(GoldenStore, WritesTheJournal) {  // §12.1
    auto const box = make_mailbox("INBOX");
    append(box.id, "Message-ID: <m1@example.com>\r\nSubject: Hi\r\n\r\nx\r\n");
    ASSERT_TRUE(store->change_flags(box.id, {{1, 1}}, {FlagMode::add, {seen, {"Kw"}}, {}}));
    ASSERT_TRUE(store->expunge(box.id, {{1, 1}}, false));
    ASSERT_TRUE(store->update_mailbox(box.id, {.path = "Other"}));
    ASSERT_TRUE(store->delete_mailbox(box.id));
    auto const thread = mongo().find_one(Db::main, "threads", {});
    ASSERT_TRUE(thread && *thread);
    names[(*thread)->id("_id").value()] = "thread";
    auto found = mongo().find(Db::main, "journal", {}, {.sort = {{"_id", 1}}});
    ASSERT_TRUE(found);
    // Their order is that of _id; the order of the fields has no meaning.
    std::vector<std::string> const expected = {
        "command:\"CREATE\" created:Date(1704103260000) mailbox:INBOX modseq:1 path:\"INBOX\" user:user",
        "command:\"EXISTS\" created:Date(1704103260000) idate:Date(1704103200000) ignore:null mailbox:INBOX "
        "message:message1 modseq:2 thread:thread uid:1 unseen:true user:user",
        "command:\"FETCH\" created:Date(1704103260000) flags:[\"\\\\Seen\", \"Kw\"] mailbox:INBOX message:message1 "
        "modseq:3 thread:thread uid:1 unseenChange:true user:user",
        "command:\"EXPUNGE\" created:Date(1704103260000) ignore:null mailbox:INBOX message:message1 modseq:4 "
        "thread:thread uid:1 unseen:false user:user",
        "command:\"RENAME\" created:Date(1704103260000) mailbox:INBOX modseq:4 path:\"Other\" user:user",
        "command:\"DELETE\" created:Date(1704103260000) mailbox:INBOX modseq:4 user:user",
    };
    ASSERT_EQ(found->size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        (*found)[i].erase("_id");
        EXPECT_EQ(sorted_text((*found)[i]), expected[i]);
    }
}

TEST_F(GoldenStore, PublishesSignalsOf32OctetsAndDrops) {  // §12.2
    std::mutex mutex;
    std::condition_variable changed;
    bool connected = false;
    std::vector<std::string> heard;
    RedisSubscriber const subscriber(
        redis->config(), {"wd_events"},
        [&](std::string_view channel, std::string_view payload) {
            std::lock_guard const lock(mutex);
            heard.push_back(std::string(channel) + " " + std::string(payload));
            changed.notify_all();
        },
        [&] {
            std::lock_guard const lock(mutex);
            connected = true;
            changed.notify_all();
        });
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return connected; }));
    lock.unlock();
    auto const box = make_mailbox("INBOX");
    lock.lock();
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return !heard.empty(); }));
    EXPECT_EQ(heard.front(), "wd_events {\"e\":\"" + user.hex() + "\"}");
    EXPECT_EQ(heard.front().size(), std::string("wd_events ").size() + 32);
    lock.unlock();
    ASSERT_TRUE(store->delete_mailbox(box.id));
    auto const drop =
        "wd_events {\"e\":\"" + user.hex() + R"(","p":{"command":"DROP","mailbox":")" + box.id.hex() + "\"}}";
    lock.lock();
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20),
                                 [&] { return std::ranges::find(heard, drop) != heard.end(); }));
}

TEST_F(GoldenStore, LeavesNoStaleCounterOfAMailbox) {  // §12.3
    auto const box = make_mailbox("INBOX");
    auto const total = "total:" + box.id.hex(), unseen = "unseen:" + box.id.hex();
    ASSERT_TRUE(redis->command({"SET", total, "5", "EX", "86400"}));
    ASSERT_TRUE(redis->command({"SET", unseen, "3", "EX", "86400"}));
    append(box.id, worked_example);
    for (auto const& [key, right] : {std::pair(total, "6"), std::pair(unseen, "4")}) {
        auto const value = redis->command({"GET", key});
        ASSERT_TRUE(value);
        EXPECT_TRUE(value->kind == RedisReply::Kind::nil || value->text == right) << key << " " << value->text;
    }
}

}  // namespace

}  // namespace mallard::store::cluster
