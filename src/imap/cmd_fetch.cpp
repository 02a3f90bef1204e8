// FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4; replies: protocols.md §1.11).
//
// Numbers come from the session's view; flags, and whether a message is still there, from the newest snapshot.
// What the index answers is read from it alone; records and small messages come in batches; large messages in pieces.

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/attempt.hpp"
#include "imap/command_table.hpp"
#include "imap/fetch_render.hpp"
#include "imap/flags.hpp"
#include "imap_proto/output.hpp"
#include "net/workers.hpp"

namespace mallard::imap {

namespace {

using imap_proto::FetchItem;
using imap_proto::FetchRequest;
using Kind = FetchItem::Kind;

constexpr std::size_t chunk_bytes = 128 * 1024;          // a reply goes out in chunks of about this size
constexpr std::size_t batch_rows = 256;                  // records per read
constexpr std::uint64_t batch_bytes = 192 * 1024;        // octets per read, all copies counted
constexpr std::uint64_t piece_bytes = 256 * 1024;        // of a large message
constexpr std::uint64_t attempt_octets_max = 64 * 1024;  // unpacking more than this takes long

bool has(std::vector<FetchItem> const& items, Kind kind) {
    return std::ranges::any_of(items, [&](FetchItem const& item) { return item.kind == kind; });
}

void add(std::vector<FetchItem>& items, Kind kind, std::string label) {
    FetchItem item;
    item.kind = kind;
    item.label = std::move(label);
    items.push_back(std::move(item));
}

// What is answered though it was not asked for, in WildDuck's order.
void add_implied_items(FetchRequest& request, bool sets_seen, bool by_uid, bool condstore) {
    bool const flags = sets_seen && !has(request.items, Kind::flags);
    if (flags) add(request.items, Kind::flags, "FLAGS");
    if (by_uid && !has(request.items, Kind::uid)) add(request.items, Kind::uid, "UID");
    // RFC 7162 §3.1.4.1, and §3.2: a flag change that is told carries its modseq.
    if ((request.changed_since || (flags && condstore)) && !has(request.items, Kind::modseq))
        add(request.items, Kind::modseq, "MODSEQ");
}

// \Seen for those of the set that lack it.
Result<void> mark_seen(Session& session, store::UidSet const& uids) {
    auto& mailboxes = session.services().mailboxes;
    MALLARD_TRY_ASSIGN(auto const newest, mailboxes.snapshot(session.selected().id));
    store::UidSet unseen;
    newest->for_uids(uids, [&](std::uint32_t, store::Row const& row) {
        if ((row.system & store::seen) == 0) unseen.add(row.uid);
    });
    if (unseen.empty()) return {};
    store::FlagChange change;
    change.mode = store::FlagMode::add;
    change.flags.system = store::seen;
    MALLARD_TRY_ASSIGN(auto changed, mailboxes.change_flags(session.selected().id, unseen, change));
    if (changed.modseq != 0) session.selected().told.push_back({std::move(changed.changed), changed.modseq});
    return {};
}

// The messages to answer for: in the view, still there, and changed since.
std::vector<Target> targets_of(FetchRequest const& request, store::MailboxIndex const& view,
                               store::MailboxIndex const& newest, store::UidSet const& uids) {
    std::vector<Target> out;
    RowCursor cursor(newest);
    bool const same = &view == &newest;
    view.for_uids(uids, [&](std::uint32_t n, store::Row const& seen) {
        store::Row const* row = same ? &seen : cursor.seek(seen.uid);
        if (row == nullptr || (request.changed_since && row->modseq <= *request.changed_since)) return;
        out.push_back({n + 1, row});
    });
    return out;
}

// How many of the rest go into one batch: bounded by rows and by octets. Large messages stand alone.
std::size_t batch_size(std::span<Target const> rest, std::size_t contents) {
    if (contents == 0) return std::min(rest.size(), batch_rows);
    std::uint64_t bytes = 0;
    std::size_t n = 0;
    while (n < rest.size() && n < batch_rows) {
        bytes += rest[n].row->size * contents;
        if (bytes > batch_bytes && n > 0) break;
        ++n;
    }
    return n;
}

class Fetcher {
public:
    Fetcher(Session& session, FetchRequest const& request, store::Snapshot newest)
        : session_(session),
          store_(session.services().mailboxes.store()),
          mailbox_(session.selected().id),
          request_(request),
          needs_(needs_of(request.items)),
          newest_(std::move(newest)) {}

    Needs const& needs() const { return needs_; }

    bool is_large(Target const& target) const {
        return needs_.contents > 0 && target.row->size * needs_.contents > batch_bytes;
    }

    Result<void> render(std::span<Target const> targets, std::string& out) const {
        if (needs_.contents > 0) return render_bodies(targets, out);
        if (needs_.record != 0) return render_records(targets, out);
        for (Target const& target : targets) append_response(out, request_.items, *newest_, target, {}, {});
        return {};
    }

