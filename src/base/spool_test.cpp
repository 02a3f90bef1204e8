#include "base/spool.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace mallard {
namespace {

TEST(Spool, KeepsSmallBytesInMemory) {
    Spool spool(100);
    ASSERT_TRUE(spool.append("hello "));
    ASSERT_TRUE(spool.append("world"));
    ASSERT_TRUE(spool.finish());
    EXPECT_EQ(spool.view(), "hello world");
    EXPECT_FALSE(spool.on_disk());
}

TEST(Spool, MovesLargeBytesToDiskAndGivesThemBack) {
    Spool spool(1000);
    std::string expected;
    for (int i = 0; i < 40'000; ++i) {
        std::string const piece = std::to_string(i) + "\r\n";
        expected += piece;
        ASSERT_TRUE(spool.append(piece));
    }
    ASSERT_TRUE(spool.finish());
    EXPECT_TRUE(spool.on_disk());
    EXPECT_EQ(spool.size(), expected.size());
    EXPECT_EQ(spool.view(), expected);
}

TEST(Spool, StaysInMemoryAtExactlyTheLimit) {
    Spool spool(5);
    ASSERT_TRUE(spool.append("12345"));
    EXPECT_FALSE(spool.on_disk());
    ASSERT_TRUE(spool.append("6"));
    EXPECT_TRUE(spool.on_disk());
    ASSERT_TRUE(spool.finish());
    EXPECT_EQ(spool.view(), "123456");
}

TEST(Spool, CanBeMoved) {
    Spool first(2);
    ASSERT_TRUE(first.append("abcdef"));
    ASSERT_TRUE(first.finish());
    Spool second(std::move(first));
    EXPECT_EQ(second.view(), "abcdef");
    Spool third;
    third = std::move(second);
    EXPECT_EQ(third.view(), "abcdef");
}

TEST(Spool, IsEmptyWhenNothingCame) {
    Spool spool;
    ASSERT_TRUE(spool.finish());
    EXPECT_EQ(spool.view(), "");
}

}  // namespace
}  // namespace mallard
