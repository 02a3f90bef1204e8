// Search in three steps, a block of rows at a time: what the index alone decides; what record headers decide; what only
// the bytes decide. A key is true, false or not yet known; NOT, OR and AND are those of three-valued logic.
#include "mailboxes/search.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/encoding.hpp"
#include "mailboxes/mailboxes.hpp"
#include "mailboxes/search_text.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

namespace mallard::mailboxes {

namespace {

using Kind = SearchKey::Kind;
using Truth = std::optional<bool>;  // none: not known yet

constexpr std::uint32_t block_rows = 256;

// What a key costs to decide; an AND or OR asks its cheapest child first.
enum class Cost { index, record, bytes };

// A search key, prepared once for all rows.
struct Node {
    SearchKey const* key = nullptr;
    std::string needle;               // case-folded
    std::optional<unsigned> keyword;  // its number in this mailbox
    bool indexed = false;             // a header that records carry
    Cost cost = Cost::index;
    std::vector<Node> children;
};

// What is known of one message; grows from step to step.
struct Candidate {
    std::uint32_t number = 0;  // row
    store::Row const* row = nullptr;
    bool has_record = false;
    TimeMs header_date = 0;
    std::vector<IndexedHeader> headers;
    bool headers_whole = true;  // false: some values were cut
    std::string parts;
    MessageText* text = nullptr;  // the bytes, in the last step only
};

bool is_indexed(std::string_view field) {
    for (std::string_view name : {"to", "cc", "bcc", "subject", "from", "sender", "reply-to", "message-id",
                                  "thread-index", "list-id", "delivered-to"})
        if (field == name) return true;
    return false;
}

Cost cost_of(Node const& node) {
    switch (node.key->kind) {
        case Kind::sent_before:
        case Kind::sent_on:
        case Kind::sent_since: return Cost::record;
        case Kind::header: return node.indexed ? Cost::record : Cost::bytes;
        case Kind::body:
        case Kind::text: return Cost::bytes;
        case Kind::and_:
        case Kind::or_:
        case Kind::not_: {
            Cost most = Cost::index;
            for (auto const& child : node.children) most = std::max(most, child.cost);
            return most;
        }
        case Kind::all:
        case Kind::none:
        case Kind::rows:
        case Kind::uids:
        case Kind::flag:
        case Kind::keyword:
        case Kind::before:
        case Kind::on:
        case Kind::since:
        case Kind::younger:
        case Kind::older:
        case Kind::larger:
        case Kind::smaller:
        case Kind::modseq: return Cost::index;
    }
    return Cost::bytes;
}

Node prepare(SearchKey const& key, store::MailboxIndex const& mailbox) {
    Node node{.key = &key};
    if (key.kind == Kind::header || key.kind == Kind::body || key.kind == Kind::text)
        node.needle = mime::fold_case(key.text);
    if (key.kind == Kind::keyword) node.keyword = mailbox.keyword(key.text);
    if (key.kind == Kind::header) node.indexed = is_indexed(key.field);
    for (auto const& child : key.children) node.children.push_back(prepare(child, mailbox));
    node.cost = cost_of(node);
    std::ranges::sort(node.children, {}, &Node::cost);
    return node;
}

// Whether the bytes may be asked for: of indexed headers too, where the record carries only their beginning.
bool may_need_bytes(Node const& node) {
    Kind const kind = node.key->kind;
    return kind == Kind::header || kind == Kind::body || kind == Kind::text ||
           std::ranges::any_of(node.children, may_need_bytes);
}

// Rows outside of these cannot match: what a set at the top, or in an AND at the top, leaves. None: all may match.
// UID SEARCH UID 7 then looks at one row, however large the mailbox.
std::optional<RangeSet> rows_that_may_match(SearchKey const& key, store::MailboxIndex const& mailbox) {
    if (key.kind == Kind::and_) {
        std::optional<RangeSet> fewest;
        for (auto const& child : key.children) {
            auto rows = rows_that_may_match(child, mailbox);
            if (rows && (!fewest || rows->count() < fewest->count())) fewest = std::move(rows);
        }
        return fewest;
    }
    if (key.kind != Kind::rows && key.kind != Kind::uids) return std::nullopt;
    RangeSet rows;
    for (auto const& range : key.set.ranges()) {
        bool const by_uid = key.kind == Kind::uids;
        std::uint64_t const first = by_uid ? mailbox.lower_bound(range.first) : range.first - 1;
        std::uint64_t end = mailbox.size();
        if (by_uid && range.last != std::numeric_limits<store::Uid>::max())
            end = mailbox.lower_bound(range.last + 1);
        else if (!by_uid)
            end = std::min<std::uint64_t>(end, range.last);
        if (first < end) rows.add(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - 1));
    }
    return rows;
}

bool match_day(Kind before, Kind on, SearchKey const& key, TimeMs when) {
    if (key.kind == before) return when < key.from;
    if (key.kind == on) return when >= key.from && when < key.to;
    return when >= key.from;
}

Truth match_header(Node const& node, Candidate const& candidate) {
    if (!candidate.has_record) return std::nullopt;
    if (node.indexed) {
        for (auto const& header : candidate.headers)
            if (header.key == node.key->field && header.value.find(node.needle) != std::string::npos) return true;
        if (candidate.headers_whole) return false;
    }
    if (!candidate.text) return std::nullopt;
    return candidate.text->header_contains(node.key->field, node.needle);
}

Truth match_text(Node const& node, Candidate const& candidate) {
    if (node.needle.empty()) return true;
    if (node.key->kind == Kind::text)
        for (auto const& header : candidate.headers)
            if (header.value.find(node.needle) != std::string::npos) return true;
    if (!candidate.text) return std::nullopt;
    if (node.key->kind == Kind::text && candidate.text->any_header_contains(node.needle)) return true;
    return candidate.text->body_contains(node.needle);
}

class Evaluator {
public:
    Evaluator(TimeMs now) : now_(now) {}

