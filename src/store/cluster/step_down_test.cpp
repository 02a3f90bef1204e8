// A primary that steps down while clients work: who may wait for it never notices, who may not is told to come back,
// and what was acknowledged is there once.
#include <atomic>
#include <thread>

#include "store/cluster/breaking_proxy.hpp"
#include "store/cluster/test_process.hpp"
#include "store/cluster/wildduck_indexes.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Document;
using std::chrono::milliseconds;
using std::chrono::seconds;

class StepDown : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        auto const admin = url_of_database(test_mongo_url(), "admin");
        admin_ = open_client(
            {.url = admin + (admin.contains('?') ? "&" : "?") + "directConnection=true"});  // primary or not
        if (!admin_->features().retryable_writes) GTEST_SKIP() << admin_->features().server << " is no replica set";
        redis_ = std::move(*RedisClient::open(test_redis_url()));
        mongo_ = open_client({.url = url_});
        ASSERT_TRUE(ensure_wildduck_indexes(*mongo_));
        ASSERT_TRUE(mongo_->insert(Db::users, "users", {{"_id", user_}, {"username", "u"}, {"storageUsed", 0}}));
        Process process(url_, *redis_, seconds(8));
        inbox_ = process.store.create_mailbox({.user = user_, .path = "INBOX"})->id;
    }
    void TearDown() override {
        if (mongo_) static_cast<void>(mongo_->drop_database(Db::main));
    }

    bool is_primary() {
        auto const hello = admin_->command(Db::main, {{"hello", 1}});
        return hello && hello->boolean("isWritablePrimary");
    }
    void step_down(seconds lasts) {
        auto const done = admin_->command(Db::main, {{"replSetStepDown", lasts.count()}, {"force", true}});
        ASSERT_TRUE(done) << done.error().context;
        ASSERT_FALSE(is_primary());
    }
    void wait_for_primary() {
        for (auto const end = std::chrono::steady_clock::now() + seconds(60); !is_primary();) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            std::this_thread::sleep_for(milliseconds(20));
        }
    }

    std::string url_ = url_of_database(test_mongo_url(), "mallard_step_down_" + random_hex(6));
    std::unique_ptr<MongoClient> admin_, mongo_;
    std::unique_ptr<RedisClient> redis_;
    UserId const user_ = UserId::generate();
    MailboxId inbox_;
};

// The driver's first try was done, but its answer was lost; its second finds that there is no primary. That alone would
// be a reason to send it again, under another number.
TEST_F(StepDown, AWriteThatMayHaveHappenedIsNotSentAnew) {
    BreakingProxy proxy(port_of_url(test_mongo_url()));
    auto const client = open_client({.url = proxied(url_, proxy.port(), "&appName=doubting")});
    for (auto const* command : {"update", "findAndModify"}) {
        ASSERT_TRUE(mongo_->write(Db::users, "users",
                                  {.filter = {{"_id", user_}}, .document = {{"$set", Document{{"storageUsed", 0}}}}}));
        Document const data{{"failCommands", bson::Array{command}}, {"errorCode", 10107}, {"appName", "doubting"}};
        proxy.arm(1, BreakingProxy::Point::before_reply, false, [&] {
            ASSERT_TRUE(admin_->command(
                Db::main, {{"configureFailPoint", "failCommand"}, {"mode", Document{{"times", 1}}}, {"data", data}}));
        });
        Document const filter{{"_id", user_}}, update{{"$inc", Document{{"storageUsed", 1}}}};
        auto const kind = [](auto const& result) { return result ? ErrorKind::internal : result.error().kind; };
        if (std::string_view(command) == "update")
            EXPECT_EQ(kind(client->write(Db::users, "users", {.filter = filter, .document = update})),
                      ErrorKind::unavailable);
        else
            EXPECT_EQ(kind(client->find_and_modify(Db::users, "users", {.filter = filter, .update = update})),
                      ErrorKind::unavailable);
        EXPECT_TRUE(proxy.disarm());
        EXPECT_EQ((*mongo_->find_one(Db::users, "users", filter))->integer("storageUsed"), 1) << command;
    }
}

TEST_F(StepDown, WritersWaitForTheNextPrimary) {
    Process process(url_, *redis_, seconds(60));
    std::atomic<bool> enough = false;
    std::atomic<int> done = 0;
    std::vector<std::vector<std::string>> sent(3);
    std::vector<std::thread> writers;
    for (auto& mine : sent)
        writers.emplace_back([&, number = &mine - sent.data()] {
            while (!enough) {
                mine.push_back(conformance::with_attachment(20'000, 1, std::to_string(number * 1'000'000 + done)));
                auto const appended = append(process.store, inbox_, mine.back());
                ASSERT_TRUE(appended) << appended.error().context;
                auto const changed = process.store.change_flags(inbox_, {{appended->uid, appended->uid}},
                                                                {FlagMode::add, {flagged, {}}, {}});
                ASSERT_TRUE(changed) << changed.error().context;
                ++done;
            }
        });
    auto const more = [&](int count) {
        int const target = done + count;
        for (auto const end = std::chrono::steady_clock::now() + seconds(60); done < target;) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            std::this_thread::sleep_for(milliseconds(5));
        }
    };
    for (int times = 0; times < 2 && !HasFailure(); ++times) {
        more(5);
        step_down(seconds(1));
        wait_for_primary();
    }
    more(5);
    enough = true;
    for (auto& writer : writers) writer.join();

    Process other(url_, *redis_, seconds(8));
    auto const found = contents(other.store, inbox_);
    EXPECT_EQ(found.size(), static_cast<std::size_t>(done));
    for (auto const& mine : sent)
        for (auto const& source : mine) EXPECT_EQ(found.count(source), 1u);
    for (auto const& [source, row] : found) EXPECT_TRUE(row.system & flagged);
    auto const checked = other.store.check(false, {});
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->problems, std::vector<std::string>{});
}

TEST_F(StepDown, WhoCannotWaitIsToldToComeBack) {
    Process process(url_ + (url_.contains('?') ? "&" : "?") + "serverSelectionTimeoutMS=300", *redis_, milliseconds(0));
    std::string const before = "A: before\r\n\r\n", during = "A: during\r\n\r\n", after = "A: after\r\n\r\n";
    ASSERT_TRUE(append(process.store, inbox_, before));
    step_down(seconds(5));
    auto const began = std::chrono::steady_clock::now();
    auto const refused = append(process.store, inbox_, during);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable) << refused.error().context;
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(4));
    wait_for_primary();
    ASSERT_TRUE(append(process.store, inbox_, after));

    Process other(url_, *redis_, seconds(8));
    auto const found = contents(other.store, inbox_);
    EXPECT_EQ(found.size(), 2u);
    EXPECT_EQ(found.count(before) + found.count(after), 2u);
}

}  // namespace
}  // namespace mallard::store::cluster
