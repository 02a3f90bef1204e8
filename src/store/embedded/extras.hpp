#pragma once
// Extras: what REST has said of one copy of a message: an expiry of its own, and custom metadata. They lie apart from
// the record, which copies share. Few messages have any.
//
// An extra whose message is gone does no harm, since no UID is used twice: it goes with its mailbox, or when its time
// comes.

#include <map>
#include <optional>
#include <string>

#include "kv/engine.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

struct Extra {
    std::optional<std::string> custom;
    std::optional<std::optional<TimeMs>> expires;  // as in MessagePatch
    bool empty() const { return !custom && !expires; }
};

std::string encode_extra(Extra const& extra);
Result<Extra> decode_extra(std::string_view bytes);  // corrupt

Result<std::map<Uid, Extra>> read_extras(kv::Engine const& engine, MailboxId mailbox, UidSet const& uids);
void put_extra(MailboxId mailbox, Uid uid, Extra const& extra, kv::WriteBatch& batch);

Result<void> erase_extras(kv::Engine const& engine, MailboxId mailbox, UidSet const& uids, kv::WriteBatch& batch);
// Copies take the metadata along, but not the expiry: the target's retention counts for them.
Result<void> carry_extras(kv::Engine const& engine, MailboxId from, UidSet const& source, MailboxId to,
                          UidSet const& target, bool moving, kv::WriteBatch& batch);
Result<void> take_back_expiries(kv::Engine const& engine, MailboxId mailbox, kv::WriteBatch& batch);

// Puts the custom metadata into a record's `meta`, a BSON document.
void apply_custom(Extra const& extra, std::string& meta);

}  // namespace mallard::store::embedded
