#include "store/cluster/mongo_client.hpp"

#include <thread>

#include "store/cluster/breaking_proxy.hpp"
#include "store/cluster/test_backend.hpp"
#include "store/cluster/wildduck_indexes.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Document;

TEST(MongoClient, IsUnavailableWhereNobodyListens) {
    auto const began = std::chrono::steady_clock::now();
    auto const client = MongoClient::open(
        {.url = "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200", .retry_for = std::chrono::milliseconds(300)});
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, ErrorKind::unavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST(MongoClient, RefusesAUrlThatIsNone) {
    auto const client = MongoClient::open({.url = "http://x"});
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, ErrorKind::invalid);
}

TEST(WildDuckIndexes, AreReadFromTheirShortForm) {
    EXPECT_EQ(wildduck_indexes().size(), 96u);
    auto const reverse = definition_of(*find_wildduck_index("messages", "mailbox_uid_reverse"));
    EXPECT_EQ(reverse.key, (Document{{"mailbox", 1}, {"uid", -1}, {"_id", -1}}));
    auto const text = definition_of(*find_wildduck_index("messages", "fulltext"));
    EXPECT_EQ(text.key, (Document{{"user", 1}, {"headers.value", "text"}, {"text", "text"}}));
    EXPECT_EQ(text.partial, (Document{{"searchable", true}}));
    auto const task = definition_of(*find_wildduck_index("tasks", "clear_folder_task"));
    EXPECT_TRUE(task.unique);
    EXPECT_EQ(task.partial, (Document{{"task", "clear-folder"}}));
    auto const journal = definition_of(*find_wildduck_index("journal", "journal_autoexpire"));
    EXPECT_EQ(journal.expire_after_seconds, 10'800);
    EXPECT_EQ(find_wildduck_index("messages", "none"), nullptr);
}

class MongoClientTest : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        database = std::make_unique<TestDatabase>();
        client = &database->client();
    }
    std::unique_ptr<TestDatabase> database;
    MongoClient* client = nullptr;
};

