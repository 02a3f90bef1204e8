// COPY, MOVE and their UID forms (RFC 9051 §6.4.7, §6.4.8, RFC 4315 §3; replies: protocols.md §1.14).

#include <fmt/format.h>

#include "imap/command_table.hpp"
#include "imap/flags.hpp"

namespace mallard::imap {

namespace {

Outcome transfer(Session& session, Request& request, bool move) {
    auto const uids = parse_uids(session, request);
    if (!uids) return bad(uids.error().message);
    auto const& name = request.arguments()[1].string_value();
    if (!name || name->empty()) return bad("Invalid mailbox argument for " + request.command.name);
    if (move && session.selected().read_only) return no("READ-ONLY", "Mailbox is read-only");
    auto& mailboxes = session.services().mailboxes;
    auto const path = session.path(*name);
    auto const target =
        path ? mailboxes.find(session.user(), *path) : Result<store::MailboxInfo>(fail(ErrorKind::not_found, ""));
    if (!target) return target.error().kind == ErrorKind::not_found ? no("TRYCREATE") : no(target.error());
    if (uids->empty()) return ok();

    MailboxId const source = session.selected().id;
    auto const copied = move ? mailboxes.move(session.user(), source, *uids, target->id)
                             : mailboxes.copy(session.user(), source, *uids, target->id);
    if (!copied) return no(copied.error());
    if (copied->source.empty()) return ok();
    // Deviation: RFC 9051 §6.4.8 would rather have COPYUID of a MOVE before the EXPUNGE lines; WildDuck's clients find
    // it in the tagged reply, which the RFC permits.
    return ok({}, fmt::format("COPYUID {} {} {}", copied->uid_validity, copied->source.to_string(),
                              copied->target.to_string()));
}

}  // namespace

Outcome cmd_copy(Session& session, Request& request, std::string&) { return transfer(session, request, false); }

Outcome cmd_move(Session& session, Request& request, std::string&) { return transfer(session, request, true); }

}  // namespace mallard::imap
