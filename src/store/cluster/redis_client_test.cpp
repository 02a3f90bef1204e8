#include "store/cluster/redis_client.hpp"

#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {

namespace {

TEST(RedisUrl, GivesHostPortLoginAndDatabase) {
    auto const plain = RedisConfig::parse("redis://127.0.0.1");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->host, "127.0.0.1");
    EXPECT_EQ(plain->port, 6379);
    EXPECT_EQ(plain->database, 0);
    auto const full = RedisConfig::parse("redis://me:p%40ss@redis.example:7000/3");
    ASSERT_TRUE(full);
    EXPECT_EQ(full->user, "me");
    EXPECT_EQ(full->password, "p@ss");
    EXPECT_EQ(full->host, "redis.example");
    EXPECT_EQ(full->port, 7000);
    EXPECT_EQ(full->database, 3);
    auto const query = RedisConfig::parse("redis://[::1]:7001?db=5&password=x");
    ASSERT_TRUE(query);
    EXPECT_EQ(query->host, "::1");
    EXPECT_EQ(query->port, 7001);
    EXPECT_EQ(query->database, 5);
    EXPECT_EQ(query->password, "x");
    EXPECT_EQ(RedisConfig::parse("unix:/run/redis.sock")->unix_socket, "/run/redis.sock");
    EXPECT_FALSE(plain->tls.enabled);
    auto const tls = RedisConfig::parse("rediss://redis.example/2?password=a%26b");
    ASSERT_TRUE(tls);
    EXPECT_TRUE(tls->tls.enabled && tls->tls.verify);
    EXPECT_EQ(tls->password, "a&b");
    EXPECT_TRUE(full->user_is_optional);
    EXPECT_FALSE(RedisConfig::parse("redis://me:x@h?allowUsernameInURI=yes")->user_is_optional);
    auto const sentinel = RedisConfig::parse("redis-sentinel://:p@a,b:7,[::1]:8/mymaster/3?sentinelPassword=s");
    ASSERT_TRUE(sentinel);
    EXPECT_EQ(sentinel->master_name, "mymaster");
    EXPECT_EQ(sentinel->sentinels, (std::vector<RedisAddress>{{"a", 26'379, ""}, {"b", 7, ""}, {"::1", 8, ""}}));
    EXPECT_EQ(sentinel->database, 3);
    EXPECT_EQ(sentinel->password, "p");
    EXPECT_EQ(sentinel->sentinel_password, "s");
}

TEST(RedisObject, HasTheKeysOfWildDucksConfiguration) {  // storage.md §2, protocols.md
    auto const plain = RedisConfig::parse(R"({"host": "10.0.0.1", "port": 6380, "db": 3, "password": "p"})");
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_EQ(plain->host, "10.0.0.1");
    EXPECT_EQ(plain->port, 6380);
    EXPECT_EQ(plain->database, 3);
    EXPECT_EQ(plain->password, "p");
    EXPECT_FALSE(plain->user_is_optional);
    auto const full = RedisConfig::parse(R"({"name": "mymaster", "password": "p", "username": "u",
        "sentinels": [{"host": "54.1.1.1", "port": 26379}, {"host": "54.1.1.2"}],
        "sentinelPassword": "s", "tls": {"caFile": "/ca.pem", "rejectUnauthorized": false}})");
    ASSERT_TRUE(full) << full.error().message;
    EXPECT_EQ(full->master_name, "mymaster");
    EXPECT_EQ(full->sentinels, (std::vector<RedisAddress>{{"54.1.1.1", 26'379, ""}, {"54.1.1.2", 26'379, ""}}));
    EXPECT_EQ(full->user, "u");
    EXPECT_TRUE(full->tls.enabled && !full->tls.verify && !full->sentinel_tls);
    EXPECT_EQ(full->tls.ca_file, "/ca.pem");
    for (std::string_view bad : {"{", "{\"port\": 0}", "{\"port\": \"x\"}", "{\"db\": []}", "{\"sentinels\": []}",
                                 "{\"sentinels\": [{\"host\": \"a\"}]}", "{\"name\": \"m\", \"sentinels\": [{}]}"})
        EXPECT_FALSE(RedisConfig::parse(bad)) << "accepted: " << bad;
}

TEST(RedisUrl, RefusesWhatItCannotServe) {
    for (std::string_view bad : {"", "http://x", "redis://x:0", "redis://x:65536", "redis://x:a", "redis://x/a"}) {
        auto const parsed = RedisConfig::parse(bad);
        ASSERT_FALSE(parsed) << "accepted: " << bad;
        EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
    }
    for (std::string_view bad : {"redis-sentinel://a", "redis-sentinel:///m", "redis://[::1"})
        EXPECT_FALSE(RedisConfig::parse(bad)) << "accepted: " << bad;
}

TEST(RedisClient, IsUnavailableWhereNobodyListens) {
    auto const client = RedisClient::open("redis://127.0.0.1:1");
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, ErrorKind::unavailable);
}

class RedisClientTest : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        redis = std::move(*RedisClient::open(test_redis_url()));
        ASSERT_TRUE(redis->command({"FLUSHDB"}));
    }
    std::unique_ptr<RedisClient> redis;
};

