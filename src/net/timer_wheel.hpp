#pragma once
// TimerWheel: the deadlines of one network thread. Nothing is allocated per timer; moving a deadline further away,
// which every command does, touches only the timer itself: the wheel looks again when the old time comes. A timer fires
// at most one tick late and never early. Not thread-safe.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace mallard::net {

class TimerWheel {
public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::milliseconds tick{50};
    static constexpr std::size_t slots = 1024;  // a deadline further away than slots * tick is looked at again then

    class Timer {
    public:
        Timer() = default;
        Timer(Timer const&) = delete;
        Timer& operator=(Timer const&) = delete;

    protected:
        virtual ~Timer() { unlink(); }
        virtual void on_expired() = 0;  // may schedule this and any other timer
        void unlink();

    private:
        friend class TimerWheel;
        Timer* next_ = nullptr;
        Timer** link_ = nullptr;  // what points to this timer; null: not in the wheel
        std::int64_t slot_tick_ = 0;
        TimePoint deadline_;
    };

    explicit TimerWheel(TimePoint now) : origin_(now) {}

    void schedule(Timer& timer, TimePoint deadline);
    void advance(TimePoint now);  // fires what is due

private:
    std::int64_t tick_of(TimePoint time) const { return (time - origin_) / tick; }
    void link(Timer& timer);

    TimePoint origin_;
    std::int64_t current_ = 0;
    std::array<Timer*, slots> wheel_{};
};

}  // namespace mallard::net
