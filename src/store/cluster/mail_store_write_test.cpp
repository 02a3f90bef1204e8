// What is written, as WildDuck writes it, and in how many round trips.
#include <gtest/gtest.h>

#include <atomic>

#include "store/cluster/mail_backend.hpp"
#include "store/cluster/message_document.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Document;
using ClusterWrites = ClusterMail;

TEST_F(ClusterWrites, AppendInFewRoundTrips) {
    auto const box = make_mailbox("INBOX");
    auto const deliver = [&] {
        std::string const source = "A: 1\r\n\r\nx";
        auto const tree = mime::parse(source);
        NewMessage message{.source = source, .tree = &tree, .internal_date = 1'700'000'000'000};
        message.thread_refs = {"one", "two"};
        message.thread_subject = "subject";
        ASSERT_TRUE(backend->mail().append(box.id, std::move(message)));
    };
    EXPECT_LE(round_trips_of(deliver), 5u);  // a new thread
    ASSERT_TRUE(backend->mail().snapshot(box.id));
    EXPECT_LE(round_trips_of(deliver), 5u);
    EXPECT_EQ(all("threads").size(), 1u);
    auto const cold = backend->another_process();  // that has never heard of the mailbox
    auto before = cold->mongo->round_trips();
    ASSERT_TRUE(cold->store.append_to(user, "INBOX", {.source = "A: 2\r\n\r\n", .thread_refs = {"three"}}));
    EXPECT_LE(cold->mongo->round_trips() - before, 5u);
    auto const by_id = backend->another_process();
    before = by_id->mongo->round_trips();
    ASSERT_TRUE(append(by_id->store, box.id, "A: 2\r\n\r\n"));
    EXPECT_LE(by_id->mongo->round_trips() - before, 6u);
}

