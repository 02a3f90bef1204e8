#include "store/embedded/mailbox_edit.hpp"

#include <algorithm>

namespace mallard::store::embedded {

namespace {

// A new message lands in a short chunk of its own, which melts into its neighbour when full: an append then copies a
// few rows, not half a thousand.
constexpr std::size_t tail_rows = 32;

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

UidSet absent_uids(MailboxIndex const& index) {
    UidSet uids;
    Uid next = 1;
    for (auto const& chunk : index.chunks) {
        if (chunk->last() - chunk->first() + 1 == chunk->size()) {  // none is absent between its ends
            if (chunk->first() > next) uids.add(next, chunk->first() - 1);
            next = chunk->last() + 1;
            continue;
        }
        for (Row const& row : chunk->rows()) {
            if (row.uid > next) uids.add(next, row.uid - 1);
            next = row.uid + 1;
        }
    }
    if (next < index.uid_next) uids.add(next, index.uid_next - 1);
    return uids;
}

IndexEdit::IndexEdit(MailboxIndex const& base)
    : next_(std::make_shared<MailboxIndex>(base)), owned_(base.chunks.size()) {}

IndexEdit::Rows const& IndexEdit::rows(std::size_t n) const {
    return owned_[n] ? *owned_[n] : next_->chunks[n]->rows();
}

std::size_t IndexEdit::size(std::size_t n) const { return owned_[n] ? owned_[n]->size() : next_->chunks[n]->size(); }

Uid IndexEdit::first(std::size_t n) const { return owned_[n] ? owned_[n]->front().uid : next_->chunks[n]->first(); }

Uid IndexEdit::last(std::size_t n) const { return owned_[n] ? owned_[n]->back().uid : next_->chunks[n]->last(); }

IndexEdit::Rows& IndexEdit::own(std::size_t n) {
    if (!owned_[n]) {
        owned_[n] = std::make_unique<Rows>();
        owned_[n]->reserve(next_->chunks[n]->size() + 1);
        *owned_[n] = next_->chunks[n]->rows();
        next_->chunks[n] = nullptr;
    }
    return *owned_[n];
}

IndexEdit::Rows& IndexEdit::push_chunk(std::size_t reserve) {
    owned_.push_back(std::make_unique<Rows>());
    owned_.back()->reserve(std::min(reserve, chunk_rows_max));
    next_->chunks.emplace_back();
    return *owned_.back();
}

void IndexEdit::adopt(std::shared_ptr<Chunk const> chunk) {
    next_->chunks.push_back(std::move(chunk));
    owned_.emplace_back();
}

void IndexEdit::append(std::span<Row const> rows) {
    auto& chunks = next_->chunks;
    touched_ += rows.size();
    if (!rows.empty()) next_->uid_next = std::max(next_->uid_next, rows.back().uid + 1);
    while (!rows.empty()) {
        // A few rows go to the short tail; many fill whole chunks; a chunk that is ours already is filled in any case.
        std::size_t const limit =
            rows.size() > tail_rows || (!chunks.empty() && owned_.back()) ? chunk_rows_max : tail_rows;
        bool const fits = !chunks.empty() && size(chunks.size() - 1) < limit;
        Rows& chunk = fits ? own(chunks.size() - 1) : push_chunk(rows.size());
        std::size_t const n = std::min(rows.size(), limit - chunk.size());
        chunk.insert(chunk.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(n));
        rows = rows.subspan(n);
    }
}

void IndexEdit::put(Row const& row) {
    std::size_t const count = next_->chunks.size();
    if (count == 0 || row.uid > last(count - 1)) return append({&row, 1});
    std::size_t low = 0, high = count;  // the last chunk that begins at or below it, else the first
    while (high - low > 1) {
        std::size_t const middle = (low + high) / 2;
        (first(middle) <= row.uid ? low : high) = middle;
    }
    Rows& rows = own(low);
    ++touched_;
    auto const at = std::ranges::lower_bound(rows, row.uid, {}, &Row::uid);
    if (at != rows.end() && at->uid == row.uid) {
        *at = row;
        return;
    }
    rows.insert(at, row);
    if (rows.size() <= chunk_rows_max) return;
    auto const middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);  // too many: in two
    auto upper = std::make_unique<Rows>(middle, rows.end());
    rows.erase(middle, rows.end());
    auto const place = static_cast<std::ptrdiff_t>(low) + 1;
    owned_.insert(owned_.begin() + place, std::move(upper));
    next_->chunks.emplace(next_->chunks.begin() + place);
}

void IndexEdit::merge_tail() {
    auto& chunks = next_->chunks;
    if (chunks.size() < 2 || !owned_.back() || owned_.back()->size() < tail_rows) return;
    std::size_t const last = chunks.size() - 1;
    if (size(last - 1) + size(last) > chunk_rows_max) return;
    Rows& into = own(last - 1);
    into.insert(into.end(), owned_[last]->begin(), owned_[last]->end());
    chunks.pop_back();
    owned_.pop_back();
}

void IndexEdit::change_flags(Change const& change, ModSeq modseq) {
    auto range = change.uids.ranges().begin();
    auto const end = change.uids.ranges().end();
    for (std::size_t n = 0; n < next_->chunks.size() && range != end; ++n) {
        while (range != end && range->last < first(n)) ++range;
        if (range == end) break;
        if (range->first > last(n)) continue;
        for (Row& row : own(n)) {
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
        Uid const low = first(n), high = last(n);
        auto const& ranges = uids.ranges();
        auto const hit = std::lower_bound(ranges.begin(), ranges.end(), low,
                                          [](RangeSet::Range const& r, Uid uid) { return r.last < uid; });
        if (hit == ranges.end()) break;
        if (hit->first > high) continue;
        if (hit->first <= low && hit->last >= high) {  // all of it: no need to copy
            touched_ += size(n);
            chunks[n] = nullptr;
            owned_[n] = nullptr;
            emptied = true;
            continue;
        }
        Rows& rows = own(n);
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
        if (!chunks[n] && !owned_[n]) continue;
        if (kept != n) {
            chunks[kept] = std::move(chunks[n]);
            owned_[kept] = std::move(owned_[n]);
        }
        ++kept;
    }
    chunks.resize(kept);
    owned_.resize(kept);
}

void IndexEdit::repack_when_sparse() {
    auto& chunks = next_->chunks;
    std::size_t total = 0;
    for (std::size_t n = 0; n < chunks.size(); ++n) total += size(n);
    if (chunks.size() < 16 || total / chunks.size() >= chunk_rows_max / 4) return;
    std::vector<std::unique_ptr<Rows>> packed;
    for (std::size_t n = 0; n < chunks.size(); ++n) {
        for (Row const& row : rows(n)) {
            if (packed.empty() || packed.back()->size() == chunk_rows_max) {
                packed.push_back(std::make_unique<Rows>());
                packed.back()->reserve(chunk_rows_max);
            }
            packed.back()->push_back(row);
        }
    }
    owned_ = std::move(packed);
    chunks.assign(owned_.size(), nullptr);
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
        if (owned_[n]) next_->chunks[n] = std::make_shared<Chunk>(std::move(*owned_[n]));
        next_->starts[n] = start;
        start += next_->chunks[n]->size();
    }
    owned_.clear();
    return std::move(next_);
}

}  // namespace mallard::store::embedded
