// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8; replies: protocols.md §1.9).

#include "base/encoding.hpp"
#include "imap/command_table.hpp"

namespace mallard::imap {

namespace {

Outcome no_name() { return no("CANNOT", "No folder name given"); }
Outcome bad_name() { return no("CANNOT", "Invalid folder name"); }

bool is_inbox(std::string_view path) {
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.ends_with('/')) path.remove_suffix(1);
    return iequals(path, "INBOX");
}

// NIL is not a name: BAD. Bytes that are no name in this session's encoding: none.
bool is_string(Request const& request, std::size_t n) { return request.arguments()[n].string_value().has_value(); }

Outcome invalid(Request const& request) { return bad("Invalid mailbox argument for " + request.command.name); }

}  // namespace

// RFC 9051 §6.3.4
Outcome cmd_create(Session& session, Request& request, std::string&) {
    if (!is_string(request, 0)) return invalid(request);
    auto const path = session.path(request.arguments()[0]);
    if (!path) return bad_name();
    if (path->empty()) return no_name();
    if (path->find("//") != std::string::npos) return no("CANNOT", "Adjacent hierarchy separators are not supported");
    // RFC 9051 §6.3.4 has the server create the name; WildDuck answers OK and makes nothing, and so do we.
    if (path->ends_with('/')) return ok("Ignoring hierarchy declaration", "CANNOT");
    auto created = session.services().mailboxes.create(session.user(), *path);
    if (!created) return no(created.error());
    return ok();
}

// RFC 9051 §6.3.5
Outcome cmd_delete(Session& session, Request& request, std::string&) {
    if (!is_string(request, 0)) return invalid(request);
    auto const path = session.path(request.arguments()[0]);
    if (!path) return no("NONEXISTENT");
    if (path->empty()) return no_name();
    if (is_inbox(*path)) return no("CANNOT", "INBOX can not be deleted");
    auto& mailboxes = session.services().mailboxes;
    auto const mailbox = mailboxes.find(session.user(), *path);
    if (!mailbox) return no(mailbox.error());
    if (auto erased = mailboxes.erase(session.user(), mailbox->id); !erased) return no(erased.error());
    return ok();
}

// RFC 9051 §6.3.6
Outcome cmd_rename(Session& session, Request& request, std::string&) {
    if (!is_string(request, 0) || !is_string(request, 1)) return invalid(request);
    auto const from = session.path(request.arguments()[0]);
    auto const to = session.path(request.arguments()[1]);
    if (!from) return no("NONEXISTENT");
    if (!to) return bad_name();
    if (from->empty() || to->empty()) return no_name();
    if (to->find("//") != std::string::npos) return no("CANNOT", "Adjacent hierarchy separators are not supported");
    if (is_inbox(*from)) return no("CANNOT", "INBOX can not be renamed");
    if (is_inbox(*to)) return no("ALREADYEXISTS", "INBOX already exists");
    auto& mailboxes = session.services().mailboxes;
    auto const mailbox = mailboxes.find(session.user(), *from);
    if (!mailbox) return no(mailbox.error());
    if (auto renamed = mailboxes.rename(session.user(), mailbox->id, *to); !renamed) return no(renamed.error());
    return ok();
}

// RFC 9051 §6.3.7, §6.3.8
Outcome cmd_subscribe(Session& session, Request& request, std::string&) {
    if (!is_string(request, 0)) return invalid(request);
    bool const subscribe = request.command.name == "SUBSCRIBE";
    auto const path = session.path(request.arguments()[0]);
    if (!path || path->empty()) return no("NONEXISTENT");
    if (is_inbox(*path)) return subscribe ? ok() : no("", "Can not unsubscribe from INBOX");
    auto& mailboxes = session.services().mailboxes;
    auto const mailbox = mailboxes.find(session.user(), *path);
    if (!mailbox) return no(mailbox.error());
    if (mailbox->subscribed != subscribe) {
        store::MailboxPatch patch;
        patch.subscribed = subscribe;
        if (auto done = mailboxes.update(session.user(), mailbox->id, patch); !done) return no(done.error());
    }
    return ok();
}

}  // namespace mallard::imap