TEST_F(ClusterWrites, FlagsOfAThousandMessagesInFewRoundTrips) {
    auto const box = make_mailbox("INBOX");
    MailStore& store = backend->mail();
    std::vector<Write> messages;
    for (int uid = 1; uid <= 1'000; ++uid)
        messages.push_back({.kind = Write::Kind::insert,
                            .document = {{"_id", ObjectId::generate()},
                                         {"mailbox", box.id},
                                         {"user", user},
                                         {"uid", uid},
                                         {"modseq", 2},
                                         {"flags", bson::Array{}},
                                         {"size", 1},
                                         {"idate", bson::Date{1'700'000'000'000}}}});
    ASSERT_TRUE(backend->mongo().bulk(Db::main, "messages", messages));
    ASSERT_TRUE(backend->mongo().write(
        Db::main, "mailboxes",
        {.filter = {{"_id", box.id}}, .document = {{"$set", Document{{"uidNext", 1'001}, {"modifyIndex", 2}}}}}));
    ASSERT_EQ((*store.snapshot(box.id))->size(), 1'000u);
    EXPECT_LE(round_trips_of([&] {
                  auto const done = store.change_flags(box.id, {{1, 1'000}}, {FlagMode::add, {flagged, {"Kw"}}, {}});
                  ASSERT_TRUE(done);
                  EXPECT_EQ(done->changed, (UidSet{{1, 1'000}}));
              }),
              6u);
    EXPECT_EQ(round_trips_of([&] { ASSERT_TRUE(store.snapshot(box.id)); }), 0u);
    EXPECT_EQ(all("journal", {{"mailbox", box.id}, {"command", "FETCH"}}).size(), 1'000u);
}

TEST_F(ClusterWrites, FlagsByOperatorsWithTheirMirrors) {  // storage.md §11.5
    auto const box = make_mailbox("INBOX"), trash = make_mailbox("Trash", "\\Trash");
    MailStore& store = backend->mail();
    ASSERT_TRUE(append(store, box.id, "A: 1\r\n\r\n"));
    // Flags as others left them: spelled another way, and one that we do not touch.
    ASSERT_TRUE(backend->mongo().write(
        Db::main, "messages",
        {.kind = Write::Kind::update_many,
         .filter = {{"mailbox", box.id}},
         .document = {
             {"$set", Document{{"flags", bson::Array{"\\FLAGGED", "$Theirs", "OTHER"}}, {"flagged", true}}}}}));
    backend->reopen();
    MailStore& now = backend->mail();
    ASSERT_TRUE(now.change_flags(box.id, {{1, 1}}, {FlagMode::add, {deleted | draft, {"Kw"}}, {}}));
    auto message = one("messages", {{"mailbox", box.id}});
    EXPECT_EQ(*message.array("flags"), (bson::Array{"\\FLAGGED", "$Theirs", "OTHER", "\\Deleted", "\\Draft", "Kw"}));
    EXPECT_EQ(*message.find("undeleted"), bson::Value(false));
    EXPECT_EQ(*message.find("draft"), bson::Value(true));
    EXPECT_FALSE(message.find("searchable"));
    EXPECT_EQ(one("mailboxes", {{"_id", box.id}}).array("flags")->size(), 1u);
    ASSERT_TRUE(now.change_flags(box.id, {{1, 1}}, {FlagMode::remove, {deleted | flagged, {"other"}}, {}}));
    message = one("messages", {{"mailbox", box.id}});
    EXPECT_EQ(*message.array("flags"), (bson::Array{"$Theirs", "\\Draft", "Kw"}));
    EXPECT_EQ(*message.find("flagged"), bson::Value(false));
    EXPECT_EQ(*message.find("searchable"), bson::Value(true));
    auto const n = (*now.snapshot(box.id))->find(1);
    EXPECT_EQ((*now.snapshot(box.id))->flags((*now.snapshot(box.id))->row(*n)), (Flags{draft, {"$Theirs", "Kw"}}));
    auto const entries = all("journal", {{"mailbox", box.id}, {"command", "FETCH"}});
    ASSERT_EQ(entries.size(), 2u);
    for (auto const& entry : entries) {
        EXPECT_EQ(entry.id("thread"), message.id("thread"));
        EXPECT_EQ(entry.id("message"), message.id("_id"));
        EXPECT_EQ(*entry.find("unseenChange"), bson::Value(false));
    }
    // In \Trash a message stays out of searches.
    ASSERT_TRUE(append(now, trash.id, "A: 2\r\n\r\n", {deleted, {}}));
    ASSERT_TRUE(now.change_flags(trash.id, {{1, 1}}, {FlagMode::remove, {deleted, {}}, {}}));
    EXPECT_FALSE(one("messages", {{"mailbox", trash.id}}).find("searchable"));
}

TEST_F(ClusterWrites, ExpungedMessagesIntoTheArchive) {  // storage.md §4.4, §11.7
    auto const box = make_mailbox("INBOX"), copies = make_mailbox("Copies");
    MailStore& store = backend->mail();
    auto const plain = append(store, box.id, conformance::with_attachment(20'000, 1));
    ASSERT_TRUE(append(store, box.id, "A: draft\r\n\r\n", {draft, {}}));
    ASSERT_TRUE(append(store, box.id, "A: copied\r\n\r\n"));
    ASSERT_TRUE(store.copy(box.id, {{3, 3}}, copies.id));
    EXPECT_TRUE(one("messages", {{"mailbox", box.id}, {"uid", 3}}).boolean("copied"));
    auto const before = one("messages", {{"_id", plain->id}});
    ASSERT_TRUE(store.expunge(box.id, {{1, 3}}, false));
    auto archived = one("archived", {});
    EXPECT_EQ(archived.date("archived"), backend->clock().now());
    EXPECT_EQ(*archived.find("exp"), bson::Value(true));
    EXPECT_EQ(*archived.find("rdate"),
              bson::Value(static_cast<double>(backend->clock().now() + 25LL * 24 * 3'600'000)));
    for (auto const& [key, value] : before.fields())
        if (key != "exp" && key != "rdate") EXPECT_EQ(*archived.find(key), value) << key;
    EXPECT_EQ(files_of(0).integer("c"), 1);
    auto const entries = all("journal", {{"mailbox", box.id}, {"command", "EXPUNGE"}});
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0].id("message"), plain->id);
    EXPECT_EQ(entries[0].id("thread"), before.id("thread"));
    EXPECT_EQ(*entries[0].find("ignore"), bson::Value(bson::Null{}));
}

TEST_F(ClusterWrites, NoArchiveForAnEntryThatIsNoLongerDeleted) {
    auto const box = make_mailbox("INBOX");
    MailStore& store = backend->mail();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(append(store, box.id, "A: 1\r\n\r\n", {deleted, {}}));
    ASSERT_TRUE(store.snapshot(box.id));
    auto const other = backend->another_process();
    ASSERT_TRUE(other->store.change_flags(box.id, {{1, 1}}, {FlagMode::remove, {deleted, {}}, {}}));
    EXPECT_EQ(*store.expunge(box.id, {{1, 2}}, true), (UidSet{{2, 2}}));
    EXPECT_EQ(all("archived").size(), 1u);
}

TEST_F(ClusterWrites, CopiesAndMovesAsWildDuckNotesThem) {  // storage.md §4.3, §11.6
    auto const box = make_mailbox("INBOX"), junk = make_mailbox("Junk", "\\Junk"), trash = make_mailbox("T", "\\Trash");
    ASSERT_TRUE(backend->mongo().insert(Db::users, "users", {{"_id", user}, {"username", "u"}, {"storageUsed", 0}}));
    MailStore& store = backend->mail();
    auto const first = append(store, box.id, conformance::with_attachment(20'000, 1));
    ASSERT_TRUE(first);
    auto const used = *store.storage_used(user);
    ASSERT_TRUE(store.move(box.id, {{1, 1}}, junk.id));
    auto moved = one("messages", {{"mailbox", junk.id}});
    EXPECT_EQ(*moved.find("junk"), bson::Value(true));
    EXPECT_EQ(moved.id("root"), ObjectId(first->id));
    EXPECT_NE(moved.id("_id"), ObjectId(first->id));
    EXPECT_EQ(one("journal", {{"mailbox", junk.id}, {"command", "EXISTS"}}).integer("junk"), 1);
    EXPECT_EQ(*store.storage_used(user), used);
    EXPECT_EQ(files_of(0).integer("c"), 1);
    EXPECT_EQ(files_of(0).integer("m"), moved.integer("magic"));
    EXPECT_FALSE(moved.document("meta")->find("events"));
    ASSERT_TRUE(store.move(junk.id, {{1, 1}}, trash.id));
    EXPECT_EQ(one("journal", {{"mailbox", trash.id}, {"command", "EXISTS"}}).integer("junk"), 0);
    ASSERT_TRUE(store.move(trash.id, {{1, 1}}, box.id));
    EXPECT_EQ(one("journal", {{"mailbox", box.id}, {"uid", 2}, {"command", "EXISTS"}}).integer("junk"), -1);
    EXPECT_FALSE(one("messages", {{"mailbox", box.id}}).find("junk"));
    ASSERT_TRUE(store.copy(box.id, {{2, 2}}, trash.id));
    auto const copied = one("messages", {{"mailbox", trash.id}});
    auto const* events = copied.document("meta")->array("events");
    ASSERT_TRUE(events && events->size() == 1);
    EXPECT_EQ(events->front().as<Document>()->text("action"), "IMAPCOPY");
    EXPECT_FALSE(copied.boolean("copied"));
    EXPECT_EQ(files_of(0).integer("c"), 2);
    EXPECT_EQ(*store.storage_used(user), 2 * used);
}

TEST_F(ClusterWrites, UnderWildDucksLockOfTheMailbox) {  // storage.md §13
    auto const box = make_mailbox("INBOX");
    auto& redis = backend->redis();
    ASSERT_TRUE(append(backend->mail(), box.id, "A: 1\r\n\r\n"));
    std::string const key = "mail:mbwr:" + box.id.hex();
    std::mutex mutex;
    std::vector<std::string> released;
    std::atomic<bool> listening = false, done = false;
    RedisSubscriber const listener(
        redis.config(), {"mail-release"},
        [&](std::string_view, std::string_view payload) {
            std::lock_guard const lock(mutex);
            released.emplace_back(payload);
        },
        [&] { listening = true; });
    ASSERT_TRUE(eventually([&] { return listening.load(); }));
    // As ioredfour takes it.
    ASSERT_TRUE(redis.command({"HSET", key, "index", "7"}));
    ASSERT_TRUE(redis.command({"PEXPIRE", key, "60000"}));
    std::jthread const expunger([&] {
        auto const gone = backend->mail().expunge(box.id, {{1, 1}}, false);
        EXPECT_TRUE(gone && gone->contains(1));
        done = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it could be done by now
    EXPECT_FALSE(done);
    EXPECT_EQ(all("messages").size(), 1u);
    ASSERT_TRUE(redis.command({"DEL", key}));
    EXPECT_TRUE(eventually([&] { return done.load(); }));
    EXPECT_TRUE(eventually([&] {
        std::lock_guard const lock(mutex);
        return released == std::vector<std::string>{key};
    }));
    EXPECT_EQ(redis.command({"EXISTS", key})->integer, 0);
    {
        auto lock = MailboxLock::take(redis, box.id);
        ASSERT_TRUE(lock);
        EXPECT_EQ(redis.command({"HGET", key, "index"})->text, redis.command({"GET", "mailindex"})->text);
        auto const left = redis.command({"PTTL", key})->integer;
        EXPECT_GT(left, 20'000);
        EXPECT_LE(left, 30'000);
        EXPECT_FALSE(MailboxLock::take(redis, box.id, std::chrono::milliseconds(0)));
        EXPECT_TRUE(lock->extend());
        ASSERT_TRUE(redis.command({"HSET", key, "index", "another"}));
        EXPECT_FALSE(lock->extend());
    }
    EXPECT_EQ(redis.command({"HGET", key, "index"})->text, "another");  // only our own is released
    ASSERT_TRUE(redis.command({"DEL", key}));
}

TEST_F(ClusterWrites, TheCountersOfAMailboxIfTheyAreThere) {  // storage.md §12.3
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    MailStore& store = backend->mail();
    auto& redis = backend->redis();
    std::string const total = "total:" + box.id.hex(), unseen = "unseen:" + box.id.hex();
    auto const value = [&](std::string const& key) { return redis.command({"GET", key})->text; };
    ASSERT_TRUE(append(store, box.id, "A: 1\r\n\r\n"));
    EXPECT_EQ(redis.command({"EXISTS", total, unseen})->integer, 0);
    ASSERT_TRUE(redis.command({"SET", total, "1", "EX", "100"}));
    ASSERT_TRUE(redis.command({"SET", unseen, "1", "EX", "100"}));
    ASSERT_TRUE(append(store, box.id, "A: 2\r\n\r\n"));
    ASSERT_TRUE(append(store, box.id, "A: 3\r\n\r\n", {seen, {}}));
    EXPECT_EQ(value(total), "3");
    EXPECT_EQ(value(unseen), "2");
    EXPECT_GT(redis.command({"TTL", total})->integer, 86'000);
    ASSERT_TRUE(store.change_flags(box.id, {{1, 1}}, {FlagMode::add, {flagged, {}}, {}}));
    EXPECT_EQ(value(unseen), "2");
    ASSERT_TRUE(store.move(box.id, {{2, 3}}, target.id));
    EXPECT_EQ(value(total), "1");
    EXPECT_EQ(value(unseen), "1");
    ASSERT_TRUE(store.change_flags(box.id, {{1, 1}}, {FlagMode::add, {seen, {}}, {}}));
    EXPECT_EQ(redis.command({"EXISTS", unseen})->integer, 0);
    ASSERT_TRUE(store.expunge(box.id, {{1, 1}}, false));
    EXPECT_EQ(value(total), "0");
    ASSERT_TRUE(store.delete_mailbox(box.id));
    EXPECT_EQ(redis.command({"EXISTS", total, unseen})->integer, 0);
}

}  // namespace
}  // namespace mallard::store::cluster
