// What goes over Redis, byte for byte (storage.md §12.2), and what is made of what comes.
#include "store/cluster/events.hpp"

#include <atomic>

#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {

namespace {

using namespace std::chrono_literals;

template <class F>
bool eventually(F&& holds) {
    for (int i = 0; i < 500 && !holds(); ++i) std::this_thread::sleep_for(10ms);
    return holds();
}

class ClusterEventsTest : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        redis = std::move(*RedisClient::open(test_redis_url()));
        ASSERT_TRUE(redis->command({"FLUSHDB"}));
    }

    // Hears what is published on a channel, as another process would.
    void listen(std::string channel) {
        std::atomic<bool> ready = false;
        listener = std::make_unique<RedisSubscriber>(
            redis->config(), std::vector{std::move(channel)},
            [this](std::string_view, std::string_view payload) {
                std::lock_guard lock(mutex);
                heard.emplace_back(payload);
            },
            [&] { ready = true; });
        ASSERT_TRUE(eventually([&] { return ready.load(); }));
    }
    std::vector<std::string> payloads() {
        std::lock_guard lock(mutex);
        return heard;
    }

    std::unique_ptr<RedisClient> redis;
    std::mutex mutex;
    std::vector<std::string> heard;
    std::unique_ptr<RedisSubscriber> listener;
    UserId const user = *UserId::from_hex("5f0000000000000000000001");
    MailboxId const mailbox = *MailboxId::from_hex("5f0000000000000000000002");
};

TEST_F(ClusterEventsTest, SpeakInWildDucksWords) {
    listen("wd_events");
    ClusterEvents events(*redis, {});
    events.publish({.user = user, .mailbox = mailbox});
    events.publish({.kind = Event::Kind::mailbox_deleted, .user = user, .mailbox = mailbox});
    events.publish({.kind = Event::Kind::logout, .user = user, .reason = "say \"bye\""});
    ASSERT_TRUE(eventually([&] { return payloads().size() == 3; }));
    EXPECT_EQ(payloads()[0], R"({"e":"5f0000000000000000000001"})");
    EXPECT_EQ(payloads()[0].size(), 32u);
    EXPECT_EQ(payloads()[1],
              R"({"e":"5f0000000000000000000001","p":{"command":"DROP","mailbox":"5f0000000000000000000002"}})");
    EXPECT_EQ(payloads()[2], R"({"e":"5f0000000000000000000001","p":{"command":"LOGOUT","reason":"say \"bye\""}})");
}

TEST_F(ClusterEventsTest, KnowWhoElseListensOnTheirDatabase) {
    ClusterEvents events(*redis, {.worker_id = "one host:1"});
    EXPECT_EQ(events.listeners_elsewhere(), std::vector<std::string>{});
    {
        ClusterEvents other(*redis, {.worker_id = "host:2"});
        EXPECT_EQ(events.listeners_elsewhere(), std::vector<std::string>{"mallard:host:2"});
        listen("wd_events");  // as WildDuck, which gives no name
        EXPECT_EQ(events.listeners_elsewhere(), (std::vector<std::string>{"127.0.0.1", "mallard:host:2"}));
        EXPECT_EQ(other.listeners_elsewhere(), (std::vector<std::string>{"127.0.0.1", "mallard:one_host:1"}));
    }
    listener.reset();
    RedisConfig elsewhere = redis->config();
    ++elsewhere.database;
    std::atomic<bool> ready = false;
    RedisSubscriber const of_another_store(elsewhere, {"wd_events"}, [](auto...) {}, [&] { ready = true; });
    ASSERT_TRUE(eventually([&] { return ready.load(); }));
    EXPECT_TRUE(eventually([&] { return events.listeners_elsewhere()->empty(); }));
}

TEST_F(ClusterEventsTest, UnderstandOthersHoweverTheyWriteJson) {
    ClusterEvents events(*redis, {});
    std::mutex seen_mutex;
    std::vector<Event> seen;
    auto const subscription = events.subscribe(user, [&](Event const& event) {
        std::lock_guard lock(seen_mutex);
        seen.push_back(event);
    });
    for (std::string_view payload :
         {"", "x", "[]", "{}", R"({"e":1})", R"({"e":"zz"})", R"({"e":"5f0000000000000000000001","p":7})",
          R"({ "p": {"reason": "moved", "command": "LOGOUT"}, "e": "5f0000000000000000000001" })"})
        ASSERT_TRUE(redis->command({"PUBLISH", "wd_events", payload}));
    auto const count = [&] {
        std::lock_guard lock(seen_mutex);
        return seen.size();
    };
    ASSERT_TRUE(eventually([&] { return count() == 1; }));
    EXPECT_EQ(seen[0].kind, Event::Kind::logout);
    EXPECT_EQ(seen[0].reason, "moved");
}