TEST_F(MongoClientTest, WaitsForADatabaseThatIsAwayOnceAndNotWithEveryCall) {
    auto const url = url_of_database(test_mongo_url(), "mallard_away");
    BreakingProxy proxy(port_of_url(test_mongo_url()));
    auto opened =
        MongoClient::open({.url = proxied(url, proxy.port(), "&serverSelectionTimeoutMS=300&heartbeatFrequencyMS=500"),
                           .retry_for = std::chrono::milliseconds(1'000)});
    ASSERT_TRUE(opened) << opened.error().context;
    auto const find = [&] { return (*opened)->find_one(Db::main, "c", {{"_id", 1}}); };
    ASSERT_TRUE(find());
    using Clock = std::chrono::steady_clock;
    proxy.arm(1, BreakingProxy::Point::before_request, true);
    auto began = Clock::now();
    EXPECT_FALSE(find());
    EXPECT_GT(Clock::now() - began, std::chrono::milliseconds(500));
    began = Clock::now();
    for (int i = 0; i < 200; ++i) {
        auto const refused = find();
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
    }
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(10));  // each by itself would wait for 300 ms at least
    proxy.disarm();
    for (auto const end = Clock::now() + std::chrono::seconds(20); !find();) {
        ASSERT_LT(Clock::now(), end);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(find());
}

TEST_F(MongoClientTest, MakesAllOfWildDucksIndexesAndMayDoSoTwice) {
    auto const first = ensure_wildduck_indexes(*client);
    ASSERT_TRUE(first) << first.error().message << " " << first.error().context;
    EXPECT_TRUE(ensure_wildduck_indexes(*client));
}

TEST_F(MongoClientTest, SaysWhichWriteOfManyFailedAndDoesTheOthers) {
    std::vector<Write> writes;
    for (int id : {1, 2, 1, 3}) writes.push_back({.kind = Write::Kind::insert, .document = {{"_id", id}}});
    auto const written = client->bulk(Db::main, "c", writes, false);
    ASSERT_TRUE(written) << written.error().context;
    EXPECT_EQ(written->inserted, 3);
    ASSERT_EQ(written->failures.size(), 1u);
    EXPECT_EQ(written->failures[0].index, 2u);
    EXPECT_EQ(written->failures[0].error.kind, ErrorKind::already_exists);
    EXPECT_EQ(client->count(Db::main, "c", {}), 3);
}

TEST_F(MongoClientTest, UpdatesReplacesAndErases) {
    ASSERT_TRUE(client->insert(Db::main, "c", {{"_id", 1}, {"n", 1}}));
    auto const updated =
        client->write(Db::main, "c", {.filter = {{"_id", 1}}, .document = {{"$inc", Document{{"n", 2}}}}});
    ASSERT_TRUE(updated) << updated.error().context;
    EXPECT_EQ(updated->matched, 1);
    EXPECT_EQ(client->find_one(Db::main, "c", {{"_id", 1}})->value().integer("n"), 3);
    auto const upserted = client->write(
        Db::main, "c", {.filter = {{"_id", 2}}, .document = {{"$set", Document{{"n", 9}}}}, .upsert = true});
    EXPECT_EQ(upserted->upserted, 1);
    auto const before =
        client->find_and_modify(Db::main, "c", {.filter = {{"_id", 2}}, .update = {{"$inc", Document{{"n", 1}}}}});
    EXPECT_EQ(before->value().integer("n"), 9);
    auto const gone = client->find_and_modify(Db::main, "c", {.filter = {{"_id", 2}}, .remove = true});
    EXPECT_EQ(gone->value().integer("n"), 10);
    EXPECT_EQ(*client->find_and_modify(Db::main, "c", {.filter = {{"_id", 2}}, .remove = true}), std::nullopt);
    EXPECT_EQ(client->erase(Db::main, "c", {}, true), 1);
}

TEST_F(MongoClientTest, GivesSortedLimitedProjectedAndAggregated) {
    for (int i = 0; i < 250; ++i) ASSERT_TRUE(client->insert(Db::main, "c", {{"_id", i}, {"n", i % 10}, {"x", "y"}}));
    auto const few = client->find(Db::main, "c", {{"n", 3}},
                                  {.projection = {{"_id", 1}}, .sort = {{"_id", -1}}, .limit = 2, .skip = 1});
    ASSERT_TRUE(few) << few.error().context;
    EXPECT_EQ(*few, (std::vector<Document>{{{"_id", 233}}, {{"_id", 223}}}));
    EXPECT_EQ(client->find(Db::main, "c", {}, {.batch = 20})->size(), 250u);
    auto const sum = client->aggregate(
        Db::main, "c", {Document{{"$group", Document{{"_id", bson::Null{}}, {"n", Document{{"$sum", "$n"}}}}}}});
    ASSERT_TRUE(sum) << sum.error().context;
    EXPECT_EQ(sum->at(0).integer("n"), 25 * 45);
}

TEST_F(MongoClientTest, CountsItsRequests) {
    ASSERT_TRUE(client->insert(Db::main, "c", {{"_id", 1}}));
    auto const before = client->round_trips();
    ASSERT_TRUE(client->find_one(Db::main, "c", {{"_id", 1}}));
    EXPECT_EQ(client->round_trips(), before + 1);
}

TEST_F(MongoClientTest, LosesNoUpdateOfManyThreads) {
    ASSERT_TRUE(client->insert(Db::main, "c", {{"_id", 1}, {"n", 0}}));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i)
                EXPECT_TRUE(
                    client->write(Db::main, "c", {.filter = {{"_id", 1}}, .document = {{"$inc", Document{{"n", 1}}}}}));
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(client->find_one(Db::main, "c", {{"_id", 1}})->value().integer("n"), 80);
}

TEST_F(MongoClientTest, TellsWhatTheServerLacks) {
    auto const& f = client->features();
    RecordProperty("server", f.server);
    std::printf(
        "%s: sparse %d, partial %d, TTL %d, hashed %d, text %d, absent %d, pipelines %d, array filters %d, "
        "modifiers %d, $max %d, atomic %d, retryable %d\n",
        f.server.c_str(), f.sparse_indexes, f.partial_indexes, f.ttl_indexes, f.hashed_indexes, f.text_indexes,
        f.unique_counts_absent, f.pipeline_updates, f.array_filters, f.update_modifiers, f.max_operator,
        f.atomic_updates, f.retryable_writes);
    EXPECT_TRUE(f.server.starts_with("MongoDB ") || f.server.starts_with("FerretDB ")) << f.server;
}

TEST_F(MongoClientTest, UsesTheIndexThatAQueryNames) {
    ASSERT_TRUE(ensure_wildduck_indexes(*client));
    Document const find{{"find", "addresses"}, {"filter", Document{{"user", ObjectId::generate()}}}, {"hint", "user"}};
    auto const scan = explained_scan(*client, Db::users, find);
    if (!scan) GTEST_SKIP() << client->features().server << " does not explain its plans";
    EXPECT_EQ(*scan, "");
}

}  // namespace

}  // namespace mallard::store::cluster
