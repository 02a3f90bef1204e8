#pragma once
// What is stored encrypted for its owner alone (delivery.md §6).
//
// - Into a mailbox of a user who has a key (S/MIME certificates, else OpenPGP) goes in the clear only what neither the
//   user nor the mailbox wants encrypted, what is encrypted already, and drafts.
// - Deviation: where WildDuck stores in the clear what it cannot encrypt, this fails: unavailable, nothing is stored.

#include <optional>
#include <string>
#include <string_view>

#include "accounts/accounts.hpp"
#include "base/spool.hpp"
#include "encryption/encrypted_mail.hpp"
#include "mime/message.hpp"
#include "store/mail_store.hpp"

namespace mallard::mailboxes {

bool is_encrypted(mime::Entity const& tree);  // api.md §15.1: OpenPGP or S/MIME

enum class Arrival { from_outside, from_own_mailbox };  // the second: the user's own wish does not count

bool has_key(accounts::User const& account);
encryption::Owner owner_of(accounts::User const& account);  // who has a key

// Is what comes into this mailbox of theirs stored encrypted?
bool is_for_owner_only(accounts::User const& account, store::MailboxInfo const& target, Arrival arrival);

// none: the message is encrypted already.
Result<std::optional<Spool>> encrypt_for(encryption::Owner const& owner, std::string_view source,
                                         mime::Entity const& tree);

// Copies or moves into a mailbox whose messages are encrypted, one at a time. A copy that fails leaves nothing behind;
// a move that fails has moved what came before.
Result<store::Copied> transfer_encrypted(store::MailStore& store, encryption::Owner const& owner, MailboxId from,
                                         store::UidSet const& uids, MailboxId to, bool is_move);

}  // namespace mallard::mailboxes
