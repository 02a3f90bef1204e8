#pragma once
// A message as the document WildDuck stores (storage.md §4.2), and back. Pure but for new ids.

#include <map>
#include <optional>
#include <string>

#include "store/bson.hpp"
#include "store/cluster/mime_tree.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::cluster {

// Everything that follows from the message itself: not mailbox, user, uid, modseq, thread.
bson::Document message_document(NewMessage const& message, MimeTree const& tree, std::int32_t magic);

// flags and what mirrors them (§11.5): set fields in a document to insert.
void set_flags(bson::Document& message, Flags const& flags);
bson::Document flag_mirrors(std::uint8_t system);
bson::Array flag_array(Flags const& flags);
Flags own_flags(bson::Document const& message);  // as its `flags` are spelled

// What follows from the mailbox a message enters at `now` (§4.2 retention, exp, rdate, junk).
void set_mailbox(bson::Document& message, MailboxInfo const& info, TimeMs now);

// For servers that cannot store arrays in arrays: the inner ones become documents with the keys "0", "1", ... Nothing
// of ours reads envelope and bodystructure back; on MongoDB they stay as WildDuck has them.
void flatten_nested_arrays(bson::Document& message);

// The digests of a message's stored bodies, with how often each is used.
std::map<std::string, std::int64_t> digests_of(bson::Document const& message);

// What is ours of a message (`mallard`, `mallardSource`) goes along when another server copies it, also where that
// changes its content: encrypts it, dates a draft anew (§9.5, §11.8). So it says what it is of; if that is no longer
// so, it counts for nothing. Needs these fields:
bson::Document validity_projection();
bool is_valid(bson::Document const& message);

// The record as the field `mallard`; nullopt: another server wrote (or changed) the message.
std::optional<MessageRecord> record_of(bson::Document const& message);

// Sets that field, and mallardSize, for a message that another server wrote: the operators of an update.
bson::Document record_update(bson::Document const& message, MessageRecord const& record, std::uint64_t size);

}  // namespace mallard::store::cluster
