#include "store/cluster/store.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "base/random.hpp"
#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {
namespace {

TEST(ClusterStore, TellsADatabaseWithoutItsLogin) {
    struct Row {
        std::string url, shown;
    };
    for (auto const& [url, shown] : {
             Row{"mongodb://ann:s%40cret@db1,db2:27018/wd?replicaSet=rs", "mongodb://db1,db2:27018/wd"},
             Row{"mongodb://ann@db1/wd", "mongodb://db1/wd"},
             Row{"mongodb://db1", "mongodb://db1"},
             Row{"mongodb://db1/?authSource=a@b", "mongodb://db1/"},
             Row{"redis://:secret@cache:6379/3?password=secret", "redis://cache:6379/3"},
             Row{"unix:/run/redis.sock", "unix:/run/redis.sock"},
         })
        EXPECT_EQ(without_login(url), shown);
}

TEST(ClusterStore, NamesWhatADatabaseLacks) {
    EXPECT_EQ(lacks(MongoFeatures{}), "");
    MongoFeatures features;
    features.ttl_indexes = features.array_filters = false;
    EXPECT_EQ(lacks(features), "TTL indexes, array filters");
}

TEST(ClusterStore, GivesAllProcessesTheSameSecret) {
    if (!have_servers()) GTEST_SKIP() << no_servers;
    SystemClock const clock;
    ClusterConfig config;
    config.mongo.url = url_of_database(test_mongo_url(), "mallard_store_" + random_hex(6));
    config.redis_url = test_redis_url();
    config.upkeep = false;
    auto const one = ClusterStore::open(config, clock), other = ClusterStore::open(config, clock);
    ASSERT_TRUE(one) << one.error().message;
    ASSERT_TRUE(other) << other.error().message;
    Result<std::string> first, second;
    {
        std::jthread const here([&] { first = (*one)->shared_secret("test", "from one"); });
        std::jthread const there([&] { second = (*other)->shared_secret("test", "from the other"); });
    }
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(*first, *second);
    EXPECT_TRUE(*first == "from one" || *first == "from the other");
    EXPECT_EQ((*one)->shared_secret("another", "x"), "x");
    EXPECT_TRUE((*one)->mongo().drop_database(Db::main));
}

}  // namespace
}  // namespace mallard::store::cluster
