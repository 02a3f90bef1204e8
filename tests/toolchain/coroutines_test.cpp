// Coroutine canaries: small programs that a compiler with broken coroutines (g++ 12.2 among them) gets wrong:
// parameters destroyed twice, temporaries too early, exceptions lost, locals in a wrong order. A change of compiler is
// noticed here, before it is noticed by mail. Run under the address sanitizer they also see frames used after their
// end.

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/generator.hpp"

namespace mallard {
namespace {

namespace asio = boost::asio;
template <class T>
using Async = asio::awaitable<T>;

// Says when it is made, moved and destroyed.
struct Witness {
    std::vector<std::string>* diary;
    std::string name;
    bool alive = true;

    Witness(std::vector<std::string>& to, std::string called) : diary(&to), name(std::move(called)) {}
    Witness(Witness&& other) noexcept
        : diary(other.diary), name(std::move(other.name)), alive(std::exchange(other.alive, false)) {}
    Witness& operator=(Witness&&) = delete;
    ~Witness() {
        if (alive) diary->push_back("~" + name);
    }
};

template <class T>
T run(Async<T> task) {
    asio::io_context context;
    std::exception_ptr failure;
    std::optional<T> result;
    asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown, T value) {
        failure = thrown;
        if (!thrown) result.emplace(std::move(value));
    });
    context.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
}

Async<void> pause() { co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable); }

Async<int> throws_after_pause() {
    co_await pause();
    throw std::runtime_error("from the depth");
}

Async<int> catches(std::vector<std::string>& diary) {
    Witness const outer(diary, "outer");
    try {
        Witness const inner(diary, "inner");
        co_return co_await throws_after_pause();
    } catch (std::runtime_error const& error) {
        diary.push_back(error.what());
    }
    co_await pause();
    co_return 7;
}

TEST(Coroutines, CarryExceptionsThroughAwaitsAndDestroyLocalsOnTheWay) {
    std::vector<std::string> diary;
    EXPECT_EQ(run(catches(diary)), 7);
    EXPECT_EQ(diary, (std::vector<std::string>{"~inner", "from the depth", "~outer"}));
}

Async<std::size_t> takes_by_value(Witness witness, std::string text, std::unique_ptr<std::string> owned) {
    co_await pause();
    witness.diary->push_back("body");
    co_return text.size() + owned->size();
}

TEST(Coroutines, OwnTheirParametersAndDestroyThemOnce) {
    std::vector<std::string> diary;
    std::string const long_text(100, 'x');
    EXPECT_EQ(run(takes_by_value(Witness(diary, "parameter"), long_text, std::make_unique<std::string>(long_text))),
              200u);
    EXPECT_EQ(diary, (std::vector<std::string>{"body", "~parameter"}));
}

Async<std::string> value_of(Witness const& temporary) {
    co_await pause();
    co_return temporary.alive ? temporary.name : "dead";
}

Async<std::string> keeps_temporaries(std::vector<std::string>& diary) {
    std::string const result = co_await value_of(Witness(diary, "temporary")) + std::string("!");
    diary.push_back("after");
    co_return result;
}

TEST(Coroutines, KeepTemporariesUntilTheEndOfTheAwaitingExpression) {
    std::vector<std::string> diary;
    EXPECT_EQ(run(keeps_temporaries(diary)), "temporary!");
    EXPECT_EQ(diary, (std::vector<std::string>{"~temporary", "after"}));
}

Async<int> depth(int n) {
    if (n == 0) {
        co_await pause();
        co_return 0;
    }
    co_return 1 + co_await depth(n - 1);
}

TEST(Coroutines, NestAThousandDeepAndReturn) { EXPECT_EQ(run(depth(1000)), 1000); }

Async<int> both_sides() { co_return co_await depth(3) * 10 + co_await depth(4); }

TEST(Coroutines, EvaluateAwaitsInsideOneExpression) { EXPECT_EQ(run(both_sides()), 34); }

Generator<std::string> pieces(std::vector<std::string>& diary, int count) {
    Witness const local(diary, "generator");
    for (int i = 0; i < count; ++i) co_yield std::string(50, static_cast<char>('a' + i));
}

Async<std::string> pulls(std::vector<std::string>& diary, int stop_after) {
    std::string all;
    auto generator = pieces(diary, 5);
    while (std::string* const piece = generator.next()) {
        all += piece->substr(0, 1);
        co_await pause();
        if (--stop_after == 0) break;
    }
    co_return all;
}

TEST(Coroutines, PullAGeneratorAcrossAwaits) {
    std::vector<std::string> diary;
    EXPECT_EQ(run(pulls(diary, 100)), "abcde");
    EXPECT_EQ(run(pulls(diary, 2)), "ab");
    EXPECT_EQ(diary, (std::vector<std::string>{"~generator", "~generator"}));
}

Generator<int> throwing_generator() {
    co_yield 1;
    throw std::runtime_error("generator");
}

TEST(Coroutines, RethrowWhatAGeneratorThrew) {
    auto generator = throwing_generator();
    EXPECT_EQ(*generator.next(), 1);
    EXPECT_THROW(generator.next(), std::runtime_error);
    EXPECT_EQ(generator.next(), nullptr);
}

Async<int> waits_for_ever(std::vector<std::string>& diary) {
    Witness const first(diary, "first");
    Witness const second(diary, "second");
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    co_await timer.async_wait(asio::use_awaitable);
    co_return 1;
}

TEST(Coroutines, DestroyASuspendedStackInReverseOrder) {
    std::vector<std::string> diary;
    {
        asio::io_context context;
        asio::co_spawn(context, waits_for_ever(diary), [](std::exception_ptr, int) {});
        context.poll();
    }
    EXPECT_EQ(diary, (std::vector<std::string>{"~second", "~first"}));
}

Async<std::string> branches(bool early, std::string text) {
    if (early) co_return text;
    std::string const copy = co_await branches(true, text + "+");
    switch (copy.size()) {
        case 0: co_return "empty";
        default: break;
    }
    for (int i = 0; i < 3; ++i) {
        if (i == 1) continue;
        co_await pause();
        text += std::to_string(i);
    }
    co_return text + copy;
}

TEST(Coroutines, KeepStateThroughBranchesAndLoops) {
    EXPECT_EQ(run(branches(false, "a long enough text to lie on the heap ")),
              "a long enough text to lie on the heap 02a long enough text to lie on the heap +");
}

}  // namespace
}  // namespace mallard
