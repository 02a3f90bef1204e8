// STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3; replies: protocols.md §1.13).

#include <fmt/format.h>

#include <algorithm>

#include "base/attempt.hpp"
#include "base/encoding.hpp"
#include "imap/command_table.hpp"
#include "imap/flags.hpp"
#include "imap_proto/store.hpp"

namespace mallard::imap {

namespace {

using imap_proto::StoreRequest;

constexpr std::size_t chunk_bytes = 128 * 1024;

store::FlagChange change_of(StoreRequest const& request) {
    store::FlagChange out;
    switch (request.mode) {
        case StoreRequest::Mode::set: out.mode = store::FlagMode::set; break;
        case StoreRequest::Mode::add: out.mode = store::FlagMode::add; break;
        case StoreRequest::Mode::remove: out.mode = store::FlagMode::remove; break;
    }
    out.flags = to_flags(request.flags);
    out.unchanged_since = request.unchanged_since;
    return out;
}

// The flags of `row` after the change, as the client reckons them.
store::Flags expected(store::Flags flags, store::FlagChange const& change) {
    auto has = [&](std::string const& name) {
        return std::ranges::any_of(flags.keywords, [&](auto const& k) { return iequals(k, name); });
    };
    switch (change.mode) {
        case store::FlagMode::set: return change.flags;
        case store::FlagMode::add:
            flags.system |= change.flags.system;
            for (std::string const& name : change.flags.keywords)
                if (!has(name)) flags.keywords.push_back(name);
            return flags;
        case store::FlagMode::remove:
            flags.system &= static_cast<std::uint8_t>(~change.flags.system);
            std::erase_if(flags.keywords, [&](auto const& k) {
                return std::ranges::any_of(change.flags.keywords, [&](auto const& gone) { return iequals(k, gone); });
            });
            return flags;
    }
    return flags;
}

bool same_flags(store::Flags const& a, store::Flags const& b) {
    if (a.system != b.system || a.keywords.size() != b.keywords.size()) return false;
    return std::ranges::all_of(a.keywords, [&](auto const& name) {
        return std::ranges::any_of(b.keywords, [&](auto const& other) { return iequals(name, other); });
    });
}

// "MODIFIED 2,5:7": sequence numbers of the view, or UIDs (RFC 7162 §3.1.3).
std::string modified_code(store::UidSet const& uids, store::MailboxIndex const& view, bool by_uid) {
    if (by_uid) return "MODIFIED " + uids.to_string();
    RangeSet numbers;
    view.for_uids(uids, [&](std::uint32_t n, store::Row const&) { numbers.add(n + 1); });
    return "MODIFIED " + numbers.to_string();
}

Outcome outcome_of(Session& session, Request const& request, StoreRequest const& parsed,
                   store::FlagsChanged const& changed, bool some_gone) {
    bool const conditional = parsed.unchanged_since.has_value();
    std::string code;
    if (!changed.modified.empty()) code = modified_code(changed.modified, *session.selected().view, request.by_uid());
    if (some_gone && !request.by_uid() && !parsed.silent) return no(code, "Some of the messages no longer exist");
    if (!conditional) return ok();
    return ok(fmt::format("Conditional {} {}", request.command.name, code.empty() ? "completed" : "failed"), code);
}

}  // namespace

Reply cmd_store(Session& session, Request& request) {
    std::string const& name = request.command.name;
    auto const parsed = imap_proto::parse_store(request.arguments(), name, {});
    if (!parsed) {
        request.outcome = bad(parsed.error().message);
        co_return;
    }
    Selected& selected = session.selected();
    if (selected.read_only) {
        request.outcome = ok("STORE ignored with read-only mailbox");
        co_return;
    }
    if (parsed->unchanged_since) session.enable_condstore();
    store::Snapshot const view = selected.view;
    store::UidSet const uids = uids_of(parsed->set, *view, request.by_uid());
    auto& mailboxes = session.services().mailboxes;
    store::FlagChange const change = change_of(*parsed);
    auto const changed = uids.empty() ? Result<store::FlagsChanged>(store::FlagsChanged{})
                                      : mailboxes.change_flags(selected.id, uids, change);
    auto const after =
        changed ? mailboxes.snapshot(selected.id) : Result<store::Snapshot>(fail(ErrorKind::internal, ""));
    if (!changed || !after) {
        Error const& error = changed ? after.error() : changed.error();
        if (!Attempt::gave_up())
            log(LogLevel::warning, session.log_context(), "STORE failed",
                {{"error", error.message}, {"context", error.context}});
        request.outcome = no(error);
        co_return;
    }

    // What really changed is told; a silent client only what it could not reckon itself (RFC 9051 §6.4.6). With
    // CONDSTORE it needs the modseq in any case (RFC 7162 §3.1.3).
    bool some_gone = false;
    store::UidSet told;
    std::string out;
    RowCursor cursor(**after);
    auto tell = [&](std::uint32_t n, store::Row const& seen) {
        store::Row const* row = cursor.seek(seen.uid);
        if (row == nullptr) {
            some_gone = true;
            return;
        }
        if (!changed->changed.contains(row->uid)) return;
        bool const quiet = parsed->silent && !session.condstore() &&
                           same_flags(expected(view->flags(seen), change), (*after)->flags(*row));
        if (!quiet) append_flags_line(out, **after, *row, n + 1, request.by_uid(), session.condstore());
        if (row->modseq == changed->modseq) told.add(row->uid);
    };
    // By range, so that a chunk can go out while the rest waits.
    for (auto const& range : uids.ranges()) {
        for (std::uint32_t n = view->lower_bound(range.first); n < view->size(); ++n) {
            store::Row const& row = view->row(n);
            if (row.uid > range.last) break;
            tell(n, row);
            if (out.size() >= chunk_bytes) {
                co_yield std::move(out);
                out.clear();
            }
        }
    }
    if (!told.empty()) selected.told.push_back({std::move(told), changed->modseq});
    request.outcome = outcome_of(session, request, *parsed, *changed, some_gone);
    if (!out.empty()) co_yield std::move(out);
}

}  // namespace mallard::imap