    Truth evaluate(Node const& node, Candidate const& candidate) const {
        SearchKey const& key = *node.key;
        store::Row const& row = *candidate.row;
        switch (key.kind) {
            case Kind::all: return true;
            case Kind::none: return false;
            case Kind::rows: return key.set.contains(candidate.number + 1);
            case Kind::uids: return key.set.contains(row.uid);
            case Kind::flag: return (row.system & key.bits) == key.bits;
            case Kind::keyword: return node.keyword && row.keywords.test(*node.keyword);
            case Kind::before:
            case Kind::on:
            case Kind::since: return match_day(Kind::before, Kind::on, key, row.internal_date);
            case Kind::sent_before:
            case Kind::sent_on:
            case Kind::sent_since:
                if (!candidate.has_record) return std::nullopt;
                // Deviation: RFC 9051 §6.4.4 disregards the zone of the Date: field; these are whole UTC days, as
                // WildDuck's (protocols.md §1.15).
                return match_day(Kind::sent_before, Kind::sent_on, key, candidate.header_date);
            case Kind::younger: return row.internal_date >= now_ - seconds(key);  // RFC 5032 §3
            case Kind::older: return row.internal_date <= now_ - seconds(key);
            case Kind::larger: return row.size > key.number;
            case Kind::smaller: return row.size < key.number;
            case Kind::modseq: return row.modseq >= key.number;  // RFC 7162 §3.1.5
            case Kind::header: return match_header(node, candidate);
            case Kind::body:
            case Kind::text: return match_text(node, candidate);
            case Kind::and_: return combine(node, candidate, false);
            case Kind::or_: return combine(node, candidate, true);
            case Kind::not_: {
                Truth inner = combine(node, candidate, false);
                return inner ? Truth(!*inner) : std::nullopt;
            }
        }
        return false;
    }

private:
    static TimeMs seconds(SearchKey const& key) {
        return static_cast<TimeMs>(std::min<std::uint64_t>(key.number, std::numeric_limits<std::uint32_t>::max())) *
               1000;
    }

    // AND ends at the first false, OR at the first true.
    Truth combine(Node const& node, Candidate const& candidate, bool decisive) const {
        bool unknown = false;
        for (auto const& child : node.children) {
            Truth const truth = evaluate(child, candidate);
            if (truth == decisive) return decisive;
            unknown |= !truth;
        }
        return unknown ? Truth() : Truth(!decisive);
    }

    TimeMs now_;
};

class Search {
public:
    Search(store::MailStore& store, store::MailboxIndex const& mailbox, SearchKey const& key, TimeMs now,
           std::function<bool()> const& cancelled)
        : store_(store), mailbox_(mailbox), root_(prepare(key, mailbox)), evaluator_(now), cancelled_(cancelled) {}

