// The disk engine. One column family per table, one write-ahead log for all: a batch over several tables is atomic,
// and concurrent synchronous commits share an fsync (RocksDB's group commit).

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/attempt.hpp"
#include "kv/engine.hpp"
#include "kv/rocks_log_file.hpp"

namespace mallard::kv {

namespace {

constexpr std::uint64_t wal_bytes_max = 128u << 20;
constexpr int open_files_max = 2048;
constexpr std::uint64_t flush_at_close = 8u << 20;

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view_of(rocksdb::Slice slice) { return {slice.data(), slice.size()}; }

std::unexpected<Error> error_of(rocksdb::Status const& status, std::string_view doing) {
    if (status.IsIncomplete()) return Attempt::give_up();  // not in memory: see read_options
    ErrorKind kind = ErrorKind::io;
    if (status.IsCorruption()) kind = ErrorKind::corrupt;
    if (status.IsBusy() || status.IsTryAgain() || status.IsTimedOut()) kind = ErrorKind::unavailable;
    if (status.IsShutdownInProgress()) kind = ErrorKind::unavailable;
    if (status.IsInvalidArgument() || status.IsNotSupported()) kind = ErrorKind::internal;
    char const* message = "The disk failed";
    if (kind == ErrorKind::corrupt) message = "Stored data is damaged";
    if (kind == ErrorKind::unavailable) message = "The store is busy, try again";
    if (kind == ErrorKind::internal) message = "Internal error";
    if (status.IsNoSpace()) message = "The disk is full";
    return fail(kind, message, std::string(doing) + ": " + status.ToString());
}

std::int64_t counter_value(rocksdb::Slice bytes) {
    std::int64_t value = 0;
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

class AddInt64 final : public rocksdb::AssociativeMergeOperator {
public:
    bool Merge(rocksdb::Slice const&, rocksdb::Slice const* existing, rocksdb::Slice const& by, std::string* sum,
               rocksdb::Logger*) const override {
        std::int64_t const value = (existing == nullptr ? 0 : counter_value(*existing)) + counter_value(by);
        sum->assign(reinterpret_cast<char const*>(&value), sizeof value);
        return true;
    }
    char const* Name() const override { return "mallard.AddInt64"; }
};

rocksdb::ColumnFamilyOptions layout_of(TableUse use, RocksOptions const& options,
                                       std::shared_ptr<rocksdb::Cache> const& cache) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.format_version = 5;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.cache_index_and_filter_blocks = true;
    table.cache_index_and_filter_blocks_with_high_priority = true;
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    table.block_size = 16 << 10;
    table.checksum = rocksdb::kXXH3;  // Debian builds RocksDB without the processor's CRC instruction

    rocksdb::ColumnFamilyOptions family;
    family.write_buffer_size = options.write_buffer_bytes;
    family.max_write_buffer_number = 3;
    family.compression = rocksdb::kLZ4Compression;
    family.level_compaction_dynamic_level_bytes = true;
    switch (use) {
        case TableUse::records: break;
        case TableUse::blobs:
            // No blob files: their values are read one by one, at twice the time of neighbours that share blocks
            // (400 MB in 4 KB values, in order: 0.3 s against 0.6 to 0.9), and keys that ascend are moved, not copied,
            // by compaction.
            table.block_size = 32 << 10;
            family.compression = rocksdb::kNoCompression;
            break;
        case TableUse::counters:
            family.merge_operator = std::make_shared<AddInt64>();
            family.write_buffer_size = std::min<std::size_t>(options.write_buffer_bytes, 8u << 20);
            break;
        case TableUse::journal:
            family.write_buffer_size = std::min<std::size_t>(options.write_buffer_bytes, 16u << 20);
            break;
    }
    family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return family;
}

rocksdb::DBOptions database_options(RocksOptions const& options) {
    rocksdb::DBOptions db;
    db.create_if_missing = options.create;
    db.create_missing_column_families = true;
    db.max_open_files = open_files_max;
    db.advise_random_on_open = false;  // the system reads ahead of who goes in order, and sees who does not
    db.skip_stats_update_on_db_open = true;
    db.skip_checking_sst_file_sizes_on_db_open = true;
    db.max_total_wal_size = wal_bytes_max;
    // Replay stops at the first record that is not whole: nothing behind it was ever acknowledged.
    db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    static auto const env = rocksdb::NewCompositeEnv(log_file_system());
    db.env = env.get();
    db.enable_pipelined_write = true;
    db.max_background_jobs = static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
    db.bytes_per_sync = 1 << 20;
    db.keep_log_file_num = 4;
    db.max_log_file_size = 4 << 20;
    db.stats_dump_period_sec = 0;
    db.max_manifest_file_size = 16 << 20;
    return db;
}

class RocksView final : public View {
public:
    RocksView(rocksdb::DB& db) : db_(db), snapshot(db.GetSnapshot()) {}
    ~RocksView() override { db_.ReleaseSnapshot(snapshot); }

private:
    rocksdb::DB& db_;

public:
    rocksdb::Snapshot const* const snapshot;
};

rocksdb::ReadOptions read_options(View const* view, bool verify) {
    rocksdb::ReadOptions options;
    options.verify_checksums = verify;
    if (Attempt::active()) options.read_tier = rocksdb::kBlockCacheTier;
    if (view != nullptr) options.snapshot = static_cast<RocksView const*>(view)->snapshot;
    return options;
}

class RocksCursor final : public Cursor {
public:
    RocksCursor(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, KeyRange range, View const* view, bool verify)
        : range_(std::move(range)), first_(slice(range_.first)), last_(slice(range_.last)) {
        rocksdb::ReadOptions options = read_options(view, verify);
        options.iterate_lower_bound = &first_;
        if (!range_.last.empty()) options.iterate_upper_bound = &last_;
        iterator_.reset(db.NewIterator(options, family));
    }

