#pragma once
// Compares the two sides. While the source is served, only what never changes of a message that both have: its id,
// dates, record and bytes. At the end everything, and the bytes of those that were not compared before.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "migrate/side.hpp"

namespace mallard::migrate {

struct Verified {
    std::uint64_t users = 0, mailboxes = 0, messages = 0, octets = 0, documents = 0;
    std::vector<std::string> problems;  // a sentence each; bounded, the rest is counted
    std::uint64_t problem_count = 0;
};

// Messages whose contents were found equal.
using Compared = std::map<MailboxId, store::UidSet>;

class Verifier {
public:
    // `step(messages)` after each portion; false: stop. Called from any thread.
    Verifier(Side const& from, Side const& to, Compared& compared, std::function<bool(std::uint64_t)> step)
        : from_(from), to_(to), compared_(compared), step_(std::move(step)) {}

    // Several users at once, from several threads.
    Result<void> contents_of(UserId user);
    Result<void> everything_of(UserId user);
    Result<void> documents_and_state();
    Verified take() { return std::move(found_); }

private:
    void problem(std::string text);
    Result<void> compare_contents(MailboxId id, store::MailboxIndex const& source, store::MailboxIndex const& target);
    Result<void> compare_portion(MailboxId id, std::span<store::Row const* const> rows,
                                 store::MailboxIndex const& target);
    Result<void> compare_mailbox(store::MailboxInfo const& info, store::MailboxInfo const* there);
    void compare_index(store::MailboxIndex const& source, store::MailboxIndex const& target);
    Result<void> compare_vanished(MailboxId id);
    Result<void> compare_patches(store::MailboxIndex const& source);
    Result<void> compare_storage(UserId user);

    Side const from_, to_;
    Compared& compared_;
    std::function<bool(std::uint64_t)> step_;
    std::mutex mutex_;  // guards what follows, and compared_
    Verified found_;
};

}  // namespace mallard::migrate
