#include "base/error.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "base/generator.hpp"

namespace mallard {
namespace {

Result<int> halve(int n) {
    if (n % 2 != 0) return fail(ErrorKind::invalid, "odd", "halve");
    return n / 2;
}

Result<int> quarter(int n) {
    MALLARD_TRY_ASSIGN(int const half, halve(n));
    return halve(half);
}

Result<void> check_even(int n) {
    MALLARD_TRY(halve(n));
    return {};
}

TEST(Result, CarriesAnErrorThroughTheMacros) {
    EXPECT_EQ(quarter(8), 2);
    ASSERT_FALSE(quarter(6));
    EXPECT_EQ(quarter(6).error().message, "odd");
    EXPECT_EQ(quarter(5).error().context, "halve");
    EXPECT_TRUE(check_even(2));
    EXPECT_EQ(check_even(1).error().kind, ErrorKind::invalid);
}

TEST(Error, HasANameForEveryKind) {
    EXPECT_EQ(name_of(ErrorKind::over_quota), "over_quota");
    EXPECT_EQ(name_of(ErrorKind::internal), "internal");
}

Generator<int> count_to(int n, std::shared_ptr<int> alive) {
    for (int i = 1; i <= n; ++i) co_yield i;
    (void)alive;
}

Generator<int> throws_after_one() {
    co_yield 1;
    throw std::runtime_error("broken");
}

TEST(Generator, GivesEveryValueAndThenNothing) {
    auto numbers = count_to(3, nullptr);
    int sum = 0;
    while (auto* n = numbers.next()) sum += *n;
    EXPECT_EQ(sum, 6);
    EXPECT_EQ(numbers.next(), nullptr);
}

TEST(Generator, FreesItsFrameWhenDroppedHalfWay) {
    auto alive = std::make_shared<int>(0);
    {
        auto numbers = count_to(3, alive);
        ASSERT_NE(numbers.next(), nullptr);
        EXPECT_GT(alive.use_count(), 1);
    }
    EXPECT_EQ(alive.use_count(), 1);
}

TEST(Generator, RethrowsOnceAndEnds) {
    auto numbers = throws_after_one();
    ASSERT_NE(numbers.next(), nullptr);
    EXPECT_THROW(numbers.next(), std::runtime_error);
    EXPECT_EQ(numbers.next(), nullptr);
}

TEST(Generator, MadeEmptyGivesNothing) {
    Generator<int> none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.next(), nullptr);
}

}  // namespace
}  // namespace mallard
