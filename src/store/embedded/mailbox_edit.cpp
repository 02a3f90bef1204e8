#include "store/embedded/mailbox_edit.hpp"

#include <algorithm>

namespace mallard::store::embedded {

namespace {

// A new message lands in a short chunk of its own, which melts into its neighbour when full: an append then copies a
// few rows, not half a thousand.
constexpr std::size_t tail_rows = 32;

void count(Chunk& chunk) {
    chunk.max_modseq = 0;
    chunk.unseen = chunk.deleted = 0;
    chunk.bytes = 0;
    for (Row const& row : chunk.rows) {
        chunk.max_modseq = std::max(chunk.max_modseq, row.modseq);
        chunk.unseen += !(row.system & seen);
        chunk.deleted += (row.system & deleted) != 0;
        chunk.bytes += row.size;
    }
}

}  // namespace

bool change_row_flags(Row& row, FlagMode mode, std::uint8_t system, KeywordBits keywords) {
    std::uint8_t const system_before = row.system;
    KeywordBits const keywords_before = row.keywords;
    switch (mode) {
        case FlagMode::set:
            row.system = system;
            row.keywords = keywords;
            break;
        case FlagMode::add:
            row.system |= system;
            row.keywords.low |= keywords.low;
            row.keywords.high |= keywords.high;
            break;
        case FlagMode::remove:
            row.system &= static_cast<std::uint8_t>(~system);
            row.keywords.low &= ~keywords.low;
            row.keywords.high &= ~keywords.high;
            break;
    }
    return row.system != system_before || !(row.keywords == keywords_before);
}

IndexEdit::IndexEdit(MailboxIndex const& base)
    : next_(std::make_shared<MailboxIndex>(base)), owned_(base.chunks.size(), nullptr) {}

Chunk& IndexEdit::own(std::size_t n) {
    if (!owned_[n]) {
        auto copy = std::make_shared<Chunk>();
        copy->rows.reserve(next_->chunks[n]->rows.size() + 1);
        copy->rows = next_->chunks[n]->rows;
        owned_[n] = copy.get();
        next_->chunks[n] = std::move(copy);
    }
    return *owned_[n];
}

Chunk& IndexEdit::push_chunk(std::size_t reserve) {
    auto chunk = std::make_shared<Chunk>();
    chunk->rows.reserve(std::min(reserve, chunk_rows_max));
    owned_.push_back(chunk.get());
    next_->chunks.push_back(std::move(chunk));
    return *owned_.back();
}

void IndexEdit::adopt(std::vector<Row> rows) {
    if (rows.empty()) return;
    push_chunk(0).rows = std::move(rows);
}

void IndexEdit::append(std::span<Row const> rows) {
    auto& chunks = next_->chunks;
    touched_ += rows.size();
    if (!rows.empty()) next_->uid_next = std::max(next_->uid_next, rows.back().uid + 1);
    while (!rows.empty()) {
        // A few rows go to the short tail; many fill whole chunks; a chunk that is ours already is filled in any case.
        std::size_t const limit =
            rows.size() > tail_rows || (!chunks.empty() && owned_.back()) ? chunk_rows_max : tail_rows;
        bool const fits = !chunks.empty() && chunks.back()->rows.size() < limit;
        Chunk& chunk = fits ? own(chunks.size() - 1) : push_chunk(rows.size());
        std::size_t const n = std::min(rows.size(), limit - chunk.rows.size());
        chunk.rows.insert(chunk.rows.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(n));
        rows = rows.subspan(n);
    }
}

void IndexEdit::merge_tail() {
    auto& chunks = next_->chunks;
    if (chunks.size() < 2 || !owned_.back() || chunks.back()->rows.size() < tail_rows) return;
    std::size_t const last = chunks.size() - 1;
    if (chunks[last - 1]->rows.size() + chunks[last]->rows.size() > chunk_rows_max) return;
    Chunk& into = own(last - 1);
    into.rows.insert(into.rows.end(), chunks[last]->rows.begin(), chunks[last]->rows.end());
    chunks.pop_back();
    owned_.pop_back();
}

void IndexEdit::change_flags(Change const& change, ModSeq modseq) {
    auto range = change.uids.ranges().begin();
    auto const end = change.uids.ranges().end();
    for (std::size_t n = 0; n < next_->chunks.size() && range != end; ++n) {
        Chunk const& chunk = *next_->chunks[n];
        while (range != end && range->last < chunk.rows.front().uid) ++range;
        if (range == end) break;
        if (range->first > chunk.rows.back().uid) continue;
        for (Row& row : own(n).rows) {
            while (range != end && range->last < row.uid) ++range;
            if (range == end) break;
            if (row.uid < range->first) continue;
            change_row_flags(row, change.mode, change.system, change.keywords);
            row.modseq = modseq;
            ++touched_;
        }
    }
}

void IndexEdit::expunge(UidSet const& uids) {
    auto& chunks = next_->chunks;
    bool emptied = false;
    for (std::size_t n = 0; n < chunks.size(); ++n) {
        Uid const first = chunks[n]->rows.front().uid, last = chunks[n]->rows.back().uid;
        auto const& ranges = uids.ranges();
        auto const hit = std::lower_bound(ranges.begin(), ranges.end(), first,
                                          [](RangeSet::Range const& r, Uid uid) { return r.last < uid; });
        if (hit == ranges.end()) break;
        if (hit->first > last) continue;
        if (hit->first <= first && hit->last >= last) {  // all of it: no need to copy
            touched_ += chunks[n]->rows.size();
            chunks[n] = nullptr;
            owned_[n] = nullptr;
            emptied = true;
            continue;
        }
        auto& rows = own(n).rows;
        touched_ += std::erase_if(rows, [&](Row const& row) { return uids.contains(row.uid); });
        if (rows.empty()) {
            chunks[n] = nullptr;
            owned_[n] = nullptr;
            emptied = true;
        }
    }
    if (!emptied) return;
    std::size_t kept = 0;
    for (std::size_t n = 0; n < chunks.size(); ++n) {
        if (!chunks[n]) continue;
        if (kept != n) {
            chunks[kept] = std::move(chunks[n]);
            owned_[kept] = owned_[n];
        }
        ++kept;
    }
    chunks.resize(kept);
    owned_.resize(kept);
}

void IndexEdit::repack_when_sparse() {
    auto& chunks = next_->chunks;
    std::size_t rows = 0;
    for (auto const& chunk : chunks) rows += chunk->rows.size();
    if (chunks.size() < 16 || rows / chunks.size() >= chunk_rows_max / 4) return;
    auto const sparse = std::move(chunks);
    chunks.clear();
    owned_.clear();
    for (auto const& chunk : sparse) {
        for (Row const& row : chunk->rows) {
            if (chunks.empty() || owned_.back()->rows.size() == chunk_rows_max) push_chunk(chunk_rows_max);
            owned_.back()->rows.push_back(row);
        }
    }
}

void IndexEdit::apply(Change const& change, ModSeq modseq) {
    for (auto const& [number, name] : change.names) {
        if (next_->keywords.size() <= number) next_->keywords.resize(number + 1);
        next_->keywords[number] = name;
    }
    switch (change.kind) {
        case Change::Kind::rows: append(change.rows); break;
        case Change::Kind::flags: change_flags(change, modseq); break;
        case Change::Kind::expunge: expunge(change.uids); break;
    }
    next_->highest_modseq = std::max(next_->highest_modseq, modseq);
}

Snapshot IndexEdit::finish() {
    merge_tail();
    repack_when_sparse();
    next_->starts.resize(next_->chunks.size());
    std::uint32_t start = 0;
    for (std::size_t n = 0; n < next_->chunks.size(); ++n) {
        if (owned_[n]) count(*owned_[n]);
        next_->starts[n] = start;
        start += static_cast<std::uint32_t>(next_->chunks[n]->rows.size());
    }
    owned_.clear();
    return std::move(next_);
}

}  // namespace mallard::store::embedded
