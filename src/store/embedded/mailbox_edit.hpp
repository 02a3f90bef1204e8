#pragma once
// IndexEdit: makes the next moment of a mailbox from one before it, sharing every chunk it does not touch. The same
// code runs for a live change and for the journal's replay. Not thread-safe; the base is never changed.

#include <memory>
#include <string>
#include <vector>

#include "store/embedded/index_codec.hpp"
#include "store/index.hpp"

namespace mallard::store::embedded {

class IndexEdit {
public:
    explicit IndexEdit(MailboxIndex const& base);

    MailboxIndex& index() { return *next_; }  // info, keywords, uid_next, highest_modseq: set them freely
    void apply(Change const& change, ModSeq modseq);
    void append(std::span<Row const> rows);             // ascending, above all that are there
    void put(Row const& row);                           // in the place of that UID, or between its neighbours
    void adopt(std::shared_ptr<Chunk const> chunk);     // a checkpoint's, as it is; above all that are there
    std::uint64_t touched() const { return touched_; }  // rows changed or added so far

    Snapshot finish();  // the edit is over

private:
    using Rows = std::vector<Row>;
    Rows const& rows(std::size_t n) const;
    std::size_t size(std::size_t n) const;
    Uid first(std::size_t n) const;
    Uid last(std::size_t n) const;
    Rows& own(std::size_t n);
    Rows& push_chunk(std::size_t reserve);
    void change_flags(Change const& change, ModSeq modseq);
    void expunge(UidSet const& uids);
    void merge_tail();
    void repack_when_sparse();

    std::shared_ptr<MailboxIndex> next_;
    std::vector<std::unique_ptr<Rows>> owned_;  // by chunk number: becomes a chunk at the end; nullptr: shared
    std::uint64_t touched_ = 0;
};

// All UIDs below uid_next that are not there: never fewer than have vanished.
UidSet absent_uids(MailboxIndex const& index);

// Sets flags as a change says; true: they are different now.
bool change_row_flags(Row& row, FlagMode mode, std::uint8_t system, KeywordBits keywords);

// Calls visit(row) for each row in the set, ascending: chunk by chunk, so cheaper than a look-up per row.
template <class F>
void for_each_row(MailboxIndex const& index, UidSet const& uids, F&& visit) {
    auto range = uids.ranges().begin();
    auto const end = uids.ranges().end();
    for (auto const& chunk : index.chunks) {
        if (range == end) return;
        while (range != end && range->last < chunk->first()) ++range;
        if (range == end) return;
        if (range->first > chunk->last()) continue;
        for (Row const& row : chunk->rows()) {
            while (range != end && range->last < row.uid) ++range;
            if (range == end) return;
            if (range->first <= row.uid) visit(row);
        }
    }
}

}  // namespace mallard::store::embedded
