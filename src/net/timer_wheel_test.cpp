#include "net/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace mallard::net {
namespace {

using std::chrono::milliseconds;

struct Probe final : TimerWheel::Timer {
    int fired = 0;
    TimerWheel::TimePoint at;
    TimerWheel::TimePoint* now = nullptr;
    void on_expired() override {
        ++fired;
        if (now != nullptr) at = *now;
    }
};

TEST(TimerWheel, FiresOnceAfterTheDeadlineAndNeverEarly) {
    TimerWheel::TimePoint now{};
    TimerWheel wheel(now);
    Probe probe;
    wheel.schedule(probe, now + milliseconds(120));
    for (int ms = 0; ms <= 120; ms += 10) wheel.advance(now + milliseconds(ms));
    EXPECT_EQ(probe.fired, 0);
    wheel.advance(now + milliseconds(120) + TimerWheel::tick);
    EXPECT_EQ(probe.fired, 1);
    wheel.advance(now + milliseconds(100'000));
    EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, KeepsDeadlinesBeyondItsOwnLength) {
    TimerWheel::TimePoint now{};
    TimerWheel wheel(now);
    Probe probe;
    auto const half_an_hour = milliseconds(30 * 60 * 1000);
    wheel.schedule(probe, now + half_an_hour);
    for (milliseconds t{0}; t <= half_an_hour; t += milliseconds(990)) wheel.advance(now + t);
    EXPECT_EQ(probe.fired, 0);
    wheel.advance(now + half_an_hour + 2 * TimerWheel::tick);
    EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, ForgetsATimerThatIsDestroyed) {
    TimerWheel::TimePoint now{};
    TimerWheel wheel(now);
    Probe kept;
    auto gone = std::make_unique<Probe>();
    wheel.schedule(kept, now + milliseconds(100));
    wheel.schedule(*gone, now + milliseconds(100));
    gone.reset();
    wheel.advance(now + milliseconds(500));
    EXPECT_EQ(kept.fired, 1);
}

TEST(TimerWheel, FiresEveryRandomlyMovedTimerWithinTwoTicks) {
    std::mt19937 random(7);
    TimerWheel::TimePoint now{};
    TimerWheel wheel(now);
    std::vector<std::unique_ptr<Probe>> probes;
    std::vector<TimerWheel::TimePoint> deadlines;
    for (int i = 0; i < 500; ++i) {
        probes.push_back(std::make_unique<Probe>());
        probes.back()->now = &now;
        deadlines.push_back(now + milliseconds(random() % 90'000));
        wheel.schedule(*probes.back(), deadlines.back());
    }
    for (int step = 0; step < 4000; ++step) {
        now += milliseconds(random() % 50 + 1);
        wheel.advance(now);
        std::size_t const i = random() % probes.size();
        if (probes[i]->fired > 0) continue;
        deadlines[i] = now + milliseconds(random() % 60'000);
        wheel.schedule(*probes[i], deadlines[i]);
    }
    now += milliseconds(100'000);
    wheel.advance(now);
    for (std::size_t i = 0; i < probes.size(); ++i) {
        ASSERT_EQ(probes[i]->fired, 1) << i;
        ASSERT_GE(probes[i]->at, deadlines[i]) << i;
        if (probes[i]->at < now) {
            ASSERT_LE(probes[i]->at, deadlines[i] + 3 * TimerWheel::tick) << i;
        }
    }
}

}  // namespace
}  // namespace mallard::net
