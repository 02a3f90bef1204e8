#include "net/workers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>

#include "net/memory_stream.hpp"

namespace mallard::net {
namespace {

TEST(Workers, ResumeTheCoroutineOnItsOwnThreadWithTheResult) {
    Workers workers(4, 1);
    run_blocking([](Workers& pool) -> Async<void> {
        auto const network = std::this_thread::get_id();
        std::thread::id worker;
        std::string const answer = co_await pool.call(Pool::commands, [&] {
            worker = std::this_thread::get_id();
            return std::string("done");
        });
        EXPECT_EQ(answer, "done");
        EXPECT_NE(worker, network);
        EXPECT_EQ(std::this_thread::get_id(), network);
    }(workers));
}

TEST(Workers, PassOnWhatTheWorkThrows) {
    Workers workers(1, 1);
    EXPECT_THROW(run_blocking([](Workers& pool) -> Async<void> {
                     co_await pool.run(Pool::long_work, [] { throw std::runtime_error("bug"); });
                 }(workers)),
                 std::runtime_error);
}

TEST(Workers, DoTwoHalvesAtOnceOrAloneWhenNobodyHelps) {
    for (std::size_t const threads : {1u, 4u}) {
        Workers workers(threads, 1);
        run_blocking([](Workers& pool) -> Async<void> {
            for (int round = 0; round < 200; ++round) {
                int first = 0, second = 0;
                co_await pool.run(Pool::commands,
                                  [&] { pool.both(Pool::commands, [&] { first = 1; }, [&] { second = 2; }); });
                EXPECT_EQ(first + second, 3);
            }
        }(workers));
    }
}

TEST(Workers, PassOnWhatEitherHalfThrows) {
    Workers workers(2, 1);
    auto const nothing = [] {};
    auto const bug = [] { throw std::runtime_error("bug"); };
    EXPECT_THROW(workers.both(Pool::commands, bug, nothing), std::runtime_error);
    EXPECT_THROW(workers.both(Pool::commands, nothing, bug), std::runtime_error);
}

TEST(Workers, RunAsManyBlockingThingsAtOnceAsTheyHaveThreads) {
    constexpr int threads = 16;
    std::latch all(threads);
    std::latch done(threads);
    Workers workers(threads, 1);
    for (int i = 0; i < threads; ++i)
        workers.post(Pool::commands, [&] {
            all.arrive_and_wait();  // returns only if all of them run together
            done.count_down();
        });
    done.wait();
}

TEST(Workers, DoShortCommandsWhileLongWorkFillsItsOwnPool) {
    std::atomic<bool> release{false};
    std::latch blocked(1);
    std::latch short_done(1);
    Workers workers(1, 1);
    workers.post(Pool::long_work, [&] {
        blocked.count_down();
        while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    blocked.wait();
    workers.post(Pool::commands, [&] { short_done.count_down(); });
    short_done.wait();
    release = true;
}

TEST(Workers, FinishWhatWasPostedBeforeTheyGo) {
    std::atomic<int> count{0};
    {
        Workers workers(3, 2);
        for (int i = 0; i < 20'000; ++i) workers.post(i % 3 == 0 ? Pool::long_work : Pool::commands, [&] { ++count; });
    }
    EXPECT_EQ(count, 20'000);
}

TEST(Workers, KeepGoingAfterPostedWorkThrew) {
    std::atomic<int> count{0};
    {
        Workers workers(1, 1);
        workers.post(Pool::commands, [] { throw std::runtime_error("bug"); });
        workers.post(Pool::commands, [&] { ++count; });
    }
    EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace mallard::net