    Result<SearchResult> run() {
        if (mailbox_.size() == 0) return std::move(result_);
        auto const rows = rows_that_may_match(*root_.key, mailbox_).value_or(RangeSet{{0, mailbox_.size() - 1}});
        for (auto const& range : rows.ranges()) {
            for (std::uint32_t first = range.first; first <= range.last; first += block_rows) {
                MALLARD_TRY(ask_cancelled());
                MALLARD_TRY(run_block(first, std::min(first + block_rows, range.last + 1)));
            }
        }
        return std::move(result_);
    }

private:
    Result<void> ask_cancelled() const {
        if (cancelled_ && cancelled_()) return fail(ErrorKind::closed, "The search was cancelled");
        return {};
    }

    // Keeps the candidate for the next step when it is not decided.
    void decide(Candidate&& candidate, std::vector<Candidate>& undecided) {
        Truth const truth = evaluator_.evaluate(root_, candidate);
        if (!truth) {
            undecided.push_back(std::move(candidate));
        } else if (*truth) {
            matched_.push_back(candidate.number);
            result_.highest_modseq = std::max(result_.highest_modseq, candidate.row->modseq);
        }
    }

    Result<void> run_block(std::uint32_t first, std::uint32_t last) {
        matched_.clear();
        std::vector<Candidate> undecided;
        for (std::uint32_t n = first; n < last; ++n) decide({.number = n, .row = &mailbox_.row(n)}, undecided);
        if (!undecided.empty()) MALLARD_TRY(read_records(undecided));
        if (!undecided.empty()) MALLARD_TRY(read_bytes(undecided));
        std::ranges::sort(matched_);
        result_.rows.insert(result_.rows.end(), matched_.begin(), matched_.end());
        return {};
    }

    // Leaves in `candidates` what the records did not decide. A message that is gone matches nothing.
    Result<void> read_records(std::vector<Candidate>& candidates) {
        std::vector<Candidate> undecided;
        unsigned const fields = store::want_headers | (may_need_bytes(root_) ? store::want_parts : 0U);
        auto const rows = rows_of(candidates);
        MALLARD_TRY(store_.records(mailbox_.info.id, rows, fields, [&](std::size_t i, auto const& record) {
            Candidate& candidate = candidates[i];
            candidate.has_record = true;
            candidate.header_date = record.header_date;
            candidate.headers = decode_headers(record.headers);
            candidate.headers_whole = std::ranges::none_of(candidate.headers, &std::string::empty, &IndexedHeader::key);
            candidate.parts = record.parts;
            decide(std::move(candidate), undecided);
        }));
        candidates = std::move(undecided);
        return {};
    }

    Result<void> read_bytes(std::vector<Candidate>& candidates) {
        std::vector<std::size_t> large;
        std::vector<Candidate> none;
        Result<void> outcome;
        auto const rows = rows_of(candidates);
        MALLARD_TRY(store_.bodies(mailbox_.info.id, rows, [&](std::size_t i, std::optional<std::string_view> bytes) {
            if (!outcome) return;
            if (!bytes) {
                large.push_back(i);
                return;
            }
            if (outcome = ask_cancelled(); !outcome) return;
            WholeReader reader(*bytes);
            outcome = read_one(candidates[i], reader, none);
        }));
        MALLARD_TRY(std::move(outcome));
        for (std::size_t i : large) {
            auto reader = store_.body(mailbox_.info.id, *candidates[i].row);
            if (!reader && reader.error().kind == ErrorKind::not_found) continue;  // expunged meanwhile
            if (!reader) return std::unexpected(std::move(reader).error());
            MALLARD_TRY(read_one(candidates[i], **reader, none));
        }
        return {};
    }

    Result<void> read_one(Candidate& candidate, store::BodyReader& reader, std::vector<Candidate>& none) {
        MessageText text(reader, mime::decode_parts(candidate.parts), cancelled_);
        candidate.text = &text;
        decide(std::move(candidate), none);
        return text.outcome();
    }

    static std::vector<store::Row const*> rows_of(std::vector<Candidate> const& candidates) {
        std::vector<store::Row const*> rows;
        rows.reserve(candidates.size());
        for (auto const& candidate : candidates) rows.push_back(candidate.row);
        return rows;
    }

    store::MailStore& store_;
    store::MailboxIndex const& mailbox_;
    Node root_;
    Evaluator evaluator_;
    std::function<bool()> const& cancelled_;
    std::vector<std::uint32_t> matched_;  // of the block
    SearchResult result_;
};

}  // namespace

Result<SearchResult> search(store::MailStore& store, store::MailboxIndex const& mailbox, SearchKey const& key,
                            TimeMs now, std::function<bool()> const& cancelled) {
    return Search(store, mailbox, key, now, cancelled).run();
}

}  // namespace mallard::mailboxes
