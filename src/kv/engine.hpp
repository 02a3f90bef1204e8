#pragma once
// kv::Engine: ordered byte keys to byte values in a few tables, with atomic batches and consistent views.
// Engines: Rocks (the disk), Memory (tests), Faulty (wraps either and fails the n-th write).
//
// - A batch is applied whole or not at all. With Durability::sync it is on disk when commit returns; concurrent
//   commits share one fsync.
// - Keys sort as unsigned bytes. A View is a consistent moment; reads without one see the newest.
// - Threads: every call may come from any thread. A Cursor belongs to one thread at a time.
// - Under an Attempt (base/attempt.hpp) reads are answered from memory or not at all, and a commit gives up.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mallard::kv {

// What a table holds decides how an engine lays it out.
enum class TableUse {
    records,   // small values, read by point and by range
    blobs,     // values already compressed, with a checksum of their own, up to 256 KiB, written once
    counters,  // 64-bit signed little-endian values, changed by add()
    journal,   // written once, read in order, soon erased
};

struct TableSpec {
    std::string name;
    TableUse use = TableUse::records;
};

using Table = std::uint8_t;  // index into the specs that the engine was opened with

enum class Durability { async, sync };

class WriteBatch {
public:
    void put(Table table, std::string_view key, std::string_view value);
    void erase(Table table, std::string_view key);
    void erase_range(Table table, std::string_view first, std::string_view last);  // [first, last)
    void add(Table table, std::string_view key, std::int64_t by);                  // table of counters only
    void append(WriteBatch const& other);
    void clear();
    bool empty() const { return count_ == 0; }
    std::size_t count() const { return count_; }
    std::size_t bytes() const { return ops_.size(); }

    enum class Kind : std::uint8_t { put, erase, erase_range, add };
    struct Op {
        Kind kind;
        Table table;
        std::string_view key;
        std::string_view value;  // put: the value; erase_range: last; add: 8 bytes little-endian
    };
    // Calls visit(Op) for each operation in order.
    template <class F>
    void for_each(F&& visit) const {
        std::size_t at = 0;
        while (at < ops_.size()) visit(read(at));
    }

private:
    Op read(std::size_t& at) const;
    void write(Kind kind, Table table, std::string_view key, std::string_view value);

    std::string ops_;  // encoded one after the other: one allocation for the whole batch
    std::size_t count_ = 0;
};

// A consistent moment. Holding one keeps old versions alive: short-lived.
class View {
public:
    virtual ~View() = default;
};

struct KeyRange {
    std::string first;  // inclusive
    std::string last;   // exclusive; empty: to the end of the table
    static KeyRange prefix(std::string_view prefix);
};

class Cursor {
public:
    virtual ~Cursor() = default;
    virtual bool valid() const = 0;
    virtual std::string_view key() const = 0;    // until the next move
    virtual std::string_view value() const = 0;  // until the next move
    virtual void next() = 0;
    virtual void previous() = 0;
    virtual void seek(std::string_view key) = 0;               // first key >= key, inside the range
    virtual void seek_for_previous(std::string_view key) = 0;  // last key <= key, inside the range
    virtual void seek_last() = 0;
    virtual Result<void> status() const = 0;  // check after the loop: an I/O error ends it early
};

class Engine {
public:
    virtual ~Engine() = default;
    virtual Result<std::optional<std::string>> get(Table table, std::string_view key,
                                                   View const* view = nullptr) const = 0;
    // One result per key, in order. Faster than single gets when keys are sorted.
    virtual Result<std::vector<std::optional<std::string>>> multi_get(Table table, std::span<std::string const> keys,
                                                                      View const* view = nullptr) const = 0;
    virtual Result<void> commit(WriteBatch const& batch, Durability durability) = 0;
    virtual std::unique_ptr<Cursor> scan(Table table, KeyRange range, View const* view = nullptr) const = 0;
    virtual std::unique_ptr<View> view() const = 0;
    virtual Result<void> flush() = 0;    // memory tables to disk (tests, measurements, shutdown)
    virtual Result<void> compact() = 0;  // whole store; long
    virtual std::vector<std::pair<std::string, double>> statistics() const = 0;  // for /metrics
};

struct RocksOptions {
    std::string directory;
    std::size_t block_cache_bytes = 256u << 20;
    std::size_t write_buffer_bytes = 64u << 20;  // per table
    bool create = true;
};

Result<std::unique_ptr<Engine>> open_rocks(RocksOptions options, std::span<TableSpec const> tables);

// Keeps everything in memory; a second handle on the same `state` sees what was committed (tests reopen with it).
struct MemoryState;
std::shared_ptr<MemoryState> new_memory_state();
std::unique_ptr<Engine> open_memory(std::shared_ptr<MemoryState> state, std::span<TableSpec const> tables);

// Passes everything to `inner` but fails the commit number fail_at (1-based) and every later one with ErrorKind::io:
// the process "lost its disk". fail_at 0: never. once: that commit alone fails.
class FaultyEngine : public Engine {
public:
    virtual bool fired() const = 0;
    virtual int commits() const = 0;
};
std::unique_ptr<FaultyEngine> wrap_faulty(Engine& inner, int fail_at, bool once = false);

}  // namespace mallard::kv