TEST_F(ClusterEventsTest, MakeOneOfManySignalsAndWakeAnotherProcessWithin200Milliseconds) {
    ClusterEvents sender(*redis, {.worker_id = "a:1"}), receiver(*redis, {.worker_id = "b:2"});
    std::atomic<int> calls = 0;
    auto const subscription = receiver.subscribe(user, [&](Event const&) { ++calls; });
    bool soon_and_once = false;
    for (int round = 0; round < 5 && !soon_and_once; ++round) {  // the machine may be busy
        calls = 0;
        auto const began = std::chrono::steady_clock::now();
        for (int i = 0; i < 100; ++i) sender.publish({.user = user});
        ASSERT_TRUE(eventually([&] { return calls > 0; }));
        auto const took = std::chrono::steady_clock::now() - began;
        std::this_thread::sleep_for(150ms);
        soon_and_once = took < 200ms && calls == 1;
    }
    EXPECT_TRUE(soon_and_once);
}

TEST_F(ClusterEventsTest, FireAtLeastOnceASecondWhileSignalsDoNotStop) {
    ClusterEvents events(*redis, {.coalesce = 100ms, .coalesce_max = 300ms});
    std::atomic<int> calls = 0;
    auto const subscription = events.subscribe(user, [&](Event const&) { ++calls; });
    auto const end = std::chrono::steady_clock::now() + 1s;
    while (std::chrono::steady_clock::now() < end) {
        events.publish({.user = user});
        std::this_thread::sleep_for(20ms);
    }
    EXPECT_GE(calls, 2);
    EXPECT_LE(calls, 5);
}

TEST_F(ClusterEventsTest, GoOnlyToProcessesThatListenWhenWorkersHaveChannels) {
    listen("wd_events");
    EventsConfig config{.worker_channels = [] { return true; }};
    config.worker_id = "a:1";
    ClusterEvents sender(*redis, config);
    config.worker_id = "b:2";
    ClusterEvents receiver(*redis, config);
    std::string const list = "wd:imap:users:" + user.hex();
    ASSERT_TRUE(redis->command({"ZADD", list, "1", "dead:9"}));
    std::atomic<int> calls = 0;
    auto subscription = receiver.subscribe(user, [&](Event const&) { ++calls; });
    auto const members = redis->command({"ZRANGE", list, "0", "-1"});
    ASSERT_EQ(members->list.size(), 1u);  // the dead one is struck out
    EXPECT_EQ(members->list[0].text, "b:2");
    auto const ttl = redis->command({"TTL", list})->integer;
    EXPECT_GT(ttl, 170);
    EXPECT_LE(ttl, 180);
    sender.publish({.user = user});
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    EXPECT_TRUE(payloads().empty());  // nothing on the channel of all
    subscription.reset();
    EXPECT_TRUE(eventually([&] { return redis->command({"EXISTS", list})->integer == 0; }));
}

TEST_F(ClusterEventsTest, ComeAgainAfterTheConnectionWasLostAndSignalEverybodyOnce) {
    ClusterEvents events(*redis, {});
    std::atomic<int> calls = 0;
    auto const subscription = events.subscribe(user, [&](Event const&) { ++calls; });
    ASSERT_TRUE(redis->command({"CLIENT", "KILL", "TYPE", "pubsub"}));
    ASSERT_TRUE(eventually([&] { return calls == 1; }));  // what was missed is unknown: look
    events.publish({.user = user});
    EXPECT_TRUE(eventually([&] { return calls == 2; }));
}

TEST_F(ClusterEventsTest, MoveAWatchForOthersSignalsAndNotForTheEchoOfOurOwn) {
    for (bool const by_worker : {false, true}) {
        EventsConfig config{.worker_channels = [=] { return by_worker; }};
        config.worker_id = "a:1";
        ClusterEvents here(*redis, config);
        config.worker_id = "b:2";
        ClusterEvents other(*redis, config);
        auto const watch = here.watch(user);
        std::atomic<int> heard = 0;
        auto const subscription = here.subscribe(user, [&](Event const&) { ++heard; });
        auto const before = watch->moment();
        ASSERT_TRUE(before);
        here.publish({.user = user});
        ASSERT_TRUE(eventually([&] { return heard == 1; }));
        EXPECT_EQ(watch->moment(), before);
        other.publish({.user = user});
        EXPECT_TRUE(eventually([&] { return watch->moment() != before; }));
        auto const between = watch->moment();
        other.publish({.user = UserId::generate()});
        other.publish({.kind = Event::Kind::mailbox_deleted, .user = user, .mailbox = mailbox});
        EXPECT_TRUE(eventually([&] { return watch->moment() != between; }));
        EXPECT_EQ(*watch->moment(), *between + 1);
    }
}

TEST_F(ClusterEventsTest, MoveEveryWatchWhenTheConnectionWasLost) {
    ClusterEvents events(*redis, {});
    auto const watch = events.watch(user);
    auto const before = watch->moment();
    ASSERT_TRUE(before);
    ASSERT_TRUE(redis->command({"CLIENT", "KILL", "TYPE", "pubsub"}));
    EXPECT_TRUE(eventually([&] { return watch->moment() && watch->moment() != before; }));
    EXPECT_EQ(events.watch(user), watch);  // one per user
}

}  // namespace

}  // namespace mallard::store::cluster
