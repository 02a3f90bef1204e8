#pragma once
// Makes the next moment of a mailbox's index; chunks that nothing changes are shared. Pure.

#include <map>

#include "store/index.hpp"

namespace mallard::store::cluster {

struct IndexDelta {
    std::map<Uid, Row> rows;  // new or changed; their keywords by the numbers of the next index
    UidSet removed;
};

// `base` with the delta; info, keywords, uid_next and highest_modseq are the caller's business.
std::shared_ptr<MailboxIndex> merge(MailboxIndex const& base, IndexDelta const& delta);

// The number of a keyword in the index, which gets it if it is new; nullopt: there are too many.
std::optional<unsigned> keyword_number(MailboxIndex& index, std::string_view name);

}  // namespace mallard::store::cluster
