#pragma once
// What is stored encrypted for its owner alone (delivery.md §6).
//
// - Into a mailbox of a user who has an OpenPGP key goes in the clear only what neither the user nor the mailbox wants
//   encrypted, what is encrypted already, and drafts.
// - Deviation: where WildDuck stores in the clear what it cannot encrypt, this fails: unavailable, nothing is stored.

#include <optional>
#include <string>
#include <string_view>

#include "accounts/accounts.hpp"
#include "base/spool.hpp"
#include "mime/message.hpp"
#include "store/mail_store.hpp"

namespace mallard::mailboxes {

bool is_encrypted(mime::Entity const& tree);  // api.md §15.1: OpenPGP or S/MIME

enum class Arrival { from_outside, from_own_mailbox };  // the second: the user's own wish does not count

// The armored key for what comes into the mailbox; none: it is stored as it is.
Result<std::optional<std::string>> key_for_mailbox(accounts::Accounts const& accounts, store::MailStore const& store,
                                                   UserId user, MailboxId mailbox, Arrival arrival);

// none: the message is encrypted already.
Result<std::optional<Spool>> encrypt_for(std::string_view key, std::string_view source, mime::Entity const& tree);

// Copies or moves into a mailbox whose messages are encrypted, one at a time. A copy that fails leaves nothing behind;
// a move that fails has moved what came before.
Result<store::Copied> transfer_encrypted(store::MailStore& store, std::string_view key, MailboxId from,
                                         store::UidSet const& uids, MailboxId to, bool is_move);

}  // namespace mallard::mailboxes
