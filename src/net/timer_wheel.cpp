#include "net/timer_wheel.hpp"

#include <algorithm>
#include <utility>

namespace mallard::net {

void TimerWheel::Timer::unlink() {
    if (link_ == nullptr) return;
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    next_ = nullptr;
    link_ = nullptr;
}

void TimerWheel::link(Timer& timer) {
    // One past the deadline's own tick: never early.
    std::int64_t const due = tick_of(timer.deadline_) + 1;
    timer.slot_tick_ = std::clamp(due, current_ + 1, current_ + static_cast<std::int64_t>(slots) - 1);
    Timer*& head = wheel_[static_cast<std::size_t>(timer.slot_tick_) % slots];
    timer.next_ = head;
    if (head != nullptr) head->link_ = &timer.next_;
    head = &timer;
    timer.link_ = &head;
}

void TimerWheel::schedule(Timer& timer, TimePoint deadline) {
    timer.deadline_ = deadline;
    if (timer.link_ != nullptr) {
        if (timer.slot_tick_ <= tick_of(deadline) + 1) return;  // looked at in time
        timer.unlink();
    }
    link(timer);
}

void TimerWheel::advance(TimePoint now) {
    std::int64_t const until = tick_of(now);
    while (current_ < until) {
        ++current_;
        // The slot's list is taken off whole: what is put back now goes to a later slot.
        Timer* list = std::exchange(wheel_[static_cast<std::size_t>(current_) % slots], nullptr);
        if (list != nullptr) list->link_ = &list;
        while (list != nullptr) {
            Timer& timer = *list;
            timer.unlink();
            if (timer.deadline_ > now)
                link(timer);
            else
                timer.on_expired();
        }
    }
}

}  // namespace mallard::net
