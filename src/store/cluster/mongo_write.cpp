// MongoClient: what changes the database.
#include "base/log.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/mongo_internal.hpp"

namespace mallard::store::cluster {

namespace {

struct BulkDeleter {
    void operator()(mongoc_bulk_operation_t* bulk) const { mongoc_bulk_operation_destroy(bulk); }
};
using Bulk = std::unique_ptr<mongoc_bulk_operation_t, BulkDeleter>;

bool add(mongoc_bulk_operation_t* bulk, Write const& write, bson_error_t& error) {
    Bson const filter(write.filter);
    Bson const document(write.document);
    // The driver's own look at each document is left out: the server looks, and WildDuck's have dots in keys.
    bson::Document opts;
    if (write.kind != Write::Kind::delete_one && write.kind != Write::Kind::delete_many) opts.set("validate", false);
    if (write.upsert) opts.set("upsert", true);
    if (!write.array_filters.empty()) opts.set("arrayFilters", write.array_filters);
    Bson const options(opts);
    switch (write.kind) {
        case Write::Kind::insert:
            return mongoc_bulk_operation_insert_with_opts(bulk, document.get(), options.get(), &error);
        case Write::Kind::update_one:
            return mongoc_bulk_operation_update_one_with_opts(bulk, filter.get(), document.get(), options.get(),
                                                              &error);
        case Write::Kind::update_many:
            return mongoc_bulk_operation_update_many_with_opts(bulk, filter.get(), document.get(), options.get(),
                                                               &error);
        case Write::Kind::replace_one:
            return mongoc_bulk_operation_replace_one_with_opts(bulk, filter.get(), document.get(), options.get(),
                                                               &error);
        case Write::Kind::delete_one:
            return mongoc_bulk_operation_remove_one_with_opts(bulk, filter.get(), options.get(), &error);
        case Write::Kind::delete_many:
            return mongoc_bulk_operation_remove_many_with_opts(bulk, filter.get(), options.get(), &error);
    }
    return false;
}

// nullopt: a failure of the whole, not of single writes.
std::optional<Written> written_of(bson_t const* reply) {
    Written out;
    bson_iter_t at;
    if (!bson_iter_init(&at, reply)) return std::nullopt;
    bool concern_failed = false;
    while (bson_iter_next(&at)) {
        std::string_view const key = bson_iter_key(&at);
        if (key == "nInserted") out.inserted = bson_iter_as_int64(&at);
        if (key == "nMatched") out.matched = bson_iter_as_int64(&at);
        if (key == "nModified") out.modified = bson_iter_as_int64(&at);
        if (key == "nRemoved") out.deleted = bson_iter_as_int64(&at);
        if (key == "nUpserted") out.upserted = bson_iter_as_int64(&at);
        bson_iter_t elements;
        if (key == "writeConcernErrors" && bson_iter_recurse(&at, &elements) && bson_iter_next(&elements))
            concern_failed = true;
        if (key != "writeErrors" || !bson_iter_recurse(&at, &elements)) continue;
        while (bson_iter_next(&elements)) {
            bson_iter_t field;
            std::int64_t index = 0, code = 0;
            std::string message;
            if (!bson_iter_recurse(&elements, &field)) continue;
            while (bson_iter_next(&field)) {
                std::string_view const name = bson_iter_key(&field);
                if (name == "index") index = bson_iter_as_int64(&field);
                if (name == "code") code = bson_iter_as_int64(&field);
                if (name == "errmsg" && BSON_ITER_HOLDS_UTF8(&field)) message = bson_iter_utf8(&field, nullptr);
            }
            out.failures.push_back({static_cast<std::size_t>(index), error_of_code(code, message)});
        }
    }
    if (concern_failed) return std::nullopt;
    return out;
}

bool is_of_many(Write const& write) {
    return write.kind == Write::Kind::update_many || write.kind == Write::Kind::delete_many;
}

}  // namespace

Result<Written> MongoClient::bulk(Db db, std::string_view collection, std::vector<Write> const& writes, bool ordered) {
    if (writes.empty()) return Written{};
    for (auto const& write : writes)
        if (write.kind != Write::Kind::insert) impl_->see(db, collection, write.filter, {}, "", !is_of_many(write));
    Bson const opts(bson::Document{{"ordered", ordered}});
    bool const only_inserts = std::ranges::all_of(writes, [](auto const& w) { return w.kind == Write::Kind::insert; });
    Serial const serial(features_.atomic_updates || only_inserts ? nullptr : impl_.get());
    // FerretDB 1.24 keeps a connection to its own database for each update of a request, and stands still for ever
    // when they are all taken (met between 50 and 100 updates).
    constexpr std::size_t updates_max = 32;
    if (!features_.atomic_updates && !only_inserts && writes.size() > updates_max)
        return bulk_in_parts(db, collection, writes, ordered, updates_max);
    return impl_->retrying<Written>(false, [&]() -> std::expected<Written, Failure> {
        Lease const lease(*impl_, db, collection);
        if (lease.client() == nullptr) return Lease::exhausted();
        Bulk const bulk(mongoc_collection_create_bulk_operation_with_opts(lease.collection(), opts.get()));
        bson_error_t error;
        for (auto const& write : writes)
            if (!add(bulk.get(), write, error)) return std::unexpected(failure_of(error, nullptr));
        bson_t reply;
        bool const done = mongoc_bulk_operation_execute(bulk.get(), &reply, &error) != 0;
        auto written = written_of(&reply);
        bool const single_failed = written && !written->failures.empty();
        auto failure = done ? Failure{} : failure_of(error, &reply);
        bson_destroy(&reply);
        if (done && written) return std::move(*written);
        if (done)
            return std::unexpected(Failure{{ErrorKind::unavailable, "The database cannot be reached, try again later",
                                            "write concern not satisfied"},
                                           Fate::unknown});
        if (single_failed && failure.fate == Fate::refused) return std::move(*written);
        // Part of it may be done when a primary that steps down says so in the middle, or a later batch is not reached.
        bool const begun = written && written->inserted + written->matched + written->deleted + written->upserted > 0;
        bool const in_parts = writes.size() > 1 || is_of_many(writes.front());
        if (failure.fate == Fate::not_reached && (begun || (in_parts && error.domain != MONGOC_ERROR_SERVER_SELECTION)))
            failure.fate = Fate::unknown;
        return std::unexpected(std::move(failure));
    });
}

Result<Written> MongoClient::bulk_in_parts(Db db, std::string_view collection, std::vector<Write> const& writes,
                                           bool ordered, std::size_t part) {
    Written sum;
    for (std::size_t at = 0; at < writes.size(); at += part) {
        std::vector<Write> const some(writes.begin() + static_cast<std::ptrdiff_t>(at),
                                      writes.begin() + static_cast<std::ptrdiff_t>(std::min(writes.size(), at + part)));
        MALLARD_TRY_ASSIGN(auto written, bulk(db, collection, some, ordered));
        sum.inserted += written.inserted;
        sum.matched += written.matched;
        sum.modified += written.modified;
        sum.upserted += written.upserted;
        sum.deleted += written.deleted;
        for (auto& failure : written.failures) sum.failures.push_back({at + failure.index, std::move(failure.error)});
        if (ordered && !sum.failures.empty()) break;
    }
    return sum;
}

Result<Written> MongoClient::write(Db db, std::string_view collection, Write write) {
    std::vector<Write> writes;
    writes.push_back(std::move(write));
    MALLARD_TRY_ASSIGN(auto written, bulk(db, collection, writes));
    if (!written.failures.empty()) return std::unexpected(std::move(written.failures.front().error));
    return written;
}

Result<void> MongoClient::insert(Db db, std::string_view collection, bson::Document const& document,
                                 IsOurs const& is_ours) {
    Write const insertion{.kind = Write::Kind::insert, .document = document};
    auto first = write(db, collection, insertion);
    if (first) return {};
    if (first.error().kind != ErrorKind::unavailable) return std::unexpected(std::move(first.error()));
    // Nobody knows whether it is there. A second one with the same _id cannot do harm, and tells.
    auto const second = write(db, collection, insertion);
    if (second) return {};
    if (second.error().kind != ErrorKind::already_exists) return std::unexpected(second.error());
    MALLARD_TRY_ASSIGN(auto const there, find_one(db, collection, {{"_id", *document.find("_id")}}));
    if (there && (is_ours ? is_ours(*there) : *there == document)) return {};
    return std::unexpected(second.error());
}

Result<std::optional<bson::Document>> MongoClient::find_and_modify(Db db, std::string_view collection,
                                                                   FindAndModify const& change) {
    using Answer = std::optional<bson::Document>;
    impl_->see(db, collection, change.filter, change.sort, "", true);
    struct OptsDeleter {
        void operator()(mongoc_find_and_modify_opts_t* opts) const { mongoc_find_and_modify_opts_destroy(opts); }
    };
    Bson const filter(change.filter), sort(change.sort), update(change.update), projection(change.projection);
    std::unique_ptr<mongoc_find_and_modify_opts_t, OptsDeleter> const opts(mongoc_find_and_modify_opts_new());
    if (!change.sort.empty()) mongoc_find_and_modify_opts_set_sort(opts.get(), sort.get());
    if (!change.remove) mongoc_find_and_modify_opts_set_update(opts.get(), update.get());
    if (!change.projection.empty() && features_.projected_changes)
        mongoc_find_and_modify_opts_set_fields(opts.get(), projection.get());
    int flags = MONGOC_FIND_AND_MODIFY_NONE;
    if (change.remove) flags |= MONGOC_FIND_AND_MODIFY_REMOVE;
    if (change.upsert) flags |= MONGOC_FIND_AND_MODIFY_UPSERT;
    if (change.give_new) flags |= MONGOC_FIND_AND_MODIFY_RETURN_NEW;
    mongoc_find_and_modify_opts_set_flags(opts.get(), static_cast<mongoc_find_and_modify_flags_t>(flags));
    auto const serial = serialise();
    return impl_->retrying<Answer>(false, [&]() -> std::expected<Answer, Failure> {
        Lease const lease(*impl_, db, collection);
        if (lease.client() == nullptr) return Lease::exhausted();
        bson_error_t error;
        bson_t reply;
        bool const done =
            mongoc_collection_find_and_modify_with_opts(lease.collection(), filter.get(), opts.get(), &reply, &error);
        std::expected<Answer, Failure> answer = Answer();
        bson_iter_t at;
        if (!done) {
            answer = std::unexpected(failure_of(error, &reply));
        } else if (bson_iter_init_find(&at, &reply, "writeConcernError")) {
            answer = std::unexpected(Failure{{ErrorKind::unavailable, "The database cannot be reached, try again later",
                                              "write concern not satisfied"},
                                             Fate::unknown});
        } else if (bson_iter_init_find(&at, &reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&at)) {
            std::uint32_t size = 0;
            std::uint8_t const* bytes = nullptr;
            bson_iter_document(&at, &size, &bytes);
            auto document = bson::Document::decode({reinterpret_cast<char const*>(bytes), size});
            if (document)
                answer = std::move(*document);
            else
                answer = std::unexpected(Failure{document.error()});
        }
        bson_destroy(&reply);
        return answer;
    });
}

Result<std::int64_t> MongoClient::erase(Db db, std::string_view collection, bson::Document filter, bool many) {
    Write deletion{.kind = many ? Write::Kind::delete_many : Write::Kind::delete_one, .filter = std::move(filter)};
    MALLARD_TRY_ASSIGN(auto const written, write(db, collection, std::move(deletion)));
    return written.deleted;
}

Result<void> MongoClient::ensure_index(Db db, std::string_view collection, IndexDefinition const& index) {
    auto const lacking = [&](std::string_view what) {
        impl_->note(features_.server + " has no " + std::string(what) + " indexes: made as plain ones");
    };
    bson::Document key;
    for (auto const& field : index.key.fields()) {
        auto const* kind = field.value.as<std::string>();
        if (kind != nullptr && *kind == "text" && !features_.text_indexes) {
            impl_->note(features_.server + " has no text indexes: searches read the messages");
            return {};
        }
        bool const plain = kind != nullptr && *kind == "hashed" && !features_.hashed_indexes;
        if (plain) lacking("hashed");
        key.set(field.key, plain ? bson::Value(1) : field.value);
    }
    bson::Document spec{{"name", index.name}, {"key", key}};
    bool unique = index.unique;
    if (!index.partial.empty() && features_.partial_indexes) spec.set("partialFilterExpression", index.partial);
    if (!index.partial.empty() && !features_.partial_indexes) {
        lacking("partial");
        unique = false;  // it would refuse what the filter leaves out
    }
    if (index.sparse && features_.sparse_indexes) spec.set("sparse", true);
    if (index.sparse && !features_.sparse_indexes) lacking("sparse");
    if (index.expire_after_seconds && features_.ttl_indexes)
        spec.set("expireAfterSeconds", *index.expire_after_seconds);
    if (index.expire_after_seconds && !features_.ttl_indexes) lacking("TTL");
    if (unique) spec.set("unique", true);
    auto const made = command(db, {{"createIndexes", collection}, {"indexes", bson::Array{std::move(spec)}}});
    if (made) return {};
    auto const& why = made.error();
    bool const conflict = why.context.starts_with("MongoDB 85:") || why.context.starts_with("MongoDB 86:");
    if (!conflict) return std::unexpected(why);
    impl_->warn_once("index " + index.name + " of " + std::string(collection) + " stays as it is: " + why.context);
    return {};
}

Result<void> MongoClient::drop_database(Db db) {
    MALLARD_TRY(command(db, {{"dropDatabase", 1}}));
    return {};
}

}  // namespace mallard::store::cluster
