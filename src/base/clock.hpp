#pragma once
// Time comes in as an object, so that tests decide it.

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mallard {

using TimeMs = std::int64_t;  // milliseconds since 1970-01-01T00:00:00Z

class Clock {
public:
    virtual ~Clock() = default;
    virtual TimeMs now() const = 0;  // thread-safe
};

class SystemClock final : public Clock {
public:
    TimeMs now() const override {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    }
};

class ManualClock final : public Clock {
public:
    explicit ManualClock(TimeMs start = 1'700'000'000'000) : now_(start) {}
    TimeMs now() const override { return now_; }
    void advance(TimeMs by) { now_ += by; }

private:
    std::atomic<TimeMs> now_;
};

}  // namespace mallard
