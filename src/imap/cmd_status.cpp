// STATUS and the quota commands (RFC 9051 §6.3.11, RFC 9208 §4.1).

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "imap/command_table.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap {

namespace {

std::optional<std::uint64_t> status_value(store::MailboxIndex const& index, std::string_view item) {
    store::MailboxCounts const counts = index.counts();
    if (iequals(item, "MESSAGES")) return counts.messages;
    if (iequals(item, "RECENT")) return 0;
    if (iequals(item, "UIDNEXT")) return index.uid_next;
    if (iequals(item, "UIDVALIDITY")) return index.info.uid_validity;
    if (iequals(item, "UNSEEN")) return counts.unseen;
    if (iequals(item, "HIGHESTMODSEQ")) return index.highest_modseq;
    return std::nullopt;
}

bool is_status_item(std::string_view item) {
    static store::MailboxIndex const empty;
    return status_value(empty, item).has_value();
}

// The name in the client's own form: atom, quoted or literal (protocols.md §1.9).
void append_name(std::string& out, imap_proto::Argument const& name) {
    if (name.kind == imap_proto::Argument::Kind::atom) {
        out += name.text;
    } else if (name.kind == imap_proto::Argument::Kind::literal) {
        imap_proto::append_literal_header(out, name.bytes().size());
        out += name.bytes();
    } else {
        imap_proto::append_string(out, name.text);
    }
}

// "* QUOTA" of the one root, the empty name; KiB rounded up (RFC 9208 §5.1).
Outcome append_quota(Session& session, std::string& out) {
    auto& accounts = session.services().accounts;
    auto const user = accounts.get(session.user());
    if (!user) return no(user.error());
    if (!*user) return no("NONEXISTENT");
    auto const used = accounts.storage_used(session.user());
    if (!used) return no(used.error());
    std::int64_t const limit = accounts.quota_of(**user);
    out += fmt::format("* QUOTA \"\" (STORAGE {} {})\r\n", (std::max<std::int64_t>(*used, 0) + 1023) / 1024,
                       (limit + 1023) / 1024);
    return ok("Success");
}

}  // namespace

Outcome cmd_status(Session& session, Request& request, std::string& out) {
    auto const& name = request.arguments()[0];
    auto const& items = request.arguments()[1];
    if (!name.string_value()) return bad("Invalid mailbox argument for STATUS");
    if (!items.is_list()) return bad("Invalid arguments for STATUS");
    if (items.items.empty()) return bad("Empty status list");
    std::vector<std::string> wanted;
    for (auto const& item : items.items) {
        if (!item.is_atom() || !is_status_item(item.text)) return bad("Invalid status items");
        std::string upper = to_upper(item.text);
        if (std::ranges::find(wanted, upper) == wanted.end()) wanted.push_back(std::move(upper));
    }
    auto const path = session.path(name);
    if (!path) return no("NONEXISTENT");
    if (path->empty()) return no("CANNOT", "No folder name given");
    auto& mailboxes = session.services().mailboxes;
    auto const mailbox = mailboxes.find(session.user(), *path);
    if (!mailbox) return no(mailbox.error());
    auto const index = mailboxes.snapshot(mailbox->id);
    if (!index) return no(index.error());

    out += "* STATUS ";
    append_name(out, name);
    out += " (";
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (i > 0) out += ' ';
        out += wanted[i];
        out += ' ';
        imap_proto::append_number(out, *status_value(**index, wanted[i]));
        if (wanted[i] == "HIGHESTMODSEQ") session.enable_condstore();  // RFC 7162 §3.1
    }
    out += ")\r\n";
    return ok();
}

Outcome cmd_getquota(Session& session, Request& request, std::string& out) {
    auto const root = request.arguments()[0].string_value();
    if (!root) return bad("Invalid argument for GETQUOTA");
    if (!root->empty()) return no("NONEXISTENT");
    return append_quota(session, out);
}

Outcome cmd_getquotaroot(Session& session, Request& request, std::string& out) {
    auto const& name = request.arguments()[0];
    if (!name.string_value()) return bad("Invalid mailbox argument for GETQUOTAROOT");
    auto const path = session.path(name);
    if (!path) return no("NONEXISTENT");
    auto const mailbox = session.services().mailboxes.find(session.user(), *path);
    if (!mailbox) return no(mailbox.error());
    std::string lines = "* QUOTAROOT ";
    imap_proto::append_string(lines, *name.string_value());
    lines += " \"\"\r\n";
    Outcome outcome = append_quota(session, lines);
    if (outcome.status == Status::ok) out += lines;
    return outcome;
}

Outcome cmd_setquota(Session&, Request&, std::string&) { return no("CANNOT", "Permission denied."); }

}  // namespace mallard::imap
