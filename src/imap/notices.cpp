// What a session is told of a mailbox's changes (RFC 9051 §7.5, protocols.md §1.16).

#include <algorithm>
#include <array>

#include "imap/session.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap {

namespace {

using imap_proto::append_number;

// The 32 combinations of system flags, as text.
std::string_view system_flags_text(std::uint8_t bits) {
    static std::array<std::string, 32> const table = [] {
        std::array<std::string, 32> out;
        for (std::uint8_t i = 0; i < 32; ++i)
            for (std::string_view name : store::system_flag_names(i)) {
                if (!out[i].empty()) out[i] += ' ';
                out[i] += name;
            }
        return out;
    }();
    return table[bits & 31];
}

void append_line(std::string& out, std::uint64_t n, std::string_view what) {
    out += "* ";
    append_number(out, n);
    out += what;
}

bool is_told(std::vector<Told> const& told, store::Row const& row) {
    return std::ranges::any_of(
        told, [&](Told const& known) { return row.modseq == known.modseq && known.uids.contains(row.uid); });
}

}  // namespace

void append_flags(std::string& out, store::MailboxIndex const& index, store::Row const& row) {
    out += '(';
    std::string_view const system = system_flags_text(row.system);
    out += system;
    if (!row.keywords.none()) {
        bool first = system.empty();
        for (unsigned n = 0; n < index.keywords.size(); ++n) {
            if (!row.keywords.test(n)) continue;
            if (!first) out += ' ';
            first = false;
            out += index.keywords[n];
        }
    }
    out += ')';
}

void append_flags_line(std::string& out, store::MailboxIndex const& index, store::Row const& row, std::uint32_t number,
                       bool uid, bool modseq) {
    append_line(out, number, uid ? " FETCH (UID " : " FETCH (FLAGS ");
    if (uid) {
        append_number(out, row.uid);
        out += " FLAGS ";
    }
    append_flags(out, index, row);
    if (modseq) {
        out += " MODSEQ (";
        append_number(out, row.modseq);
        out += ')';
    }
    out += ")\r\n";
}

void Session::append_notices(std::string& out, bool may_expunge) {
    if (!selected_) return;
    auto newest = services_.mailboxes.snapshot(selected_->id);
    if (!newest) return;  // deleted: the BYE is on its way (Watch)
    if (*newest == selected_->view) return;
    store::IndexChanges const changes = store::changes_between(*selected_->view, **newest);
    if (!may_expunge && !changes.vanished.empty()) return;

    std::uint32_t gone = 0;
    selected_->view->for_uids(changes.vanished, [&](std::uint32_t n, store::Row const&) {
        append_line(out, n + 1 - gone, " EXPUNGE\r\n");  // RFC 9051 §7.5.1: each one moves the rest down
        ++gone;
    });
    if (gone > 0 || changes.appended > 0) append_line(out, (*newest)->size(), " EXISTS\r\n");
    for (std::uint32_t n : changes.changed) {
        store::Row const& row = (*newest)->row(n);
        if (!is_told(selected_->told, row)) append_flags_line(out, **newest, row, n + 1, false, condstore_);
    }
    selected_->view = std::move(*newest);
    selected_->told.clear();
}

}  // namespace mallard::imap
