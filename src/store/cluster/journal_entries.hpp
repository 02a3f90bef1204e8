#pragma once
// Entries of the journal as WildDuck writes them (storage.md §12.1), but for _id and created. Pure.

#include "store/bson.hpp"
#include "store/cluster/mailbox_counters.hpp"
#include "store/types.hpp"

namespace mallard::store::cluster {

bson::Value modseq_value(ModSeq modseq);

// `junk`: 1 the message entered a \Junk mailbox, -1 it left one for good, 0 neither.
bson::Document exists_entry(bson::Document const& message, int junk = 0);
bson::Document expunge_entry(bson::Document const& message, ModSeq modseq);
bson::Document fetch_entry(bson::Document const& message, bool unseen_changed);
bson::Document mailbox_entry(MailboxInfo const& info, std::string_view command, ModSeq modseq, bool with_path);

// What an entry means for the counters of its mailbox (§12.3).
void count_entry(bson::Document const& entry, CounterChange& change);

}  // namespace mallard::store::cluster
