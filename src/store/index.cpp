#include "store/index.hpp"

#include <algorithm>
#include <numeric>

#include "base/encoding.hpp"

namespace mallard::store {

ChunkSummary summary_of(std::vector<Row> const& rows) {
    ChunkSummary summary{.rows = static_cast<std::uint32_t>(rows.size())};
    if (rows.empty()) return summary;
    summary.first = rows.front().uid;
    summary.last = rows.back().uid;
    for (Row const& row : rows) {
        summary.max_modseq = std::max(summary.max_modseq, row.modseq);
        summary.unseen += !(row.system & seen);
        summary.deleted += (row.system & deleted) != 0;
        summary.bytes += row.size;
    }
    return summary;
}

void Chunk::unpack_rows() const {
    rows_ = unpack_(packed_);
    std::string().swap(packed_);
}

std::vector<std::uint16_t> const& Chunk::by_date() const {
    std::call_once(dated_, [this] {
        by_date_.resize(rows().size());
        std::iota(by_date_.begin(), by_date_.end(), std::uint16_t{0});
        std::ranges::sort(by_date_, {}, [this](std::uint16_t n) { return date_place(rows_[n]); });
    });
    return by_date_;
}

std::uint32_t MailboxIndex::size() const { return chunks.empty() ? 0 : starts.back() + chunks.back()->size(); }

MailboxCounts MailboxIndex::counts() const {
    MailboxCounts counts{.messages = size(), .uid_next = uid_next, .highest_modseq = highest_modseq};
    for (auto const& chunk : chunks) {
        counts.unseen += chunk->summary().unseen;
        counts.deleted += chunk->summary().deleted;
        counts.bytes += chunk->summary().bytes;
    }
    return counts;
}

Row const& MailboxIndex::row(std::uint32_t n) const {
    // Chunks are nearly full as a rule, so the guess is right or close; the search settles it.
    std::size_t guess = std::min<std::size_t>(n / chunk_rows_max, chunks.size() - 1);
    if (n < starts[guess] || n - starts[guess] >= chunks[guess]->size())
        guess = static_cast<std::size_t>(std::ranges::upper_bound(starts, n) - starts.begin()) - 1;
    return chunks[guess]->rows()[n - starts[guess]];
}

std::uint32_t MailboxIndex::lower_bound(Uid uid) const {
    auto const chunk = std::ranges::partition_point(chunks, [&](auto const& chunk) { return chunk->last() < uid; });
    if (chunk == chunks.end()) return size();
    auto const& rows = (*chunk)->rows();
    auto const row = std::ranges::lower_bound(rows, uid, {}, &Row::uid);
    return starts[static_cast<std::size_t>(chunk - chunks.begin())] + static_cast<std::uint32_t>(row - rows.begin());
}

std::optional<std::uint32_t> MailboxIndex::find(Uid uid) const {
    std::uint32_t const n = lower_bound(uid);
    if (n >= size() || row(n).uid != uid) return std::nullopt;
    return n;
}

Flags MailboxIndex::flags(Row const& row) const {
    Flags flags{.system = row.system};
    if (row.keywords.none()) return flags;
    for (unsigned n = 0; n < keywords.size() && n < keywords_max; ++n)
        if (row.keywords.test(n)) flags.keywords.push_back(keywords[n]);
    return flags;
}

std::optional<unsigned> MailboxIndex::keyword(std::string_view name) const {
    for (unsigned n = 0; n < keywords.size(); ++n)
        if (iequals(keywords[n], name)) return n;
    return std::nullopt;
}

DatePlace date_place(Row const& row) { return {row.internal_date, row.id}; }

DateWalk::DateWalk(MailboxIndex const& index, Order order, std::optional<DatePlace> const& after,
                   std::function<bool(ChunkSummary const&)> const& wanted)
    : ascending_(order == Order::ascending) {
    for (auto const& chunk : index.chunks) {
        if (!wanted(chunk->summary())) continue;
        std::size_t at = 0;
        if (after) {
            auto const& places = chunk->by_date();
            auto const passed = std::ranges::partition_point(places, [&](std::uint16_t n) {
                auto const place = date_place(chunk->rows()[n]);
                return ascending_ ? place <= *after : place < *after;
            });
            auto const below = static_cast<std::size_t>(passed - places.begin());
            at = ascending_ ? below : places.size() - below;
        }
        if (at < chunk->size()) heads_.push_back({date_place(row_at(*chunk, at)), chunk.get(), at});
    }
    std::ranges::make_heap(heads_, [this](Head const& a, Head const& b) { return is_later(a, b); });
}

Row const& DateWalk::row_at(Chunk const& chunk, std::size_t at) const {
    auto const& places = chunk.by_date();
    return chunk.rows()[places[ascending_ ? at : places.size() - 1 - at]];
}

bool DateWalk::is_later(Head const& a, Head const& b) const {
    return ascending_ ? b.place < a.place : a.place < b.place;
}

Row const* DateWalk::next() {
    if (heads_.empty()) return nullptr;
    auto const later = [this](Head const& a, Head const& b) { return is_later(a, b); };
    std::ranges::pop_heap(heads_, later);
    Head& head = heads_.back();
    Row const& row = row_at(*head.chunk, head.at);
    if (++head.at < head.chunk->size()) {
        head.place = date_place(row_at(*head.chunk, head.at));
        std::ranges::push_heap(heads_, later);
    } else {
        heads_.pop_back();
    }
    return &row;
}

namespace {

// Walks the rows of an index and can jump over a whole chunk.
class Walk {
public:
    explicit Walk(MailboxIndex const& index) : index_(index) {}
    bool done() const { return chunk_ == index_.chunks.size(); }
    Row const& row() const { return index_.chunks[chunk_]->rows()[at_]; }
    std::uint32_t number() const { return index_.starts[chunk_] + static_cast<std::uint32_t>(at_); }
    bool at_chunk_start() const { return at_ == 0; }
    Chunk const* chunk() const { return index_.chunks[chunk_].get(); }
    void next() {
        if (++at_ == index_.chunks[chunk_]->size()) skip_chunk();
    }
    void skip_chunk() {
        ++chunk_;
        at_ = 0;
    }

private:
    MailboxIndex const& index_;
    std::size_t chunk_ = 0;
    std::size_t at_ = 0;
};

}  // namespace

IndexChanges changes_between(MailboxIndex const& before, MailboxIndex const& after) {
    IndexChanges changes;
    Uid const last_before = before.chunks.empty() ? 0 : before.chunks.back()->last();
    Walk old(before);
    Walk now(after);
    while (!old.done() && !now.done()) {
        if (old.at_chunk_start() && now.at_chunk_start() && old.chunk() == now.chunk()) {
            old.skip_chunk();
            now.skip_chunk();
            continue;
        }
        if (old.row().uid < now.row().uid) {
            changes.vanished.add(old.row().uid);
            old.next();
        } else if (old.row().uid > now.row().uid) {
            // Not in `before`, and below its end: an index only grows at its end, so `after` is older than it.
            now.next();
        } else {
            if (old.row().modseq != now.row().modseq) changes.changed.push_back(now.number());
            old.next();
            now.next();
        }
    }
    for (; !old.done(); old.next()) changes.vanished.add(old.row().uid);
    changes.appended = after.size() - (last_before == ~Uid{0} ? after.size() : after.lower_bound(last_before + 1));
    return changes;
}

}  // namespace mallard::store
