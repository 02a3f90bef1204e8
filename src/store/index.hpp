#pragma once
// MailboxIndex: an immutable moment of a mailbox: which messages, their flags and modseqs, in UID order. Shared by all
// sessions; a change makes a new one that shares all chunks but those it touched.
// A session keeps one as the view its sequence numbers stand for, and compares it with a newer one to learn of changes.
// Rules: rows ascend by UID; sequence number n is row n-1; nothing here ever changes after construction.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/types.hpp"

namespace mallard::store {

// Keywords of a mailbox are numbered in the order of their first use (at most 128 of them per mailbox).
struct KeywordBits {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool test(unsigned n) const { return n < 64 ? low >> n & 1 : high >> (n - 64) & 1; }
    void set(unsigned n) { n < 64 ? low |= 1ULL << n : high |= 1ULL << (n - 64); }
    void reset(unsigned n) { n < 64 ? low &= ~(1ULL << n) : high &= ~(1ULL << (n - 64)); }
    bool none() const { return low == 0 && high == 0; }
    bool operator==(KeywordBits const&) const = default;
};
inline constexpr unsigned keywords_max = 128;

struct Row {
    Uid uid = 0;
    std::uint8_t system = 0;  // SystemFlag bits
    KeywordBits keywords;
    ModSeq modseq = 0;
    std::uint64_t body = 0;    // the engine's own reference to record and bytes; 0 where it has none
    MessageId id;              // of this copy
    std::uint64_t size = 0;    // octets
    TimeMs internal_date = 0;  // whole seconds
};

inline constexpr std::size_t chunk_rows_max = 512;

// What can be told of a chunk without its rows.
struct ChunkSummary {
    std::uint32_t rows = 0;
    Uid first = 0, last = 0;
    ModSeq max_modseq = 0;
    std::uint32_t unseen = 0;
    std::uint32_t deleted = 0;
    std::uint64_t bytes = 0;
    bool operator==(ChunkSummary const&) const = default;
};
ChunkSummary summary_of(std::vector<Row> const& rows);

// A run of rows. One that was read packed stays packed until somebody wants a row: to select a mailbox, or to wait in
// it, takes its counts only. Thread-safe.
class Chunk {
public:
    using Unpack = std::vector<Row> (*)(std::string_view packed);  // must give what the summary tells

    explicit Chunk(std::vector<Row> rows) : summary_(summary_of(rows)), rows_(std::move(rows)) {}
    Chunk(ChunkSummary const& summary, std::string packed, Unpack unpack)
        : summary_(summary), unpack_(unpack), packed_(std::move(packed)) {}

    ChunkSummary const& summary() const { return summary_; }
    std::uint32_t size() const { return summary_.rows; }
    Uid first() const { return summary_.first; }
    Uid last() const { return summary_.last; }
    std::vector<Row> const& rows() const {  // 1..chunk_rows_max
        if (unpack_ != nullptr) std::call_once(unpacked_, [this] { unpack_rows(); });
        return rows_;
    }
    // Places in rows(), by date_place() ascending. Sorted once, for who asks first.
    std::vector<std::uint16_t> const& by_date() const;

private:
    void unpack_rows() const;

    ChunkSummary summary_;
    Unpack unpack_ = nullptr;
    mutable std::once_flag unpacked_;
    mutable std::string packed_;
    mutable std::vector<Row> rows_;
    mutable std::once_flag dated_;
    mutable std::vector<std::uint16_t> by_date_;
};

class MailboxIndex {
public:
    MailboxInfo info;                   // as of this moment
    std::vector<std::string> keywords;  // name by number
    Uid uid_next = 1;
    ModSeq highest_modseq = 1;
    std::vector<std::shared_ptr<Chunk const>> chunks;
    std::vector<std::uint32_t> starts;  // starts[i]: rows before chunk i

    std::uint32_t size() const;
    MailboxCounts counts() const;                      // O(chunks)
    Row const& row(std::uint32_t n) const;             // n = sequence number - 1; precondition n < size()
    std::optional<std::uint32_t> find(Uid uid) const;  // row number of this UID; O(log n)
    std::uint32_t lower_bound(Uid uid) const;          // row number of the first UID >= uid; size() if none
    Flags flags(Row const& row) const;
    std::optional<unsigned> keyword(std::string_view name) const;  // number; compares without case

    // Calls visit(row number, row) for each row whose UID is in the set, ascending.
    template <class F>
    void for_uids(UidSet const& uids, F&& visit) const {
        for (auto const& range : uids.ranges()) {
            for (std::uint32_t n = lower_bound(range.first); n < size(); ++n) {
                Row const& r = row(n);
                if (r.uid > range.last) break;
                visit(n, r);
            }
        }
    }
};

using Snapshot = std::shared_ptr<MailboxIndex const>;

// Where a row stands by its date; two rows never share a place.
struct DatePlace {
    TimeMs date = 0;
    ObjectId id;
    auto operator<=>(DatePlace const&) const = default;
};
DatePlace date_place(Row const& row);

// Walks the rows of an index by date: O(chunks) to begin, O(log chunks) a row. The index outlives it.
class DateWalk {
public:
    enum class Order { ascending, descending };
    // Begins behind `after`, or at the first. Chunks whose summary is not `wanted` are left out.
    DateWalk(MailboxIndex const& index, Order order, std::optional<DatePlace> const& after,
             std::function<bool(ChunkSummary const&)> const& wanted);
    Row const* next();  // null: there are no more

private:
    struct Head {
        DatePlace place;
        Chunk const* chunk;
        std::size_t at;  // in chunk->by_date()
    };
    Row const& row_at(Chunk const& chunk, std::size_t at) const;
    bool is_later(Head const& a, Head const& b) const;

    bool ascending_;
    std::vector<Head> heads_;  // a heap, the next row's in front
};

// What changed between two moments of one mailbox; chunks that both share cost nothing.
struct IndexChanges {
    UidSet vanished;                     // in `before`, not in `after`
    std::vector<std::uint32_t> changed;  // row numbers of `after`: in both, with another modseq
    std::uint32_t appended = 0;          // rows of `after` above the last UID of `before`
};
IndexChanges changes_between(MailboxIndex const& before, MailboxIndex const& after);

}  // namespace mallard::store
