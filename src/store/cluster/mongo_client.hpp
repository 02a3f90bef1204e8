#pragma once
// MongoClient: MongoDB's commands over a pool of connections, in our words. The only home of libmongoc.
//
// - Every write is acknowledged by a majority and its journal before it returns (w: majority, j: true).
// - Writes are retryable (the driver repeats one once, and the server knows it again). What fails because no primary
//   can be reached is tried again, with growing pauses, for `retry_for` at most; then it is `unavailable`, and until
//   the database is back one call a second looks for it while the others are `unavailable` at once. A write of which
//   nobody knows whether it happened, or how far (connection lost, retry lost or refused; a primary that stepped down
//   in the middle of several), is never repeated here: `unavailable`.
// - So nothing is done twice: an insert has its _id, and a second one of the same tells (insert()); what adds to a
//   number or takes a UID is one update of one document, which the driver's repetition does once; flags are set under
//   the condition that the modseq is lower; a reference is counted before, and released after, the message that has
//   it, so that what a lost answer leaves behind is a count too high.
// - A duplicate key is already_exists with the index's name in context.
// - Threads: every call may come from any thread; each takes a connection of the pool for its duration.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "store/bson.hpp"

namespace mallard::store::cluster {

enum class Db { main, users, gridfs };  // storage.md §2

struct MongoConfig {
    std::string url = "mongodb://127.0.0.1:27017/wildduck";  // its path is the main database
    std::string users;                                       // another database's name or URL; empty: the main one
    std::string gridfs;                                      // the same
    unsigned pool_max = 32;                                  // connections per URL and process
    std::chrono::milliseconds connect_timeout{3'000};
    std::chrono::milliseconds socket_timeout{150'000};  // above the longest query cap (two minutes)
    std::chrono::milliseconds write_timeout{20'000};    // how long a majority may take to acknowledge
    std::chrono::milliseconds retry_for{8'000};         // how long a step-down may last
};

// What the server behind the URL can do, found out by trying when it was opened. All true on MongoDB.
struct MongoFeatures {
    std::string server;  // "MongoDB 7.0.4", "FerretDB v1.24.2"
    bool sparse_indexes = true;
    bool partial_indexes = true;
    bool ttl_indexes = true;
    bool hashed_indexes = true;
    bool text_indexes = true;
    bool unique_counts_absent = true;  // two documents without the field are duplicates
    bool pipeline_updates = true;      // updates given as an aggregation pipeline
    bool array_filters = true;
    bool update_modifiers = true;   // $push with $each, $addToSet with $each, $pull with $in
    bool max_operator = true;       // $max, $min
    bool lookups = true;            // $lookup of another collection's document
    bool projected_changes = true;  // findAndModify gives some fields alone
    bool nested_arrays = true;      // arrays directly in arrays can be stored
    bool atomic_updates = true;     // no update of a document is lost to another one at the same time
    bool retryable_writes = true;
    bool transactions = true;
};

struct FindOptions {
    bson::Document projection;  // empty: everything
    bson::Document sort;
    std::int64_t limit = 0;  // 0: all
    std::int64_t skip = 0;
    std::int32_t batch = 0;  // 0: the server's choice
    std::string hint;        // index name; ignored where the server lacks the index's kind
    std::int32_t max_time_ms = 0;
};

// One write of a bulk.
struct Write {
    enum class Kind { insert, update_one, update_many, replace_one, delete_one, delete_many };
    Kind kind = Kind::update_one;
    bson::Document filter;  // not for insert
    // insert, replace: the document; update: the operators {"$set": ...}, or a pipeline as {"0": stage, "1": stage}.
    bson::Document document;
    bool upsert = false;
    bson::Array array_filters;
};

struct WriteFailure {
    std::size_t index = 0;  // in the bulk
    Error error;
};

struct Written {
    std::int64_t inserted = 0, matched = 0, modified = 0, upserted = 0, deleted = 0;
    std::vector<WriteFailure> failures;  // duplicate keys, ...: by their place; ordered bulks stop at the first
};

struct FindAndModify {
    bson::Document filter;
    bson::Document sort;
    bson::Document update;      // operators or a whole document; ignored with remove
    bson::Document projection;  // of the document that is returned; all of it from a server that cannot project
    bool remove = false;
    bool upsert = false;
    bool give_new = false;  // the document after the change, not before
};

struct IndexDefinition {
    std::string name;
    bson::Document key;  // {"mailbox": 1, "uid": -1}, "hashed", "text"
    bool unique = false;
    bool sparse = false;
    std::optional<std::int32_t> expire_after_seconds;
    bson::Document partial;  // partialFilterExpression; empty: none
};

class MongoClient {
public:
    static Result<std::unique_ptr<MongoClient>> open(MongoConfig const& config);
    ~MongoClient();
    MongoClient(MongoClient const&) = delete;

    struct Impl;
    MongoFeatures const& features() const { return features_; }
    std::string database(Db db) const;  // its name

    using Visit = std::function<bool(bson::Document)>;         // false: enough
    using VisitBytes = std::function<bool(std::string_view)>;  // BSON bytes, valid during the call

    // Reads, from the primary.
    Result<std::vector<bson::Document>> find(Db db, std::string_view collection, bson::Document const& filter,
                                             FindOptions const& options = {}) const;
    Result<std::optional<bson::Document>> find_one(Db db, std::string_view collection, bson::Document const& filter,
                                                   FindOptions options = {}) const;
    Result<void> find_each(Db db, std::string_view collection, bson::Document const& filter, FindOptions const& options,
                           Visit const& visit) const;
    Result<void> find_each_bytes(Db db, std::string_view collection, bson::Document const& filter,
                                 FindOptions const& options, VisitBytes const& visit) const;
    Result<std::vector<bson::Document>> aggregate(Db db, std::string_view collection, bson::Array pipeline) const;
    Result<std::int64_t> count(Db db, std::string_view collection, bson::Document const& filter,
                               std::string const& hint = {}) const;
    // Any command; its reply without the cluster's own fields (operationTime, $clusterTime). A read: may be repeated.
    Result<bson::Document> command(Db db, bson::Document const& command) const;

    // Writes.
    // already_exists when a unique key (or the _id) is taken; success when the document is there already because a lost
    // connection hid that the first try had succeeded. Whether what is there is that document `is_ours` says, which
    // must know it also when others have changed it since; without it, it must be the same in all.
    using IsOurs = std::function<bool(bson::Document const& there)>;
    Result<void> insert(Db db, std::string_view collection, bson::Document const& document, IsOurs const& is_ours = {});
    // Failures of single writes are in the result; an error is one of the whole (unreachable, malformed).
    Result<Written> bulk(Db db, std::string_view collection, std::vector<Write> const& writes, bool ordered = true);
    // The same for one write: its failure is the error.
    Result<Written> write(Db db, std::string_view collection, Write write);
    Result<std::optional<bson::Document>> find_and_modify(Db db, std::string_view collection,
                                                          FindAndModify const& change);
    Result<std::int64_t> erase(Db db, std::string_view collection, bson::Document filter, bool many = false);
    // Of a kind that the server lacks: made as near as can be, with one warning per kind. An index of that name that
    // is there already, but different, stays as it is (as WildDuck does), with a warning.
    Result<void> ensure_index(Db db, std::string_view collection, IndexDefinition const& index);
    Result<void> drop_database(Db db);  // tests

    // Where the server's updates are not atomic (MongoFeatures), holds off every other update and every other holder,
    // in all processes of this machine, while it lives; the holder's own go on. On MongoDB it does nothing.
    class Serial {
    public:
        explicit Serial(Impl* impl);  // null: does nothing
        ~Serial();
        Serial(Serial const&) = delete;

    private:
        Impl* impl_;
    };
    Serial serialise() const { return Serial(features_.atomic_updates ? nullptr : impl_.get()); }

    // What a request looks for, as the server's planner sees it: tests compare it with the indexes.
    struct Observed {
        Db db;
        std::string collection;
        bson::Document filter, sort;
        std::string hint;
        bool writes_one = false;  // changes or deletes one document, which on shards needs their key
    };
    void observe(std::function<void(Observed const&)> observer);  // before other threads use the client

    // Requests sent so far, by this client: what tests and benchmarks bound.
    std::uint64_t round_trips() const;

private:
    explicit MongoClient(std::unique_ptr<Impl> impl);
    MongoFeatures probe();
    Result<Written> bulk_in_parts(Db db, std::string_view collection, std::vector<Write> const& writes, bool ordered,
                                  std::size_t part);

    std::unique_ptr<Impl> impl_;
    MongoFeatures features_;
};

}  // namespace mallard::store::cluster
