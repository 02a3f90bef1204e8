#include "store/cluster/mongo_client.hpp"

#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/log.hpp"
#include "base/metrics.hpp"
#include "store/cluster/mongo_internal.hpp"

namespace mallard::store::cluster {

namespace {

constexpr LogContext who{.component = "mongodb"};
constexpr std::int32_t server_selection_ms = 3'000;  // one attempt; retry_for spans several
constexpr std::int32_t pool_wait_ms = 10'000;

void log_line(mongoc_log_level_t level, char const* domain, char const* message, void*) {
    // Servers without sessions are asked to end them all the same; of a server that is away went_away() tells once.
    std::string_view const text = message;
    bool const noise = text.contains("\"endSessions\"") || text.starts_with("Failed to buffer");
    LogLevel const ours = noise                                ? LogLevel::debug
                          : level <= MONGOC_LOG_LEVEL_CRITICAL ? LogLevel::error
                          : level == MONGOC_LOG_LEVEL_WARNING  ? LogLevel::warning
                                                               : LogLevel::debug;
    log(ours, who, message, {{"part", domain}});
}

void initialise_library() {
    // Once per process, and never cleaned up: the driver's threads may outlive any one client.
    static bool const done = [] {
        mongoc_init();
        mongoc_log_set_handler(log_line, nullptr);
        return true;
    }();
    static_cast<void>(done);
}

struct UriDeleter {
    void operator()(mongoc_uri_t* uri) const { mongoc_uri_destroy(uri); }
};
using Uri = std::unique_ptr<mongoc_uri_t, UriDeleter>;

Result<Uri> parse_uri(std::string const& url, MongoConfig const& config) {
    bson_error_t error;
    Uri uri(mongoc_uri_new_with_error(url.c_str(), &error));
    if (!uri) return fail(ErrorKind::invalid, "The MongoDB URL cannot be read: " + std::string(error.message));
    auto const unless_given = [&](char const* option, std::int64_t value) {
        if (!mongoc_uri_has_option(uri.get(), option))
            mongoc_uri_set_option_as_int32(uri.get(), option, static_cast<std::int32_t>(value));
    };
    unless_given(MONGOC_URI_CONNECTTIMEOUTMS, config.connect_timeout.count());
    unless_given(MONGOC_URI_SOCKETTIMEOUTMS, config.socket_timeout.count());
    unless_given(MONGOC_URI_SERVERSELECTIONTIMEOUTMS, server_selection_ms);
    unless_given(MONGOC_URI_WAITQUEUETIMEOUTMS, pool_wait_ms);
    unless_given(MONGOC_URI_MAXPOOLSIZE, config.pool_max);
    if (!mongoc_uri_has_option(uri.get(), MONGOC_URI_RETRYWRITES))
        mongoc_uri_set_option_as_bool(uri.get(), MONGOC_URI_RETRYWRITES, true);
    if (mongoc_uri_get_appname(uri.get()) == nullptr) mongoc_uri_set_appname(uri.get(), "mallard");

    // What returns success is durable: the URL cannot weaken that.
    mongoc_write_concern_t* concern = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(concern, static_cast<std::int32_t>(config.write_timeout.count()));
    mongoc_write_concern_set_journal(concern, true);
    mongoc_uri_set_write_concern(uri.get(), concern);
    mongoc_write_concern_destroy(concern);
    mongoc_read_prefs_t* primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_uri_set_read_prefs_t(uri.get(), primary);
    mongoc_read_prefs_destroy(primary);
    return uri;
}

void count_command(mongoc_apm_command_started_t const* event) {
    ++*static_cast<std::atomic<std::uint64_t>*>(mongoc_apm_command_started_get_context(event));
    metrics::counter("mallard_database_round_trips_total",
                     {{"command", mongoc_apm_command_started_get_command_name(event)}})
        .add();
}

// Gives the place of a database: `name_or_url` empty means the main one (storage.md §2).
Result<MongoClient::Impl::Place> open_place(MongoClient::Impl& impl, MongoConfig const& config,
                                            std::string const& name_or_url) {
    bool const is_url = name_or_url.find_first_of(":/") != std::string::npos;
    std::string const& url = is_url ? name_or_url : config.url;
    MALLARD_TRY_ASSIGN(auto const uri, parse_uri(url, config));
    auto& pool = impl.pools[url];
    if (!pool) {
        bson_error_t error;
        pool.reset(mongoc_client_pool_new_with_error(uri.get(), &error));
        if (!pool) return fail(ErrorKind::invalid, "MongoDB cannot be used: " + std::string(error.message));
        mongoc_client_pool_set_error_api(pool.get(), MONGOC_ERROR_API_VERSION_2);
        mongoc_apm_callbacks_t* callbacks = mongoc_apm_callbacks_new();
        mongoc_apm_set_command_started_cb(callbacks, count_command);
        mongoc_apm_set_command_failed_cb(callbacks, note_doubt);
        mongoc_apm_set_command_succeeded_cb(callbacks, note_doubt);
        mongoc_client_pool_set_apm_callbacks(pool.get(), callbacks, &impl.round_trips);
        mongoc_apm_callbacks_destroy(callbacks);
    }
    char const* in_url = mongoc_uri_get_database(uri.get());
    std::string const name = !name_or_url.empty() && !is_url ? name_or_url : in_url == nullptr ? "wildduck" : in_url;
    return MongoClient::Impl::Place{pool.get(), name};
}

bson::Document options_of(FindOptions const& options) {
    bson::Document out;
    if (!options.projection.empty()) out.set("projection", options.projection);
    if (!options.sort.empty()) out.set("sort", options.sort);
    if (options.limit > 0) out.set("limit", options.limit);
    if (options.limit == 1) out.set("singleBatch", true);
    if (options.skip > 0) out.set("skip", options.skip);
    if (options.batch > 0) out.set("batchSize", options.batch);
    if (!options.hint.empty()) out.set("hint", options.hint);
    if (options.max_time_ms > 0) out.set("maxTimeMS", options.max_time_ms);
    return out;
}

struct CursorDeleter {
    void operator()(mongoc_cursor_t* cursor) const { mongoc_cursor_destroy(cursor); }
};
using Cursor = std::unique_ptr<mongoc_cursor_t, CursorDeleter>;

// Feeds the cursor's documents to visit. `begun` says whether there was one.
std::expected<void, Failure> drain(mongoc_cursor_t* cursor, MongoClient::VisitBytes const& visit, bool& begun) {
    bson_t const* document = nullptr;
    while (mongoc_cursor_next(cursor, &document)) {
        begun = true;
        if (!visit(bytes_of(*document))) return {};
    }
    bson_error_t error;
    bson_t const* reply = nullptr;
    if (mongoc_cursor_error_document(cursor, &error, &reply)) return std::unexpected(failure_of(error, reply));
    return {};
}

}  // namespace

MongoClient::MongoClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MongoClient::~MongoClient() = default;

void MongoClient::Impl::warn_once(std::string const& what) {
    static std::mutex warned_mutex;
    static std::set<std::string> warned;
    {
        std::lock_guard lock(warned_mutex);
        if (!warned.insert(what).second) return;
    }
    log(LogLevel::warning, who, what);
}

void MongoClient::Impl::note(std::string const& what) { log(LogLevel::debug, who, what); }

void MongoClient::Impl::went_away(Error const& why) const {
    if (opened && !away.exchange(true)) log(LogLevel::error, who, "MongoDB is away", {{"error", why.context}});
}

void MongoClient::Impl::came_back() const {
    if (away.exchange(false)) log(LogLevel::info, who, "MongoDB is back");
}

bool MongoClient::Impl::may_look() const {
    auto const now = std::chrono::steady_clock::now();
    auto due = look_again_at.load();
    return now >= due && look_again_at.compare_exchange_strong(due, now + std::chrono::seconds(1));
}

Result<std::unique_ptr<MongoClient>> MongoClient::open(MongoConfig const& config) {
    initialise_library();
    auto impl = std::make_unique<Impl>();
    impl->retry_for = config.retry_for;
    impl->serial_path =
        std::filesystem::temp_directory_path() /
        ("mallard-" + std::to_string(getuid()) + "-" + std::to_string(std::hash<std::string>{}(config.url)) + ".lock");
    MALLARD_TRY_ASSIGN(impl->places[0], open_place(*impl, config, ""));
    MALLARD_TRY_ASSIGN(impl->places[1], open_place(*impl, config, config.users));
    MALLARD_TRY_ASSIGN(impl->places[2], open_place(*impl, config, config.gridfs));
    std::unique_ptr<MongoClient> client(new MongoClient(std::move(impl)));
    MALLARD_TRY(client->command(Db::main, {{"ping", 1}}));
    client->features_ = client->probe();
    client->impl_->opened = true;
    return client;
}

std::string MongoClient::database(Db db) const { return impl_->place(db).name; }
void MongoClient::observe(std::function<void(Observed const&)> observer) { impl_->observer = std::move(observer); }
std::uint64_t MongoClient::round_trips() const { return impl_->round_trips; }

Result<void> MongoClient::find_each_bytes(Db db, std::string_view collection, bson::Document const& filter,
                                          FindOptions const& options, VisitBytes const& visit) const {
    impl_->see(db, collection, filter, options.sort, options.hint);
    Bson const query(filter);
    Bson const opts(options_of(options));
    return impl_->retrying<void>(true, [&]() -> std::expected<void, Failure> {
        Lease const lease(*impl_, db, collection);
        if (lease.client() == nullptr) return Lease::exhausted();
        Cursor const cursor(mongoc_collection_find_with_opts(lease.collection(), query.get(), opts.get(), nullptr));
        bool begun = false;
        auto result = drain(cursor.get(), visit, begun);
        if (!result && begun) result.error().fate = Fate::refused;  // the visitor has seen some: no second time
        return result;
    });
}

Result<void> MongoClient::find_each(Db db, std::string_view collection, bson::Document const& filter,
                                    FindOptions const& options, Visit const& visit) const {
    Result<void> problem;
    MALLARD_TRY(find_each_bytes(db, collection, filter, options, [&](std::string_view bytes) {
        auto document = bson::Document::decode(bytes);
        if (!document) {
            problem = std::unexpected(document.error());
            return false;
        }
        return visit(std::move(*document));
    }));
    return problem;
}

Result<std::vector<bson::Document>> MongoClient::find(Db db, std::string_view collection, bson::Document const& filter,
                                                      FindOptions const& options) const {
    std::vector<bson::Document> found;
    MALLARD_TRY(find_each(db, collection, filter, options, [&](bson::Document document) {
        found.push_back(std::move(document));
        return true;
    }));
    return found;
}

Result<std::optional<bson::Document>> MongoClient::find_one(Db db, std::string_view collection,
                                                            bson::Document const& filter, FindOptions options) const {
    options.limit = 1;
    MALLARD_TRY_ASSIGN(auto found, find(db, collection, filter, options));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

Result<std::vector<bson::Document>> MongoClient::aggregate(Db db, std::string_view collection,
                                                           bson::Array pipeline) const {
    if (auto const* stage = pipeline.empty() ? nullptr : pipeline.front().as<bson::Document>()) {
        auto const* match = stage->document("$match");
        impl_->see(db, collection, match ? *match : bson::Document());
    }
    Bson const stages(bson::Document{{"pipeline", std::move(pipeline)}});
    return impl_->retrying<std::vector<bson::Document>>(
        true, [&]() -> std::expected<std::vector<bson::Document>, Failure> {
            Lease const lease(*impl_, db, collection);
            if (lease.client() == nullptr) return Lease::exhausted();
            Cursor const cursor(
                mongoc_collection_aggregate(lease.collection(), MONGOC_QUERY_NONE, stages.get(), nullptr, nullptr));
            std::vector<bson::Document> found;
            std::optional<Error> problem;
            bool begun = false;
            auto result = drain(
                cursor.get(),
                [&](std::string_view bytes) {
                    auto document = bson::Document::decode(bytes);
                    if (!document) {
                        problem = document.error();
                        return false;
                    }
                    found.push_back(std::move(*document));
                    return true;
                },
                begun);
            if (!result) return std::unexpected(std::move(result.error()));
            if (problem) return std::unexpected(Failure{*problem});
            return found;
        });
}

Result<std::int64_t> MongoClient::count(Db db, std::string_view collection, bson::Document const& filter,
                                        std::string const& hint) const {
    impl_->see(db, collection, filter, {}, hint);
    Bson const query(filter);
    Bson const opts(hint.empty() ? bson::Document() : bson::Document{{"hint", hint}});
    return impl_->retrying<std::int64_t>(true, [&]() -> std::expected<std::int64_t, Failure> {
        Lease const lease(*impl_, db, collection);
        if (lease.client() == nullptr) return Lease::exhausted();
        bson_error_t error;
        bson_t reply;
        auto const rows =
            mongoc_collection_count_documents(lease.collection(), query.get(), opts.get(), nullptr, &reply, &error);
        auto failure = rows < 0 ? failure_of(error, &reply) : Failure{};
        bson_destroy(&reply);
        if (rows < 0) return std::unexpected(std::move(failure));
        return rows;
    });
}

Result<bson::Document> MongoClient::command(Db db, bson::Document const& command) const {
    Bson const body(command);
    return impl_->retrying<bson::Document>(true, [&]() -> std::expected<bson::Document, Failure> {
        Lease const lease(*impl_, db);
        if (lease.client() == nullptr) return Lease::exhausted();
        bson_error_t error;
        Reply reply;
        if (!mongoc_client_command_simple(lease.client(), impl_->place(db).name.c_str(), body.get(), nullptr,
                                          reply.get(), &error))
            return std::unexpected(failure_of(error, reply.get()));
        auto document = reply.document();
        if (!document) return std::unexpected(Failure{document.error()});
        return std::move(*document);
    });
}

}  // namespace mallard::store::cluster
