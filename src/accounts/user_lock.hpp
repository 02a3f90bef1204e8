#pragma once
// Deletions and restorings of one user, by any processes, one at a time: each moves a user between two collections in
// several steps, and one that came between the steps of the other would take the user out of both.

#include <chrono>
#include <string>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "store/shared_state.hpp"

namespace mallard::accounts {

class UserLock {
public:
    // Waits for whoever has it; a process that died with it holds the others up for five minutes.
    // unavailable: it was not to be had in that time.
    static Result<UserLock> take(store::SharedState& state, UserId user,
                                 std::chrono::milliseconds wait_max = std::chrono::seconds(10));
    ~UserLock();
    UserLock(UserLock&& other) noexcept;
    UserLock& operator=(UserLock&&) = delete;

private:
    UserLock(store::SharedState& state, std::string key);
    store::SharedState* state_;  // null: moved away
    std::string key_;
};

}  // namespace mallard::accounts
