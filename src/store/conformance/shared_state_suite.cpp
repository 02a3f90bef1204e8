// What every engine's SharedState does.

#include <algorithm>
#include <atomic>
#include <thread>

#include "store/conformance/backend.hpp"

namespace mallard::store::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedStateSuite);

namespace {

using std::chrono::seconds;
using Hash = SharedState::Hash;

// storage.md §13, ttlcounter: the last allowed call may overshoot; the window starts at the first increment.
TEST_P(SharedStateSuite, CountsUntilTheLimitAndForgetsAfterTheWindow) {
    auto& state = backend->state();
    auto const first = *state.count("c", 3, 5, seconds(120));
    EXPECT_TRUE(first.allowed);
    EXPECT_EQ(first.value, 3);
    EXPECT_EQ(first.resets, seconds(120));
    backend->clock().advance(20'000);
    EXPECT_EQ(state.count("c", 0, 5, seconds(120))->value, 3);
    auto const over = *state.count("c", 4, 5, seconds(120));
    EXPECT_TRUE(over.allowed);
    EXPECT_EQ(over.value, 7);
    EXPECT_EQ(over.resets, seconds(100));
    auto const refused = *state.count("c", 1, 5, seconds(120));
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.value, 7);
    EXPECT_FALSE(state.count("c", 0, 5, seconds(120))->allowed);
    backend->clock().advance(100'000);
    EXPECT_TRUE(state.count("c", 0, 5, seconds(120))->allowed);
    EXPECT_EQ(state.count("c", 1, 5, seconds(120))->value, 1);
}

TEST_P(SharedStateSuite, TakesALimitOfZeroForNone) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(backend->state().count("c", 100, 0, seconds(1))->allowed);
}

TEST_P(SharedStateSuite, GivesHashesAndSetsWithWhatIsLeftOfTheirLives) {
    auto& state = backend->state();
    ASSERT_TRUE(state.set_hash("tn:b", {{"x", "1"}, {"y", "2"}}, seconds(100)));
    ASSERT_TRUE(state.set_hash("tn:a", {{"x", "1"}}));
    ASSERT_TRUE(state.add_member("tn:set", "two"));
    ASSERT_TRUE(state.add_member("tn:set", "one"));
    ASSERT_TRUE(state.count("tn:counter", 1, 5, seconds(120)));
    ASSERT_TRUE(state.set_hash("other", {{"x", "1"}}));
    backend->clock().advance(40'000);
    auto const entries = state.entries("tn:");
    ASSERT_TRUE(entries) << entries.error().message;
    std::vector<StateEntry> const wanted = {
        {.key = "tn:a", .fields = {{"x", "1"}}, .members = {}, .ttl = {}},
        {.key = "tn:b", .fields = {{"x", "1"}, {"y", "2"}}, .members = {}, .ttl = seconds(60)},
        {.key = "tn:set", .fields = {}, .members = {"one", "two"}, .ttl = {}}};
    EXPECT_EQ(*entries, wanted);
}

TEST_P(SharedStateSuite, ForgetsACounterThatIsErased) {
    auto& state = backend->state();
    ASSERT_TRUE(state.count("c", 5, 5, seconds(120)));
    ASSERT_TRUE(state.erase("c"));
    EXPECT_EQ(state.count("c", 1, 5, seconds(120))->value, 1);
    EXPECT_TRUE(state.erase("never there"));
}

// storage.md §13, limitedcounter.
TEST_P(SharedStateSuite, CountsPerFieldUpToALimitAndNeverBelowZero) {
    auto& state = backend->state();
    EXPECT_EQ(state.count_limited("lim", "a", 1, 2)->value, 1);
    EXPECT_EQ(state.count_limited("lim", "a", 1, 2)->value, 2);
    EXPECT_FALSE(state.count_limited("lim", "a", 1, 2)->allowed);
    EXPECT_TRUE(state.count_limited("lim", "b", 1, 2)->allowed);
    EXPECT_EQ(state.hash("lim")->at("a"), "2");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(state.count_limited("lim", "a", -1, 0));
    EXPECT_EQ(state.count_limited("lim", "a", 0, 0)->value, 0);
    EXPECT_TRUE(state.count_limited("lim", "a", 1, 2)->allowed);
    ASSERT_TRUE(state.erase_field("lim", "a"));
    EXPECT_EQ(state.count_limited("lim", "a", 0, 0)->value, 0);
    EXPECT_EQ(state.count_limited("lim", "b", 0, 0)->value, 1);
}

TEST_P(SharedStateSuite, MergesFieldsOfAHash) {
    auto& state = backend->state();
    EXPECT_EQ(*state.hash("h"), Hash{});
    ASSERT_TRUE(state.set_hash("h", {{"a", "1"}, {"b", "2"}}));
    ASSERT_TRUE(state.set_hash("h", {{"b", "3"}, {"c", std::string("\0x", 2)}}));
    EXPECT_EQ(*state.hash("h"), (Hash{{"a", "1"}, {"b", "3"}, {"c", std::string("\0x", 2)}}));
    ASSERT_TRUE(state.erase_field("h", "b"));
    ASSERT_TRUE(state.erase_field("h", "nothing"));
    EXPECT_EQ(*state.hash("h"), (Hash{{"a", "1"}, {"c", std::string("\0x", 2)}}));
    ASSERT_TRUE(state.erase("h"));
    EXPECT_EQ(*state.hash("h"), Hash{});
}

TEST_P(SharedStateSuite, ForgetsAHashAfterItsTimeUnlessProlonged) {
    auto& state = backend->state();
    ASSERT_TRUE(state.set_hash("h", {{"a", "1"}}, seconds(10)));
    backend->clock().advance(9'000);
    ASSERT_TRUE(state.expire("h", seconds(10)));
    backend->clock().advance(9'000);
    EXPECT_EQ(state.hash("h")->size(), 1u);
    backend->clock().advance(1'000);
    EXPECT_EQ(*state.hash("h"), Hash{});
    ASSERT_TRUE(state.set_hash("h", {{"b", "2"}}));  // a new one, not the old one revived
    EXPECT_EQ(*state.hash("h"), (Hash{{"b", "2"}}));
    EXPECT_TRUE(state.expire("absent", seconds(1)));
}

TEST_P(SharedStateSuite, KeepsHashesTokensAndSetsOverARestart) {
    ASSERT_TRUE(backend->state().set_hash("pxm:1", {{"box", "7"}}));
    ASSERT_TRUE(backend->state().set_hash("tn:token:1", {{"user", "root"}}, seconds(1000)));
    ASSERT_TRUE(backend->state().set_hash("tn:token:2", {{"user", "root"}}, seconds(1000)));
    ASSERT_TRUE(backend->state().expire("tn:token:2", seconds(5000)));
    ASSERT_TRUE(backend->state().set_hash("gone", {{"a", "1"}}));
    ASSERT_TRUE(backend->state().erase("gone"));
    ASSERT_TRUE(backend->state().add_member("feature:x", "a"));
    ASSERT_TRUE(backend->state().add_member("feature:x", "b"));
    ASSERT_TRUE(backend->state().erase_member("feature:x", "a"));
    backend->reopen();
    EXPECT_EQ(*backend->state().hash("pxm:1"), (Hash{{"box", "7"}}));
    EXPECT_EQ(*backend->state().hash("tn:token:1"), (Hash{{"user", "root"}}));
    EXPECT_EQ(*backend->state().hash("gone"), Hash{});
    EXPECT_EQ(*backend->state().members("feature:x"), std::vector<std::string>{"b"});
    backend->clock().advance(1'000'000);
    EXPECT_EQ(*backend->state().hash("tn:token:1"), Hash{});
    EXPECT_EQ(backend->state().hash("tn:token:2")->size(), 1u);
    backend->reopen();
    EXPECT_EQ(*backend->state().hash("tn:token:1"), Hash{});
}

TEST_P(SharedStateSuite, KeepsSetsOfMembers) {
    auto& state = backend->state();
    for (auto member : {"b", "a", "b", ""}) ASSERT_TRUE(state.add_member("s", member));
    auto members = *state.members("s");
    std::ranges::sort(members);
    EXPECT_EQ(members, (std::vector<std::string>{"", "a", "b"}));
    EXPECT_TRUE(*state.is_member("s", "a"));
    EXPECT_FALSE(*state.is_member("s", "c"));
    EXPECT_FALSE(*state.is_member("t", "a"));
    ASSERT_TRUE(state.erase_member("s", "a"));
    ASSERT_TRUE(state.erase_member("t", "a"));
    EXPECT_FALSE(*state.is_member("s", "a"));
    ASSERT_TRUE(state.erase("s"));
    EXPECT_TRUE(state.members("s")->empty());
}

TEST_P(SharedStateSuite, ListsKeysByPrefix) {
    auto& state = backend->state();
    ASSERT_TRUE(state.set_hash("k:1", {{"a", "1"}}));
    ASSERT_TRUE(state.set_hash("k:2", {{"a", "1"}}, seconds(5)));
    ASSERT_TRUE(state.add_member("k:3", "m"));
    ASSERT_TRUE(state.count("k:4", 1, 9, seconds(100)));
    ASSERT_TRUE(state.set_hash("other", {{"a", "1"}}));
    auto keys = *state.keys("k:");
    std::ranges::sort(keys);
    EXPECT_EQ(keys, (std::vector<std::string>{"k:1", "k:2", "k:3", "k:4"}));
    backend->clock().advance(5'000);
    EXPECT_EQ(state.keys("k:")->size(), 3u);
}

TEST_P(SharedStateSuite, AllowsExactlyTheLimitToManyThreads) {
    auto& state = backend->state();
    std::atomic<int> allowed = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                if (state.count_limited("lim", "u", 1, 50)->allowed) ++allowed;
                EXPECT_TRUE(state.count("n", 1, 1'000'000, seconds(1000)));
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(allowed, 50);
    EXPECT_EQ(state.count("n", 0, 1'000'000, seconds(1000))->value, 160);
}

}  // namespace

}  // namespace mallard::store::conformance
