// The checkpoint of a mailbox: the chunks that changed since the last one, packed, and the journal dropped up to there.

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/mailbox_open.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

// More expunge records than this melt into one, with the modseq of the newest: it then names more than was asked for,
// which clients know to take (RFC 7162 §3.2.10.1).
constexpr std::size_t vanished_records_max = 256;
constexpr std::size_t vanished_ranges_max = 16'384;

// All UIDs below uid_next that are not there: never fewer than have vanished.
UidSet absent(MailboxIndex const& index) {
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
    auto const written = write_checkpoint(*index, from, saved);
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

Result<void> OpenMailbox::write_checkpoint(MailboxIndex const& index, ModSeq journal_from,
                                           std::map<Uid, std::weak_ptr<Chunk const>> const& saved) {
    kv::WriteBatch batch;
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
    MALLARD_TRY(journal->status());
    MALLARD_TRY(compact_vanished(index, batch));
    return engine_.commit(batch, kv::Durability::async);  // a later sync carries it; until then the journal stands
}

Result<void> OpenMailbox::compact_vanished(MailboxIndex const& index, kv::WriteBatch& batch) {
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
        melted = absent(index);
    } else {
        std::ranges::sort(ranges, {}, &RangeSet::Range::first);
        for (auto const& range : ranges) melted.add(range.first, range.last);
    }
    for (auto const& key : keys) batch.erase(table_vanished, key);
    batch.put(table_vanished, keys.back(), encode_uids(melted));
    return {};
}

}  // namespace mallard::store::embedded
