#include "store/index.hpp"

#include <algorithm>

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
