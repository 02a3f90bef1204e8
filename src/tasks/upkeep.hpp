#pragma once
// Upkeep: the thread that removes messages which have expired, and the mail of users who were deleted.
//
// - The first look is `first` after the start, so that a start is quick; then one every `pause`.
// - run() is what the thread does each time, for tests and for who has a clock of their own. Errors are logged.
// - The destructor ends the thread within one step.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>

#include "accounts/accounts.hpp"
#include "mailboxes/mailboxes.hpp"
#include "store/shared_state.hpp"

namespace mallard::tasks {

struct UpkeepConfig {
    bool retention = true;  // imap.disableRetention turns it off
    std::chrono::seconds first{5};
    std::chrono::seconds pause{2};           // between looks for due deletions
    std::chrono::seconds expiry_every{900};  // between looks for what has expired or stuck, of all processes
};

class Upkeep {
public:
    // All of them outlive it.
    Upkeep(accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes, store::SharedState& state,
           UpkeepConfig config);
    ~Upkeep();
    Upkeep(Upkeep const&) = delete;

    void start();
    void run();

private:
    bool pause(std::chrono::seconds time);  // false: stopping
    bool stopping();
    bool is_our_turn(std::string_view key);
    void remove_expired();
    void delete_users();
    void release_tasks();

    accounts::Accounts& accounts_;
    mailboxes::Mailboxes& mailboxes_;
    store::SharedState& state_;
    UpkeepConfig const config_;

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace mallard::tasks