    // Two batches, the second on another worker if one is free: unpacking is most of the work.
    Result<void> render_two(std::span<Target const> first, std::span<Target const> second, std::string& out) const {
        Result<void> one, two;
        std::string more;
        session_.services().workers->both(
            net::Pool::commands, [&] { one = render(first, out); }, [&] { two = render(second, more); });
        MALLARD_TRY(one);
        out += more;
        return two;
    }
    bool worth_two() const {
        return (needs_.contents > 0 || needs_.record != 0) && session_.services().workers != nullptr &&
               !Attempt::active();
    }

    Result<std::vector<Known>> read_records(std::span<Target const> targets) const {
        std::vector<Known> out(targets.size());
        if (needs_.record == 0) return out;
        MALLARD_TRY(store_.records(mailbox_, rows(targets), needs_.record,
                                   [&](std::size_t i, store::MessageRecord const& record) {
                                       out[i].found = true;
                                       out[i].envelope = record.envelope;
                                       out[i].body = record.body;
                                       out[i].body_structure = record.body_structure;
                                       if ((needs_.record & store::want_parts) != 0)
                                           out[i].parts = mime::decode_parts(record.parts);
                                   }));
        return out;
    }

    Result<std::unique_ptr<store::BodyReader>> reader(Target const& target) const {
        return store_.body(mailbox_, *target.row);
    }

    store::MailboxIndex const& index() const { return *newest_; }
    void count_sent(std::uint64_t bytes) { sent_ += bytes; }

    // Charges the day's allowance with what went out; fails when it was used up before.
    Result<void> charge() {
        MALLARD_TRY_ASSIGN(auto const user, session_.services().accounts.get(session_.user()));
        if (!user) return {};
        return session_.services().accounts.use_allowance(*user, "idw",
                                                          static_cast<std::int64_t>(std::exchange(sent_, 0)));
    }

private:
    // Items of index and record.
    Result<void> render_records(std::span<Target const> targets, std::string& out) const {
        return store_.records(mailbox_, rows(targets), needs_.record,
                              [&](std::size_t i, store::MessageRecord const& record) {
                                  append_response_begin(out, targets[i].number);
                                  bool first = true;
                                  for (FetchItem const& item : request_.items) {
                                      if (!first) out += ' ';
                                      first = false;
                                      append_item(out, item, *newest_, *targets[i].row, record.envelope, record.body,
                                                  record.body_structure);
                                  }
                                  out += ")\r\n";
                              });
    }

    // A batch of small messages with octets.
    Result<void> render_bodies(std::span<Target const> targets, std::string& out) const {
        MALLARD_TRY_ASSIGN(std::vector<Known> const known, read_records(targets));
        return store_.bodies(mailbox_, rows(targets), [&](std::size_t i, std::optional<std::string_view> octets) {
            if (!octets || (needs_.record != 0 && !known[i].found)) return;  // gone meanwhile
            append_response(out, request_.items, *newest_, targets[i], known[i], *octets);
        });
    }

    static std::vector<store::Row const*> rows(std::span<Target const> targets) {
        std::vector<store::Row const*> out;
        out.reserve(targets.size());
        for (Target const& target : targets) out.push_back(target.row);
        return out;
    }

