#include "base/range_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace mallard {
namespace {

TEST(RangeSet, JoinsNeighboursAndOverlaps) {
    RangeSet set;
    set.add(5);
    set.add(6);
    set.add(1, 3);
    EXPECT_EQ(set.to_string(), "1:3,5:6");
    set.add(4);
    EXPECT_EQ(set.to_string(), "1:6");
    set.add(2, 9);
    EXPECT_EQ(set.to_string(), "1:9");
    EXPECT_EQ(set.count(), 9u);
}

TEST(RangeSet, KeepsTheLargestNumberWithoutWrapping) {
    RangeSet set;
    set.add(4294967295u);
    set.add(1);
    set.add(4294967294u);
    EXPECT_EQ(set.to_string(), "1,4294967294:4294967295");
    EXPECT_TRUE(set.contains(4294967295u));
    EXPECT_FALSE(set.contains(2));
}

TEST(RangeSet, IsEmptyUntilSomethingIsAdded) {
    RangeSet set;
    EXPECT_TRUE(set.empty());
    EXPECT_EQ(set.to_string(), "");
    EXPECT_FALSE(set.contains(0));
}

TEST(RangeSet, HoldsWhatASetHolds) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        RangeSet set;
        std::set<std::uint32_t> model;
        for (int i = 0; i < 60; ++i) {
            std::uint32_t const first = random() % 100;
            std::uint32_t const last = first + random() % 5;
            set.add(first, last);
            for (std::uint32_t n = first; n <= last; ++n) model.insert(n);
        }
        EXPECT_EQ(set.count(), model.size());
        for (std::uint32_t n = 0; n < 110; ++n) EXPECT_EQ(set.contains(n), model.contains(n)) << n;
        for (std::size_t i = 1; i < set.ranges().size(); ++i)
            EXPECT_GT(set.ranges()[i].first, set.ranges()[i - 1].last + 1) << "adjacent ranges";
    }
}

}  // namespace
}  // namespace mallard
