#include "accounts/user_lock.hpp"

#include <thread>
#include <utility>

namespace mallard::accounts {

namespace {

using namespace std::chrono_literals;

constexpr auto held_max = 5min;  // longer than the database may let a call wait
constexpr auto pause = 20ms;

}  // namespace

UserLock::UserLock(store::SharedState& state, std::string key) : state_(&state), key_(std::move(key)) {}

UserLock::UserLock(UserLock&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)), key_(std::move(other.key_)) {}

UserLock::~UserLock() {
    if (state_) (void)state_->erase(key_);
}

Result<UserLock> UserLock::take(store::SharedState& state, UserId user, std::chrono::milliseconds wait_max) {
    std::string key = "mallard:moving:" + user.hex();
    for (auto const end = std::chrono::steady_clock::now() + wait_max;;) {
        MALLARD_TRY_ASSIGN(auto const holders, state.count(key, 1, 1, held_max));
        if (holders.allowed) return UserLock(state, std::move(key));
        if (std::chrono::steady_clock::now() > end)
            return fail(ErrorKind::unavailable,
                        "This user is being deleted or restored at this moment. Try again in a few minutes");
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace mallard::accounts