    Session& session_;
    store::MailStore& store_;
    MailboxId mailbox_;
    FetchRequest const& request_;
    Needs needs_;
    store::Snapshot newest_;
    std::uint64_t sent_ = 0;
};

Outcome failed(Session& session, Error const& error) {
    if (Attempt::gave_up()) return no(error);
    if (error.kind == ErrorKind::rate_limited) return no("TEMPFAIL", "Download was rate limited. " + error.message);
    log(LogLevel::error, session.log_context(), "FETCH failed", {{"error", error.message}, {"context", error.context}});
    return no(error);
}

// One message in pieces: the literal's size goes out first, so an error after that ends the connection.
Reply stream_message(Session& session, Request& request, FetchRequest const& parsed, Fetcher& fetcher, Target target) {
    auto known = fetcher.read_records({&target, 1});
    auto reader = fetcher.reader(target);
    if (!known || !reader) {
        Error const& error = known ? reader.error() : known.error();
        if (error.kind != ErrorKind::not_found) request.outcome = failed(session, error);
        co_return;
    }
    if (fetcher.needs().record != 0 && !known->front().found) co_return;

    std::string scratch;
    auto const read = [&](std::uint64_t begin, std::uint64_t end) -> Result<std::string_view> {
        scratch.clear();
        MALLARD_TRY((*reader)->read(begin, end - begin, scratch));
        if (scratch.size() != end - begin) return fail(ErrorKind::corrupt, "A message is shorter than it was");
        return std::string_view(scratch);
    };
    std::string out;
    std::optional<Error> error;
    append_response_begin(out, target.number);
    bool first = true;
    for (FetchItem const& item : parsed.items) {
        if (!first) out += ' ';
        first = false;
        append_item(out, item, fetcher.index(), *target.row, known->front().envelope, known->front().body,
                    known->front().body_structure);
        if (!item.is_content()) continue;
        auto content = resolve(item, known->front().parts, (*reader)->size(), read);
        if (!content) {
            error = content.error();
            break;
        }
        imap_proto::append_literal_header(out, content->size());
        fetcher.count_sent(content->size());
        if (content->text) {
            out += *content->text;
            continue;
        }
        for (std::uint64_t at = content->begin; at < content->end && !error;) {
            std::uint64_t const end =
                std::min(content->end, at + piece_bytes - std::min<std::uint64_t>(out.size(), piece_bytes / 2));
            auto const piece = read(at, end);
            if (!piece) {
                error = piece.error();
                break;
            }
            out += *piece;
            at = end;
            if (out.size() >= chunk_bytes) {
                co_yield std::move(out);
                out.clear();
            }
        }
        if (error) break;
    }
    if (error) {
        request.outcome = failed(session, *error);
        request.broken = true;
        co_return;
    }
    out += ")\r\n";
    co_yield std::move(out);
}

// Takes one batch, or two, from the rest.
Result<void> render_next(Fetcher& fetcher, std::span<Target const>& rest, std::string& out) {
    std::size_t const contents = fetcher.needs().contents;
    std::size_t const before = out.size();
    auto const take = [&] {
        auto const batch = rest.first(batch_size(rest, contents));
        rest = rest.subspan(batch.size());
        return batch;
    };
    auto const first = take();
    Result<void> done;
    if (rest.empty() || fetcher.is_large(rest[0]) || !fetcher.worth_two())
        done = fetcher.render(first, out);
    else
        done = fetcher.render_two(first, take(), out);
    if (contents == 0 || !done) return done;
    fetcher.count_sent(out.size() - before);
    return {};
}

// Everything after the checks: yields the responses.
Reply respond(Session& session, Request& request, FetchRequest const& parsed, store::Snapshot newest,
              std::vector<Target> targets) {
    Fetcher fetcher(session, parsed, std::move(newest));
    std::string out;
    for (std::span<Target const> rest = targets; !rest.empty();) {
        if (fetcher.needs().contents > 0 && Attempt::active() && rest[0].row->size > attempt_octets_max) {
            (void)Attempt::give_up();
            co_return;
        }
        if (fetcher.is_large(rest[0])) {
            if (!out.empty()) {
                co_yield std::move(out);
                out.clear();
            }
            Reply pieces = stream_message(session, request, parsed, fetcher, rest[0]);
            while (std::string* piece = pieces.next()) co_yield std::move(*piece);
            if (request.broken || request.outcome.status != Status::ok) co_return;
            rest = rest.subspan(1);
        } else if (auto done = render_next(fetcher, rest, out); !done) {
            request.outcome = failed(session, done.error());
            break;
        }
        if (fetcher.needs().contents > 0) {
            if (auto charged = fetcher.charge(); !charged && charged.error().kind != ErrorKind::rate_limited) {
                request.outcome = failed(session, charged.error());
                break;
            }
        }
        if (out.size() >= chunk_bytes) {
            co_yield std::move(out);
            out.clear();
        }
    }
    if (!out.empty()) co_yield std::move(out);
}

}  // namespace

Reply cmd_fetch(Session& session, Request& request) {
    auto parsed = imap_proto::parse_fetch(request.arguments(), request.command.name, {});
    if (!parsed) {
        request.outcome = bad(parsed.error().message);
        co_return;
    }
    Selected& selected = session.selected();
    if (parsed->changed_since || has(parsed->items, Kind::modseq)) session.enable_condstore();  // RFC 7162 §3.1
    bool const sets_seen = !selected.read_only && std::ranges::any_of(parsed->items, &FetchItem::sets_seen);
    bool const content = std::ranges::any_of(parsed->items, &FetchItem::is_content);
    add_implied_items(*parsed, sets_seen, request.by_uid(), session.condstore());

    store::Snapshot const view = selected.view;  // keeps it while chunks wait for the client
    store::UidSet const uids = uids_of(parsed->set, *view, request.by_uid());
    if (content) {
        auto const user = session.services().accounts.get(session.user());
        Result<void> allowed;
        if (user && *user) allowed = session.services().accounts.use_allowance(**user, "idw", 0);
        if (!allowed) {
            request.outcome = failed(session, allowed.error());
            co_return;
        }
    }
    if (sets_seen) {
        if (auto marked = mark_seen(session, uids); !marked) {
            request.outcome = failed(session, marked.error());
            co_return;
        }
    }
    auto const newest = session.services().mailboxes.snapshot(selected.id);
    if (!newest) {
        request.outcome = no(newest.error());
        co_return;
    }
    Reply responses = respond(session, request, *parsed, *newest, targets_of(*parsed, *view, **newest, uids));
    while (std::string* chunk = responses.next()) co_yield std::move(*chunk);
}

}  // namespace mallard::imap
