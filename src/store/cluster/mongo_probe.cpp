// What the server behind the URL can do. MongoDB itself is known; any other that speaks its protocol is tried out in a
// collection of its own, once per start.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/ids.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/mongo_internal.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Document;

bool is_mongodb(Document const& build) {
    auto const* engines = build.array("storageEngines");
    return engines != nullptr && !engines->empty() && build.find("ferretdb") == nullptr &&
           build.find("ferretdbVersion") == nullptr && build.find("ferretdbFeatures") == nullptr;
}

}  // namespace

MongoFeatures MongoClient::probe() {
    MongoFeatures found;
    auto const hello = command(Db::main, {{"hello", 1}});
    bool const replicated = hello && (!hello->text("setName").empty() || hello->text("msg") == "isdbgrid");
    found.retryable_writes = found.transactions = replicated;
    auto const build = command(Db::main, {{"buildInfo", 1}});
    if (build) found.server = "MongoDB " + std::string(build->text("version"));
    if (build && is_mongodb(*build)) return found;
    if (build)
        for (std::string_view key : {"ferretdbVersion", "ferretdb.version"})
            if (auto const* version = build->find_path(key); version != nullptr && version->as<std::string>())
                found.server = "FerretDB " + *version->as<std::string>();

    // FerretDB before 2 reads a document, changes it and writes it back.
    found.atomic_updates = !found.server.starts_with("FerretDB v0.") && !found.server.starts_with("FerretDB v1.");
    if (!found.atomic_updates) impl_->note(found.server + " has no atomic updates: done one after the other");

    auto const name = "mallard_probe_" + ObjectId::generate().hex();
    auto const index = [&](std::string_view field, Document options) {
        Document spec{{"name", field}, {"key", Document{{std::string(field), 1}}}};
        for (auto const& option : options.fields()) spec.set(option.key, option.value);
        return command(Db::main, {{"createIndexes", name}, {"indexes", Array{std::move(spec)}}}).has_value();
    };
    auto const update = [&](Document change, Array filters = {}) {
        Write write{.filter = {{"_id", 1}}, .document = std::move(change), .array_filters = std::move(filters)};
        return this->write(Db::main, name, std::move(write)).has_value();
    };
    found.sparse_indexes = index("sparse", {{"sparse", true}});
    found.partial_indexes = index("partial", {{"partialFilterExpression", Document{{"partial", true}}}});
    found.ttl_indexes = index("ttl", {{"expireAfterSeconds", 3600}});
    found.hashed_indexes = index("hash", {{"key", Document{{"hash", "hashed"}}}});
    found.text_indexes = index("words", {{"key", Document{{"words", "text"}}}});

    static_cast<void>(insert(Db::main, name, {{"_id", 1}, {"list", Array{1}}, {"n", 1}, {"u", 1}}));
    found.pipeline_updates = update({{"0", Document{{"$set", Document{{"n", 2}}}}}});
    found.array_filters = update({{"$set", Document{{"list.$[x]", 2}}}}, {Document{{"x", 1}}});
    found.update_modifiers = update({{"$push", Document{{"list", Document{{"$each", Array{2}}}}}}}) &&
                             update({{"$addToSet", Document{{"list", Document{{"$each", Array{2}}}}}}}) &&
                             update({{"$pull", Document{{"list", Document{{"$in", Array{2}}}}}}});
    found.nested_arrays = update({{"$set", Document{{"nested", Array{1, Array{1, 2}}}}}});
    found.max_operator = update({{"$max", Document{{"n", 5}}}});
    found.projected_changes = command(Db::main, {{"findAndModify", name},
                                                 {"query", Document{{"_id", 1}}},
                                                 {"update", Document{{"$set", Document{{"n", 6}}}}},
                                                 {"fields", Document{{"n", 1}}}})
                                  .has_value();
    auto const looked_up = aggregate(
        Db::main, name,
        {Document{{"$match", Document{{"_id", 1}}}},
         Document{
             {"$lookup", Document{{"from", name}, {"localField", "u"}, {"foreignField", "_id"}, {"as", "found"}}}}});
    auto const* other = looked_up && looked_up->size() == 1 ? looked_up->front().array("found") : nullptr;
    found.lookups = other && other->size() == 1;
    bool const unique = index("u", {{"unique", true}});
    static_cast<void>(insert(Db::main, name, {{"_id", 2}}));
    found.unique_counts_absent = unique && !insert(Db::main, name, {{"_id", 3}});
    static_cast<void>(command(Db::main, {{"drop", name}}));
    return found;
}

MongoClient::Impl::~Impl() {
    if (serial_file >= 0) close(serial_file);
}

MongoClient::Serial::Serial(Impl* impl) : impl_(impl) {
    if (impl_ == nullptr) return;
    impl_->serial_mutex.lock();
    if (impl_->serial_depth++ > 0) return;
    if (impl_->serial_file < 0)
        impl_->serial_file = ::open(impl_->serial_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (impl_->serial_file < 0)
        impl_->warn_once("cannot open " + impl_->serial_path + ": other processes are not held off");
    else
        while (flock(impl_->serial_file, LOCK_EX) != 0 && errno == EINTR) {}
}

MongoClient::Serial::~Serial() {
    if (impl_ == nullptr) return;
    if (--impl_->serial_depth == 0 && impl_->serial_file >= 0) flock(impl_->serial_file, LOCK_UN);
    impl_->serial_mutex.unlock();
}

}  // namespace mallard::store::cluster
