#include "tasks/upkeep.hpp"

#include "base/log.hpp"

namespace mallard::tasks {

namespace {

constexpr LogContext who{.component = "tasks", .session = {}, .user = {}, .address = {}};
// Counted once per interval, by whoever comes first.
constexpr std::string_view expiry_turn = "mallard:gc_expired", release_turn = "mallard:gc_tasks";

}  // namespace

Upkeep::Upkeep(accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes, store::SharedState& state,
               UpkeepConfig config)
    : accounts_(accounts), mailboxes_(mailboxes), state_(state), config_(config) {}

Upkeep::~Upkeep() {
    {
        std::lock_guard const lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Upkeep::start() {
    thread_ = std::thread([this] {
        for (bool going = pause(config_.first); going; going = pause(config_.pause)) run();
    });
}

bool Upkeep::pause(std::chrono::seconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [&] { return stopping_; });
}

bool Upkeep::stopping() {
    std::lock_guard const lock(mutex_);
    return stopping_;
}

void Upkeep::run() {
    delete_users();
    if (!stopping() && is_our_turn(release_turn)) release_tasks();
    if (config_.retention && !stopping() && is_our_turn(expiry_turn)) remove_expired();
}

bool Upkeep::is_our_turn(std::string_view key) {
    auto const turn = state_.count(key, 1, 1, config_.expiry_every);
    return turn && turn->allowed;
}

void Upkeep::release_tasks() {
    auto const released = accounts_.release_dead_tasks();
    if (!released) log(LogLevel::error, who, "[TASKFAIL] user-delete", {{"error", released.error().message}});
}

void Upkeep::delete_users() {
    auto const deleted = accounts_.run_due_tasks();
    if (!deleted) log(LogLevel::error, who, "[TASKFAIL] user-delete", {{"error", deleted.error().message}});
}

void Upkeep::remove_expired() {
    std::uint64_t removed = 0;
    while (!stopping()) {
        auto const some = mailboxes_.store().remove_expired();
        if (!some) {
            log(LogLevel::error, who, "[TASKFAIL] expired messages", {{"error", some.error().message}});
            break;
        }
        if (*some == 0) break;
        removed += *some;
    }
    if (removed > 0) log(LogLevel::info, who, "[TASKOK] expired messages", {{"removed", std::to_string(removed)}});
}

}  // namespace mallard::tasks
