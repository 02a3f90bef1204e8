// The checkpoint of a mailbox: the chunks that changed since the last one, packed, and the journal dropped up to there.

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/mailbox_open.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

// More expunge records than this melt into one, with the modseq of the newest: it then names more than was asked for,
// which clients know to take (RFC 7162 §3.2.10.1).
constexpr std::size_t vanished_records_max = 256;
constexpr std::size_t vanished_ranges_max = 16'384;

}  // namespace

Result<void> OpenMailbox::checkpoint() {
    Snapshot index;
    std::map<Uid, std::weak_ptr<Chunk const>> saved;
    ModSeq from = 0;
    std::uint64_t records = 0, bytes = 0, touched = 0;
    {
        std::lock_guard const lock(mutex_);
        if (!loaded_ || gone_ || closing_ || poisoned_ || checkpointing_) return {};
        index = published_;
        if (index->highest_modseq == checkpoint_modseq_) return {};
        checkpointing_ = true;
        saved.swap(saved_);
        from = checkpoint_modseq_;
        records = journal_records_;
        bytes = journal_bytes_;
        touched = journal_touched_;
    }
    auto const written = [&]() -> Result<void> {
        kv::WriteBatch batch;
        MALLARD_TRY(put_checkpoint(*index, from, saved, batch));
        MALLARD_TRY(compact_vanished(*index, batch));
        return engine_.commit(batch, kv::Durability::async);  // a later sync carries it; until then the journal stands
    }();
    std::lock_guard const lock(mutex_);
    checkpointing_ = false;
    settled_.notify_all();
    if (!written) {
        saved_.swap(saved);
        return written;
    }
    for (auto const& chunk : index->chunks) saved_[chunk->first()] = chunk;
    checkpoint_modseq_ = index->highest_modseq;
    journal_records_ -= records;  // what was on its way is counted a little early
    journal_bytes_ -= bytes;
    journal_touched_ -= touched;
    note_journal();
    return {};
}

Result<void> OpenMailbox::put_checkpoint(MailboxIndex const& index, ModSeq journal_from, Saved const& saved,
                                         kv::WriteBatch& batch) const {
    auto stale = saved.begin();
    for (auto const& chunk : index.chunks) {
        Uid const first = chunk->first();
        for (; stale != saved.end() && stale->first < first; ++stale)
            batch.erase(table_index, key_of(id_, stale->first));
        bool const same = stale != saved.end() && stale->first == first && stale->second.lock() == chunk;
        if (stale != saved.end() && stale->first == first) ++stale;
        if (!same) batch.put(table_index, key_of(id_, first), encode_rows(chunk->rows()));
    }
    for (; stale != saved.end(); ++stale) batch.erase(table_index, key_of(id_, stale->first));
    batch.put(table_index, key_of(id_, std::uint32_t{0}),
              encode_head({.modseq = index.highest_modseq, .uid_next = index.uid_next, .keywords = index.keywords}));
    // Erased one by one: range deletions in the journal would slow every later read of it.
    auto const journal =
        engine_.scan(table_journal, {key_of(id_, journal_from + 1), key_of(id_, index.highest_modseq + 1)});
    for (; journal->valid(); journal->next()) batch.erase(table_journal, journal->key());
    return journal->status();
}

Result<void> OpenMailbox::replace(MakeNext const& change) {
    std::unique_lock lock(mutex_);
    settled_.wait(lock, [&] { return on_their_way_.empty() && !checkpointing_ && !closing_; });
    if (gone_) return fail(ErrorKind::not_found, "This mailbox does not exist");
    if (poisoned_) return fail(ErrorKind::unavailable, "The mailbox could not be written, try again");
    MALLARD_TRY(load());
    kv::WriteBatch batch;
    MALLARD_TRY_ASSIGN(auto const next, change(published_, batch));
    if (next == published_) return {};
    MALLARD_TRY(put_checkpoint(*next, checkpoint_modseq_, saved_, batch));
    if (auto const committed = engine_.commit(batch, kv::Durability::sync); !committed) {
        poisoned_ = true;
        return committed;
    }
    rows_open_ += std::int64_t{next->size()} - std::int64_t{published_->size()};
    head_ = published_ = next;
    saved_.clear();
    for (auto const& chunk : next->chunks) saved_[chunk->first()] = chunk;
    checkpoint_modseq_ = next->highest_modseq;
    journal_records_ = journal_bytes_ = journal_touched_ = 0;
    note_journal();
    return {};
}

Result<void> OpenMailbox::compact_vanished(MailboxIndex const& index, kv::WriteBatch& batch) const {
    auto const cursor =
        engine_.scan(table_vanished, {key_of(id_, std::uint64_t{0}), key_of(id_, index.highest_modseq + 1)});
    std::vector<std::string> keys;
    std::vector<RangeSet::Range> ranges;
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY_ASSIGN(auto const uids, decode_uids(cursor->value()));
        ranges.insert(ranges.end(), uids.ranges().begin(), uids.ranges().end());
        keys.emplace_back(cursor->key());
    }
    MALLARD_TRY(cursor->status());
    bool const crowded = keys.size() > vanished_records_max;
    if (!crowded && (ranges.size() <= vanished_ranges_max || keys.size() == 1)) return {};

    UidSet melted;
    if (ranges.size() > vanished_ranges_max) {
        melted = absent_uids(index);
    } else {
        std::ranges::sort(ranges, {}, &RangeSet::Range::first);
        for (auto const& range : ranges) melted.add(range.first, range.last);
    }
    for (auto const& key : keys) batch.erase(table_vanished, key);
    batch.put(table_vanished, keys.back(), encode_uids(melted));
    return {};
}

}  // namespace mallard::store::embedded
