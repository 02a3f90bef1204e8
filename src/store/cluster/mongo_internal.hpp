#pragma once
// What the files of MongoClient share: the pools, a connection for the time of a call, and what became of an attempt.

#include <mongoc/mongoc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

// A document in libbson's form. Holds the bytes; the bson_t points into them.
class Bson {
public:
    explicit Bson(bson::Document const& document) : bytes_(document.encode()) {
        bson_init_static(&bson_, reinterpret_cast<std::uint8_t const*>(bytes_.data()), bytes_.size());
    }
    Bson(Bson const&) = delete;
    bson_t const* get() const { return &bson_; }

private:
    std::string bytes_;
    bson_t bson_;
};

// A reply that libmongoc fills.
class Reply {
public:
    Reply() { bson_init(&bson_); }
    ~Reply() { bson_destroy(&bson_); }
    Reply(Reply const&) = delete;
    bson_t* get() { return &bson_; }
    // For a function that initialises it itself: what was there must go first.
    bson_t* fresh() {
        bson_destroy(&bson_);
        bson_init(&bson_);
        return &bson_;
    }
    std::int64_t integer(char const* key) const;
    // Without operationTime and $clusterTime, whose types are the server's own.
    Result<bson::Document> document() const;

private:
    bson_t bson_;
};

std::string_view bytes_of(bson_t const& bson);

// What is known of a write that failed.
enum class Fate {
    refused,      // it did not happen, and will not the next time
    not_reached,  // it did not happen; it may the next time
    unknown,      // it may have happened
};

struct Failure {
    Error error;
    Fate fate = Fate::refused;
};

Failure failure_of(bson_error_t const& error, bson_t const* reply);

// The driver tries a write twice and tells what became of the second: that found no primary, say, when the first was
// done but not answered. So what each try met is noted, on the thread that makes the call.
void forget_doubt();
bool is_in_doubt();  // something since then may have happened although it failed
void note_doubt(mongoc_apm_command_failed_t const* event);
void note_doubt(mongoc_apm_command_succeeded_t const* event);

Error error_of_code(std::int64_t code, std::string_view message);

struct MongoClient::Impl {
    ~Impl();
    struct PoolDeleter {
        void operator()(mongoc_client_pool_t* pool) const { mongoc_client_pool_destroy(pool); }
    };
    struct Place {
        mongoc_client_pool_t* pool = nullptr;
        std::string name;
    };
    std::map<std::string, std::unique_ptr<mongoc_client_pool_t, PoolDeleter>> pools;  // by URL
    std::array<Place, 3> places;
    std::chrono::milliseconds retry_for{0};
    std::atomic<std::uint64_t> round_trips = 0;
    std::recursive_mutex serial_mutex;
    int serial_depth = 0;
    int serial_file = -1;  // its lock holds off other processes
    std::string serial_path;

    Place const& place(Db db) const { return places[static_cast<std::size_t>(db)]; }
    std::function<void(MongoClient::Observed const&)> observer;
    void see(Db db, std::string_view collection, bson::Document const& filter, bson::Document const& sort = {},
             std::string const& hint = {}, bool writes_one = false) const {
        if (observer) observer({db, std::string(collection), filter, sort, hint, writes_one});
    }
    static void warn_once(std::string const& what);  // once per process
    static void note(std::string const& what);       // of what MongoFeatures says: told whole by whoever opened us

    // The log is told once when the server is gone for longer than a call waits, and when it is back.
    mutable std::atomic<bool> away = false;
    bool opened = false;  // until then whoever opens us tells what is wrong
    void went_away(Error const& why) const;
    void came_back() const;
    // Then those who call need not wait for it one by one: one call a second looks for it, the others are told at once.
    mutable std::atomic<std::chrono::steady_clock::time_point> look_again_at{};
    bool may_look() const;
    static Error not_there();

    // Calls attempt() -> std::expected<T, Failure> until it succeeds, is refused, or the time for it is over.
    // `repeatable`: may happen twice without harm.
    template <class T, class F>
    Result<T> retrying(bool repeatable, F&& attempt) const {
        bool const was_away = away;
        if (was_away && !may_look()) return std::unexpected(not_there());
        auto const end = std::chrono::steady_clock::now() + (was_away ? std::chrono::milliseconds(0) : retry_for);
        for (std::chrono::milliseconds pause{20};; pause = std::min(pause * 2, std::chrono::milliseconds(1'000))) {
            forget_doubt();
            std::expected<T, Failure> result = attempt();
            if (!result && result.error().fate == Fate::not_reached && is_in_doubt())
                result.error().fate = Fate::unknown;
            if (result) {
                if (away) came_back();
                if constexpr (std::is_void_v<T>)
                    return {};
                else
                    return std::move(*result);
            }
            auto const fate = result.error().fate;
            bool const again = fate == Fate::not_reached || (fate == Fate::unknown && repeatable);
            if (!again || std::chrono::steady_clock::now() + pause > end) {
                if (fate == Fate::not_reached) went_away(result.error().error);
                return std::unexpected(std::move(result.error().error));
            }
            std::this_thread::sleep_for(pause);
        }
    }
};

// A client of the pool and a collection of it, for one call.
class Lease {
public:
    Lease(MongoClient::Impl const& impl, Db db, std::string_view collection = "")
        : pool_(impl.place(db).pool), client_(mongoc_client_pool_pop(pool_)) {
        if (client_ == nullptr || collection.empty()) return;
        collection_ =
            mongoc_client_get_collection(client_, impl.place(db).name.c_str(), std::string(collection).c_str());
    }
    ~Lease() {
        if (collection_ != nullptr) mongoc_collection_destroy(collection_);
        if (client_ != nullptr) mongoc_client_pool_push(pool_, client_);
    }
    Lease(Lease const&) = delete;
    mongoc_client_t* client() const { return client_; }
    mongoc_collection_t* collection() const { return collection_; }
    static std::unexpected<Failure> exhausted() {
        return std::unexpected(
            Failure{{ErrorKind::unavailable, "The database is busy, try again later", "no free connection in the pool"},
                    Fate::not_reached});
    }

private:
    mongoc_client_pool_t* pool_;
    mongoc_client_t* client_;
    mongoc_collection_t* collection_ = nullptr;
};

}  // namespace mallard::store::cluster
