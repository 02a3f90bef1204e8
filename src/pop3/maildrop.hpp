#pragma once
// The maildrop of one POP3 session: the newest messages of INBOX as they were at login (RFC 1939 §4), oldest first.
//
// - Message numbers are places in this list and never change (WildDuck renumbers LIST and UIDL after DELE).
// - Nothing is changed before update(); a connection that is lost changes nothing (RFC 1939 §6).
// - Deviation: RFC 1939 §4 locks the maildrop; here several sessions may have it, each with a list of its own.
// Threads: one at a time.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.hpp"
#include "mailboxes/mailboxes.hpp"
#include "store/shared_state.hpp"

namespace mallard::pop3 {

class Maildrop {
public:
    struct Message {
        store::Row row;
        bool fetched = false;
        bool deleted = false;
    };

    // The newest `messages_max`, but none older than the oldest that an earlier session listed: deleting new mail does
    // not make older mail appear (protocols.md §2.3).
    static Result<Maildrop> open(mailboxes::Mailboxes& mailboxes, store::SharedState& state, UserId user,
                                 std::size_t messages_max);

    std::vector<Message>& messages() { return messages_; }
    std::vector<Message> const& messages() const { return messages_; }
    std::size_t count() const;    // not deleted
    std::uint64_t bytes() const;  // not deleted
    void reset();                 // RSET: deleted marks only

    Result<std::unique_ptr<store::BodyReader>> body(mailboxes::Mailboxes& mailboxes, Message const& message) const;
    // QUIT: fetched ones become \Seen, deleted ones go to \Trash (or are expunged when there is none).
    Result<void> update(mailboxes::Mailboxes& mailboxes) const;

private:
    UserId user_;
    MailboxId inbox_;
    std::vector<Message> messages_;
};

}  // namespace mallard::pop3
