#pragma once
// Makes the mailboxes of a user in the target those of the source, to the last number.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "migrate/side.hpp"

namespace mallard::migrate {

using Patches = std::map<store::Uid, store::MessagePatch>;

// Whether the target must be told of `wanted` what it has not been told.
bool lacks_patch(store::MessagePatch const& wanted, store::MessagePatch const* there);

class MirrorMail {
public:
    // `copied(messages)` after each portion; false: stop. Called from any thread.
    MirrorMail(Side const& from, Side const& to, std::function<bool(std::uint64_t)> copied)
        : from_(from), to_(to), copied_(std::move(copied)) {}

    // How much differed: messages, changed flags, mailboxes. Several users may be mirrored at once.
    Result<std::uint64_t> mirror_user(UserId user);

private:
    struct Marks {
        store::Uid uid_next = 0;
        store::ModSeq highest_modseq = 0;
        std::uint32_t messages = 0;
        bool operator==(Marks const&) const = default;
    };
    Result<std::uint64_t> arrange_mailboxes(UserId user, std::vector<store::MailboxInfo> const& wanted);
    Result<void> set_aside(store::MailboxInfo const& mailbox);
    Result<bool> arrange_mailbox(store::MailboxInfo const& wanted, store::MailboxInfo const* there);
    Result<std::uint64_t> mirror_mailbox(MailboxId id);
    Result<std::uint64_t> mirror_messages(MailboxId id);
    Result<std::uint64_t> mirror_patches(MailboxId id);
    Result<void> take_back_expiries(MailboxId id);
    Result<void> copy_rows(MailboxId id, store::MailboxIndex const& index, std::vector<store::Row const*> const& rows);
    bool is_done(MailboxId id, Marks const& marks) const;
    bool is_first_of_run(UserId user);

    Side const from_, to_;
    std::function<bool(std::uint64_t)> copied_;
    mutable std::mutex mutex_;
    // In this run: mailboxes that were equal at these marks, and what was told of their messages then.
    std::map<MailboxId, Marks> done_;
    std::map<MailboxId, Patches> told_;
    std::set<UserId> counted_;
};

}  // namespace mallard::migrate
