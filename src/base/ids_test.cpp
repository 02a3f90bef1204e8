#include "base/ids.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace mallard {
namespace {

TEST(ObjectId, RoundTripsThroughHexAndBytes) {
    auto const id = ObjectId::generate();
    EXPECT_EQ(id.hex().size(), 24u);
    EXPECT_EQ(ObjectId::from_hex(id.hex()), id);
    EXPECT_EQ(ObjectId::from_bytes(id.view()), id);
}

TEST(ObjectId, RefusesWhatIsNotTwentyFourHexDigits) {
    for (std::string_view bad : {"", "abc", "zzzzzzzzzzzzzzzzzzzzzzzz", "0123456789abcdef012345678"})
        EXPECT_FALSE(ObjectId::from_hex(bad)) << bad;
}

TEST(ObjectId, IncreasesWithinAProcess) {
    auto previous = ObjectId::generate();
    for (int i = 0; i < 1000; ++i) {
        auto const next = ObjectId::generate();
        EXPECT_LT(previous, next);
        previous = next;
    }
}

TEST(ObjectId, IsUniqueAcrossThreads) {
    std::vector<std::vector<ObjectId>> made(4);
    std::vector<std::thread> threads;
    for (auto& mine : made)
        threads.emplace_back([&mine] {
            for (int i = 0; i < 2000; ++i) mine.push_back(ObjectId::generate());
        });
    for (auto& thread : threads) thread.join();
    std::set<ObjectId> all;
    for (auto const& mine : made) all.insert(mine.begin(), mine.end());
    EXPECT_EQ(all.size(), 8000u);
}

TEST(ObjectId, CarriesItsCreationTime) {
    EXPECT_EQ(ObjectId::from_hex("65a0bc000000000000000000")->seconds(), 0x65a0bc00);
    EXPECT_TRUE(ObjectId{}.is_nil());
}

}  // namespace
}  // namespace mallard