    bool valid() const override { return at().Valid(); }
    std::string_view key() const override { return view_of(at().key()); }
    std::string_view value() const override { return view_of(at().value()); }
    void next() override { at().Next(); }
    void previous() override { at().Prev(); }
    void seek(std::string_view key) override {
        placed_ = true;
        iterator_->Seek(slice(key));
    }
    void seek_for_previous(std::string_view key) override {
        placed_ = true;
        if (!range_.last.empty() && key >= range_.last) return iterator_->SeekToLast();
        iterator_->SeekForPrev(slice(key));
    }
    void seek_last() override {
        placed_ = true;
        iterator_->SeekToLast();
    }
    Result<void> status() const override {
        if (auto const status = iterator_->status(); !status.ok()) return error_of(status, "scan");
        return {};
    }

private:
    // A new cursor stands at its first key; the search for it is put off, since many are told to seek at once.
    rocksdb::Iterator& at() const {
        if (!placed_) {
            placed_ = true;
            iterator_->SeekToFirst();
        }
        return *iterator_;
    }

    KeyRange range_;
    rocksdb::Slice first_, last_;
    std::unique_ptr<rocksdb::Iterator> iterator_;
    mutable bool placed_ = false;
};

class RocksEngine final : public Engine {
public:
    RocksEngine(std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> handles,
                std::span<TableSpec const> tables, std::shared_ptr<rocksdb::Cache> cache)
        : db_(std::move(db)), handles_(std::move(handles)), tables_(tables.size()), cache_(std::move(cache)) {
        for (auto const& table : tables) verify_.push_back(table.use != TableUse::blobs);
    }

    ~RocksEngine() override {
        // What is in memory only would be read from the log at the next start, which should be quick.
        std::uint64_t in_memory = 0;
        if (db_->GetAggregatedIntProperty("rocksdb.cur-size-all-mem-tables", &in_memory) && in_memory > flush_at_close)
            (void)flush();
        for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
        db_->Close();
    }

    Result<std::optional<std::string>> get(Table table, std::string_view key, View const* view) const override {
        std::string value;
        auto const status = db_->Get(read_options(view, verify_[table]), handles_[table], slice(key), &value);
        if (status.IsNotFound()) return std::nullopt;
        if (!status.ok()) return error_of(status, "get");
        // Of a file that is not open RocksDB says "found", without a value, when it may not read.
        if (value.empty() && Attempt::active()) return Attempt::give_up();
        return value;
    }

    Result<std::vector<std::optional<std::string>>> multi_get(Table table, std::span<std::string const> keys,
                                                              View const* view) const override {
        if (Attempt::active()) return get_each(table, keys, view);
        std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
        std::vector<rocksdb::PinnableSlice> found(keys.size());
        std::vector<rocksdb::Status> statuses(keys.size());
        bool const sorted = std::is_sorted(keys.begin(), keys.end());
        db_->MultiGet(read_options(view, verify_[table]), handles_[table], keys.size(), slices.data(), found.data(),
                      statuses.data(), sorted);
        std::vector<std::optional<std::string>> values(keys.size());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (statuses[i].ok())
                values[i] = found[i].ToString();
            else if (!statuses[i].IsNotFound())
                return error_of(statuses[i], "multi_get");
        }
        return values;
    }

