// EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9). The EXPUNGE lines are notices.

#include "imap/command_table.hpp"
#include "imap/flags.hpp"

namespace mallard::imap {

Outcome cmd_expunge(Session& session, Request& request, std::string&) {
    // \Deleted is the mailbox's: EXPUNGE also takes what this session has not been told of yet.
    store::UidSet uids{{1, 0xffff'ffff}};
    if (request.by_uid()) {
        auto const& argument = request.arguments()[0];
        auto const set =
            argument.is_atom() ? imap_proto::parse_sequence_set(argument.text) : fail(ErrorKind::invalid, "");
        if (!set) return bad("Invalid sequence set for UID EXPUNGE");
        auto const newest = session.services().mailboxes.snapshot(session.selected().id);
        if (!newest) return no(newest.error());
        uids = uids_of(*set, **newest, true);
    }
    if (session.selected().read_only || uids.empty()) return ok();
    auto const expunged = session.services().mailboxes.expunge(session.selected().id, uids, true);
    if (!expunged) return no(expunged.error());
    return ok();
}

}  // namespace mallard::imap
