#pragma once
// Makes the mailboxes of a user in the target those of the source, to the last number.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "migrate/side.hpp"

namespace mallard::migrate {

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
    Result<std::uint64_t> mirror_messages(MailboxId id);
    Result<void> copy_rows(MailboxId id, store::MailboxIndex const& index, std::vector<store::Row const*> const& rows);
    bool is_done(MailboxId id, Marks const& marks) const;

    Side const from_, to_;
    std::function<bool(std::uint64_t)> copied_;
    mutable std::mutex mutex_;
    std::map<MailboxId, Marks> done_;  // mailboxes that were equal at these marks, in this run
};

}  // namespace mallard::migrate
