#pragma once
// Flag names of the wire as the store's flags, and small helpers over sets of messages.

#include <string>
#include <vector>

#include "imap/session.hpp"
#include "imap_proto/sequence.hpp"
#include "store/index.hpp"

namespace mallard::imap {

store::Flags to_flags(std::vector<std::string> const& names);

// The UIDs of the session's view that a sequence set or UID set names.
store::UidSet uids_of(imap_proto::SequenceSet const& set, store::MailboxIndex const& view, bool by_uid);
// The sequence set of a command's first argument, as UIDs of the view.
Result<store::UidSet> parse_uids(Session& session, Request const& request);

// Finds rows by ascending UID: cheaper than find() where the next one is usually close by.
class RowCursor {
public:
    explicit RowCursor(store::MailboxIndex const& index) : index_(index) {}
    store::Row const* seek(store::Uid uid);  // nullptr: not there. Each call's UID above the last one's.

private:
    store::MailboxIndex const& index_;
    std::size_t chunk_ = 0;
    std::size_t row_ = 0;
};

}  // namespace mallard::imap