TEST_F(RedisClientTest, GoesOnAfterItsConnectionsWereCut) {
    ASSERT_TRUE(redis->command({"SET", "a", "1"}));
    auto const other = std::move(*RedisClient::open(test_redis_url()));
    ASSERT_TRUE(other->command({"CLIENT", "KILL", "TYPE", "normal"}));  // all but its own
    auto const value = redis->command({"GET", "a"});
    ASSERT_TRUE(value) << value.error().context;
    EXPECT_EQ(value->text, "1");
}

TEST_F(RedisClientTest, DoesNotRepeatWhatMayNotHappenTwice) {
    ASSERT_TRUE(redis->command({"SET", "a", "1"}));
    auto const other = std::move(*RedisClient::open(test_redis_url()));
    ASSERT_TRUE(other->command({"CLIENT", "KILL", "TYPE", "normal"}));
    auto const once = redis->command({"INCR", "a"}, RedisClient::Repeat::no);
    ASSERT_FALSE(once);
    EXPECT_EQ(once.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(redis->command({"INCR", "a"}, RedisClient::Repeat::no)->integer, 2);
}

TEST_F(RedisClientTest, SendsAScriptAgainThatRedisForgot) {
    static constexpr RedisScript script{"return ARGV[1] .. KEYS[1]"};
    EXPECT_EQ(redis->run(script, "k", {"v"})->text, "vk");
    ASSERT_TRUE(redis->command({"SCRIPT", "FLUSH"}));
    EXPECT_EQ(redis->run(script, "k", {"v"})->text, "vk");
}

TEST_F(RedisClientTest, TellsARefusalFromALostConnection) {
    ASSERT_TRUE(redis->command({"SET", "a", "text"}));
    auto const refused = redis->command({"HGETALL", "a"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::io);
    EXPECT_TRUE(redis->command({"GET", "a"}));
}

// storage.md §13, §14: the forms that WildDuck reads.
TEST_F(RedisClientTest, KeepsCountersInWildDucksForm) {
    ClusterSharedState state(*redis, 1'700'000'000'000);
    ASSERT_TRUE(state.count("wdr:1", 3, 10, std::chrono::seconds(0)));
    EXPECT_EQ(redis->command({"GET", "wdr:1"})->text, "3");
    EXPECT_NEAR(static_cast<double>(redis->command({"TTL", "wdr:1"})->integer), 86'400, 5);
    ASSERT_TRUE(state.count_limited("lim:imap", "user", 1, 15));
    EXPECT_EQ(redis->command({"HGET", "lim:imap", "user"})->text, "1");
    EXPECT_EQ(redis->command({"HGET", "lim:imap", "_version"})->text, "1700000000000");
    EXPECT_FALSE(state.hash("lim:imap")->contains("_version"));
    ClusterSharedState newer(*redis, 1'700'000'000'001);  // a later process: older connections are dead
    EXPECT_EQ(newer.count_limited("lim:imap", "user", 0, 15)->value, 0);
    EXPECT_EQ(state.count_limited("lim:imap", "user", 1, 15)->value, 1);
}

}  // namespace

}  // namespace mallard::store::cluster
