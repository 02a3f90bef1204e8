// SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 7162 §3.1.5; replies: protocols.md §1.15).

#include <fmt/format.h>

#include "base/attempt.hpp"
#include "base/encoding.hpp"
#include "imap/command_table.hpp"
#include "imap/flags.hpp"
#include "imap_proto/date.hpp"
#include "imap_proto/output.hpp"
#include "imap_proto/search.hpp"
#include "mailboxes/search.hpp"

namespace mallard::imap {

namespace {

using imap_proto::SearchTerm;
using mailboxes::SearchKey;

// A term of the wire with its sets resolved against the session's view. Sequence numbers become UIDs: the search runs
// on the newest snapshot, where other numbers may hold.
SearchKey to_key(SearchTerm const& term, store::MailboxIndex const& view) {
    using Kind = SearchTerm::Kind;
    SearchKey key;
    key.number = term.number;
    key.field = term.field;
    key.text = term.text;
    key.from = term.day;
    key.to = term.day + imap_proto::day_ms;
    switch (term.kind) {
        case Kind::all: key.kind = SearchKey::Kind::all; break;
        case Kind::none: key.kind = SearchKey::Kind::none; break;
        case Kind::sequence:
        case Kind::uid:
            key.kind = SearchKey::Kind::uids;
            key.set = uids_of(term.set, view, term.kind == Kind::uid);
            break;
        case Kind::flag:
            key.kind = SearchKey::Kind::flag;
            key.bits = store::system_flag(term.text);
            break;
        case Kind::keyword: key.kind = SearchKey::Kind::keyword; break;
        case Kind::before: key.kind = SearchKey::Kind::before; break;
        case Kind::on: key.kind = SearchKey::Kind::on; break;
        case Kind::since: key.kind = SearchKey::Kind::since; break;
        case Kind::sent_before: key.kind = SearchKey::Kind::sent_before; break;
        case Kind::sent_on: key.kind = SearchKey::Kind::sent_on; break;
        case Kind::sent_since: key.kind = SearchKey::Kind::sent_since; break;
        case Kind::younger: key.kind = SearchKey::Kind::younger; break;
        case Kind::older: key.kind = SearchKey::Kind::older; break;
        case Kind::larger: key.kind = SearchKey::Kind::larger; break;
        case Kind::smaller: key.kind = SearchKey::Kind::smaller; break;
        case Kind::modseq: key.kind = SearchKey::Kind::modseq; break;
        case Kind::header: key.kind = SearchKey::Kind::header; break;
        case Kind::body: key.kind = SearchKey::Kind::body; break;
        case Kind::text: key.kind = SearchKey::Kind::text; break;
        case Kind::and_: key.kind = SearchKey::Kind::and_; break;
        case Kind::or_: key.kind = SearchKey::Kind::or_; break;
        case Kind::not_: key.kind = SearchKey::Kind::not_; break;
    }
    for (SearchTerm const& child : term.children) key.children.push_back(to_key(child, view));
    return key;
}

bool is_known_charset(std::string_view charset) {
    return charset.empty() || iequals(charset, "UTF-8") || iequals(charset, "US-ASCII");
}

}  // namespace

Outcome cmd_search(Session& session, Request& request, std::string& out) {
    auto const parsed = imap_proto::parse_search(request.arguments(), {});
    if (!parsed) return bad(parsed.error().message);
    if (!is_known_charset(parsed->charset)) return no("BADCHARSET (US-ASCII UTF-8)");  // RFC 9051 §6.4.4
    if (parsed->uses_modseq) session.enable_condstore();                               // RFC 7162 §3.1

    Selected& selected = session.selected();
    auto& mailboxes = session.services().mailboxes;
    store::Snapshot const view = selected.view;
    auto const newest = mailboxes.snapshot(selected.id);
    if (newest && Attempt::active() && (*newest)->size() > attempt_rows_max) return no(Attempt::give_up().error());
    if (!newest) {
        if (newest.error().kind != ErrorKind::not_found) return no(newest.error());
        out += "* SEARCH\r\n";
        return ok();
    }
    auto const found = mailboxes::search(mailboxes.store(), **newest, to_key(parsed->term, *view),
                                         session.services().clock.now(), [&] { return !session.farewell().empty(); });
    if (!found) return no(found.error());

    out += "* SEARCH";
    RowCursor known(*view);  // a message beyond the view has no number yet, and is not reported
    for (std::uint32_t n : found->rows) {
        store::Uid const uid = (*newest)->row(n).uid;
        std::uint32_t number = n + 1;
        if (*newest != view) {
            if (known.seek(uid) == nullptr) continue;
            number = view->lower_bound(uid) + 1;
        }
        out += ' ';
        imap_proto::append_number(out, request.by_uid() ? uid : number);
    }
    if (parsed->uses_modseq && !found->rows.empty()) {
        out += " (MODSEQ ";
        imap_proto::append_number(out, found->highest_modseq);
        out += ')';
    }
    out += "\r\n";
    return ok();
}

}  // namespace mallard::imap
