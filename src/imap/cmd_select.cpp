// SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.3.3, §6.4.1, §6.4.2; replies: protocols.md §1.10).

#include <fmt/format.h>

#include "imap/command_table.hpp"

namespace mallard::imap {

namespace {

// (CONDSTORE), RFC 7162 §3.1.8; other parameters are ignored (protocols.md §1.10).
bool asks_condstore(imap_proto::Argument const& parameters) {
    for (auto const& parameter : parameters.items)
        if (parameter.is_word("CONDSTORE")) return true;
    return false;
}

void append_select(std::string& out, store::MailboxIndex const& index, bool read_only) {
    std::string flags = "\\Answered \\Flagged \\Draft \\Deleted \\Seen";
    for (std::string const& keyword : index.keywords) flags += ' ' + keyword;
    out += fmt::format("* FLAGS ({})\r\n", flags);
    if (read_only)
        out += "* OK [PERMANENTFLAGS ()] No permanent flags permitted\r\n";  // RFC 9051 §6.3.3
    else
        out += fmt::format("* OK [PERMANENTFLAGS ({}{})] Flags permitted\r\n", flags,
                           index.keywords.size() < store::keywords_max ? " \\*" : "");
    out += fmt::format("* OK [UIDVALIDITY {}] UIDs valid\r\n", index.info.uid_validity);
    out += fmt::format("* {} EXISTS\r\n* 0 RECENT\r\n", index.size());
    out += fmt::format("* OK [HIGHESTMODSEQ {}] Highest\r\n", index.highest_modseq);
    out += fmt::format("* OK [UIDNEXT {}] Predicted next UID\r\n", index.uid_next);
}

}  // namespace

Outcome cmd_select(Session& session, Request& request, std::string& out) {
    auto const& arguments = request.arguments();
    bool const read_only = request.command.name == "EXAMINE";
    if (!arguments[0].string_value()) return bad("Invalid mailbox argument for " + request.command.name);
    if (arguments.size() > 1 && !arguments[1].is_list())
        return bad("Invalid argument provided for " + request.command.name);
    session.unselect();  // RFC 9051 §6.3.2: also when the attempt fails
    auto const path = session.path(arguments[0]);
    if (!path || path->empty()) return no("NONEXISTENT");
    auto& mailboxes = session.services().mailboxes;
    auto const mailbox = mailboxes.find(session.user(), *path);
    if (!mailbox) return no(mailbox.error());
    if (mailbox->hidden) return no("CANNOT");
    auto view = mailboxes.snapshot(mailbox->id);
    if (!view) return no(view.error());

    if (arguments.size() > 1 && asks_condstore(arguments[1])) session.enable_condstore();
    append_select(out, **view, read_only);
    session.select(mailbox->id, std::move(*view), read_only);
    std::string text = session.condstore() ? request.command.name + " completed, CONDSTORE is now enabled" : "";
    return ok(std::move(text), read_only ? "READ-ONLY" : "READ-WRITE");
}

// CLOSE expunges without a word, and its errors are ignored (RFC 9051 §6.4.1); UNSELECT does not expunge.
Outcome cmd_close(Session& session, Request& request, std::string&) {
    Selected const& selected = session.selected();
    if (request.command.name == "CLOSE" && !selected.read_only) {
        auto closed = session.services().mailboxes.expunge(selected.id, {{1, 0xffff'ffff}}, true);
        if (!closed)
            log(LogLevel::warning, session.log_context(), "CLOSE could not expunge",
                {{"error", closed.error().message}, {"context", closed.error().context}});
    }
    session.unselect();
    return ok();
}

}  // namespace mallard::imap
