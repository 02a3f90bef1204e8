#pragma once
// Attempt: "do this here and now, if memory has all it takes". A network thread tries a short command under an Attempt
// before it hops to the worker pool: the hop costs more than most commands do.
//
// While one lives, nothing on its thread may touch the disk, commit, or take long: whatever would, gives up instead,
// before it has changed anything. Who made the Attempt then throws the outcome away and does the work elsewhere.

#include "base/error.hpp"

namespace mallard {

class Attempt {
public:
    Attempt() : outer_(current_) { current_ = this; }
    ~Attempt() { current_ = outer_; }
    Attempt(Attempt const&) = delete;
    Attempt& operator=(Attempt const&) = delete;

    static bool active() { return current_ != nullptr; }
    static bool gave_up() { return current_ != nullptr && current_->gave_up_; }
    // To be returned; without an Attempt the error stands for itself: the disk was needed where it must not be.
    static std::unexpected<Error> give_up() {
        if (current_ != nullptr) current_->gave_up_ = true;
        return fail(ErrorKind::unavailable, "The store is busy, try again", "not in memory");
    }

private:
    static inline constinit thread_local Attempt* current_ = nullptr;
    Attempt* outer_;
    bool gave_up_ = false;
};

}  // namespace mallard