    Result<void> commit(WriteBatch const& batch, Durability durability) override {
        if (batch.empty()) return {};
        if (Attempt::active()) return Attempt::give_up();
        rocksdb::WriteBatch writes(batch.bytes() + 16 * batch.count());
        rocksdb::Status status;
        batch.for_each([&](WriteBatch::Op const& op) {
            auto* handle = handles_[op.table];
            rocksdb::Status added;
            switch (op.kind) {
                case WriteBatch::Kind::put: added = writes.Put(handle, slice(op.key), slice(op.value)); break;
                case WriteBatch::Kind::erase: added = writes.Delete(handle, slice(op.key)); break;
                case WriteBatch::Kind::erase_range:
                    added = writes.DeleteRange(handle, slice(op.key), slice(op.value));
                    break;
                case WriteBatch::Kind::add: added = writes.Merge(handle, slice(op.key), slice(op.value)); break;
            }
            if (!added.ok()) status = added;
        });
        if (!status.ok()) return error_of(status, "batch");
        rocksdb::WriteOptions options;
        options.sync = durability == Durability::sync;
        status = db_->Write(options, &writes);
        if (!status.ok()) return error_of(status, "commit");
        return {};
    }

    std::unique_ptr<Cursor> scan(Table table, KeyRange range, View const* view) const override {
        return std::make_unique<RocksCursor>(*db_, handles_[table], std::move(range), view, verify_[table]);
    }

    std::unique_ptr<View> view() const override { return std::make_unique<RocksView>(*db_); }

    Result<void> flush() override {
        if (auto const status = db_->Flush({}, handles_); !status.ok()) return error_of(status, "flush");
        return {};
    }

    Result<void> compact() override {
        rocksdb::CompactRangeOptions options;
        options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
        for (auto* handle : handles_)
            if (auto const status = db_->CompactRange(options, handle, nullptr, nullptr); !status.ok())
                return error_of(status, "compact");
        return {};
    }

    std::vector<std::pair<std::string, double>> statistics() const override {
        static constexpr std::string_view names[] = {
            "rocksdb.cur-size-all-mem-tables", "rocksdb.estimate-num-keys",       "rocksdb.live-sst-files-size",
            "rocksdb.live-blob-file-size",     "rocksdb.num-running-compactions", "rocksdb.estimate-table-readers-mem",
        };
        std::vector<std::pair<std::string, double>> values;
        for (auto name : names) {
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < tables_; ++i) {
                std::uint64_t value = 0;
                if (db_->GetIntProperty(handles_[i], slice(name), &value)) sum += value;
            }
            values.emplace_back(name.substr(name.find('.') + 1), static_cast<double>(sum));
        }
        values.emplace_back("block-cache-usage", static_cast<double>(cache_->GetUsage()));
        return values;
    }

private:
    // MultiGet does not tell what is absent from what is not in memory.
    Result<std::vector<std::optional<std::string>>> get_each(Table table, std::span<std::string const> keys,
                                                             View const* view) const {
        std::vector<std::optional<std::string>> values;
        for (auto const& key : keys) {
            MALLARD_TRY_ASSIGN(auto value, get(table, key, view));
            values.push_back(std::move(value));
        }
        return values;
    }

    std::unique_ptr<rocksdb::DB> db_;
    std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // by Table; then those this version does not know
    std::size_t tables_;
    std::vector<bool> verify_;  // by Table: RocksDB's own checksums are verified
    std::shared_ptr<rocksdb::Cache> cache_;
};

}  // namespace

Result<std::unique_ptr<Engine>> open_rocks(RocksOptions options, std::span<TableSpec const> tables) {
    auto const cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (auto const& table : tables) families.emplace_back(table.name, layout_of(table.use, options, cache));

    rocksdb::DBOptions const db_options = database_options(options);
    // RocksDB opens all column families or none: also those of a newer version, and its own "default".
    std::vector<std::string> present;
    if (!rocksdb::DB::ListColumnFamilies(db_options, options.directory, &present).ok())
        present = {rocksdb::kDefaultColumnFamilyName};
    auto const declared = [&](std::string const& name) {
        return std::ranges::any_of(tables, [&](TableSpec const& table) { return table.name == name; });
    };
    for (auto const& name : present)
        if (!declared(name)) families.emplace_back(name, layout_of(TableUse::counters, options, cache));

    rocksdb::DB* db = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    auto const status = rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
    if (!status.ok()) {
        if (status.IsIOError() && status.ToString().find("lock") != std::string::npos)
            return fail(ErrorKind::conflict,
                        "The data directory " + options.directory + " is in use by another process", status.ToString());
        auto error = error_of(status, "open " + options.directory);
        return error;
    }
    return std::make_unique<RocksEngine>(std::unique_ptr<rocksdb::DB>(db), std::move(handles), tables, cache);
}

}  // namespace mallard::kv
