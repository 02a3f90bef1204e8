#include "store/cluster/attachments.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/encoding.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Binary;
using bson::Date;
using bson::Document;

constexpr std::string_view files = "attachments.files", chunks = "attachments.chunks";
constexpr std::size_t chunk_bytes = 261'120;             // §5
constexpr std::int64_t unused_ms = 24LL * 3'600'000;     // §10.4
constexpr std::int64_t stale_chunk_seconds = 30LL * 60;  // of an upload that never ended
constexpr int upload_tries_max = 20;

Document by_id(std::string_view digest) { return {{"_id", Binary{std::string(digest)}}}; }

Document counting(Attachments::Reference const& by, TimeMs now) {
    return {{"$inc", Document{{"metadata.c", bson::number(by.times)}, {"metadata.m", bson::number(by.magics)}}},
            {"$set", Document{{"metadata.cu", Date{now}}}}};
}

// Failures of single writes as one error; nullopt: there were none.
std::optional<Error> first_failure(Written const& written) {
    if (written.failures.empty()) return std::nullopt;
    return written.failures.front().error;
}

}  // namespace

Result<bool> Attachments::add_reference(StoredBody const& body, std::int32_t magic) {
    MALLARD_TRY_ASSIGN(auto const before, mongo_.find_and_modify(Db::gridfs, files,
                                                                 {.filter = by_id(body.digest),
                                                                  .update = counting({1, magic}, clock_.now())}));
    return before.has_value();
}

Result<void> Attachments::store(std::vector<StoredBody>& bodies, std::int32_t magic) {
    std::map<std::string, std::int64_t> stored;
    for (auto& body : bodies) {
        if (auto done = store_one(body, magic); !done) {
            if (!stored.empty()) (void)count(stored, magic);  // if this fails too, the counts stay too high
            return done;
        }
        --stored[body.digest];
    }
    return {};
}

Result<void> Attachments::store_one(StoredBody& body, std::int32_t magic) {
    for (int attempt = 0; attempt < upload_tries_max; ++attempt) {
        MALLARD_TRY_ASSIGN(bool const known, add_reference(body, magic));
        if (known) return {};
        auto written = write_file(body, magic);
        if (written) return {};
        if (written.error().kind != ErrorKind::already_exists) return written;
        // Another uploads or frees the same body at this moment: its end is awaited.
        MALLARD_TRY(remove_stale_chunks(body.digest));
        std::this_thread::sleep_for(std::chrono::milliseconds(10 + 10 * attempt));
    }
    return fail(ErrorKind::unavailable, "another upload of the same attachment does not end",
                "attachment " + hex_encode(body.digest));
}

Result<void> Attachments::remove_stale_chunks(std::string_view digest) {
    Document const of_file{{"files_id", Binary{std::string(digest)}}};
    MALLARD_TRY_ASSIGN(auto const there, mongo_.find(Db::gridfs, chunks, of_file, {.projection = {{"_id", 1}}}));
    bson::Array stale;
    for (auto const& chunk : there)
        if (auto const id = chunk.id("_id"); id && id->seconds() + stale_chunk_seconds < ObjectId::generate().seconds())
            stale.emplace_back(*id);
    if (stale.empty()) return {};
    MALLARD_TRY_ASSIGN(auto const file,
                       mongo_.find_one(Db::gridfs, files, by_id(digest), {.projection = {{"_id", 1}}}));
    if (file) return {};
    MALLARD_TRY(mongo_.erase(Db::gridfs, chunks, {{"_id", Document{{"$in", std::move(stale)}}}}, true));
    return {};
}

Result<void> Attachments::write_file(StoredBody& body, std::int32_t magic) {
    StoredForm const form = stored_form(body);
    body.content_digest = base64_encode(sha256(form.bytes));
    bson::Array written_ids;
    auto undo = [&] {  // only our own chunks
        if (!written_ids.empty())
            (void)mongo_.erase(Db::gridfs, chunks, {{"_id", Document{{"$in", written_ids}}}}, true);
        body.content_digest.clear();
    };
    constexpr std::size_t batch_chunks = 16;
    std::vector<Write> batch;
    std::int32_t n = 0;
    for (std::size_t at = 0; at < form.bytes.size(); at += chunk_bytes, ++n) {
        auto const id = ObjectId::generate();
        batch.push_back({.kind = Write::Kind::insert,
                         .document = {{"_id", id},
                                      {"files_id", Binary{body.digest}},
                                      {"n", n},
                                      {"data", Binary{form.bytes.substr(at, chunk_bytes)}}}});
        written_ids.emplace_back(id);
        if (batch.size() < batch_chunks && at + chunk_bytes < form.bytes.size()) continue;
        auto const written = mongo_.bulk(Db::gridfs, chunks, batch);
        batch.clear();
        auto error = written ? first_failure(*written) : written.error();
        if (error) {
            undo();
            return std::unexpected(std::move(*error));
        }
    }
    TimeMs const now = clock_.now();
    Document metadata{{"m", magic},
                      {"c", 1},
                      {"cu", Date{now}},
                      {"esize", bson::number(static_cast<std::int64_t>(body.encoded.size()))},
                      {"transferEncoding", body.transfer_encoding}};
    if (form.decoded) {
        metadata.set("decoded", true);
        metadata.set("lineLen", bson::number(static_cast<std::int64_t>(form.line_length)));
    }
    metadata.set("fileContentHash", body.content_digest);
    auto inserted = mongo_.insert(Db::gridfs, files,
                                  {{"_id", Binary{body.digest}},
                                   {"length", bson::number(static_cast<std::int64_t>(form.bytes.size()))},
                                   {"chunkSize", bson::number(chunk_bytes)},
                                   {"uploadDate", Date{now}},
                                   {"filename", bson::Null{}},
                                   {"contentType", body.content_type},
                                   {"metadata", std::move(metadata)}});
    if (!inserted && inserted.error().kind == ErrorKind::already_exists) undo();
    return inserted;
}

Result<void> Attachments::count(std::map<std::string, std::int64_t> const& digests, std::int32_t magic) {
    References references;
    for (auto const& [digest, times] : digests) references[digest] = {times, times * magic};
    return count(references);
}

Result<void> Attachments::count(References const& references) {
    std::vector<Write> writes;
    for (auto const& [digest, by] : references)
        writes.push_back({.filter = by_id(digest), .document = counting(by, clock_.now())});
    if (writes.empty()) return {};
    MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::gridfs, files, writes, false));
    if (auto error = first_failure(written)) return std::unexpected(std::move(*error));
    return {};
}

Result<std::string> Attachments::read(std::string_view digest) const {
    auto const missing = [&] {
        return fail(ErrorKind::corrupt, "an attachment is missing in the store", "attachment " + hex_encode(digest));
    };
    MALLARD_TRY_ASSIGN(auto const file, mongo_.find_one(Db::gridfs, files, by_id(digest)));
    if (!file) return missing();
    std::string bytes;
    std::int64_t next = 0;
    MALLARD_TRY(mongo_.find_each(Db::gridfs, chunks, {{"files_id", Binary{std::string(digest)}}}, {.sort = {{"n", 1}}},
                                 [&](Document chunk) {
                                     auto const* data = chunk.find("data");
                                     auto const* binary = data ? data->as<Binary>() : nullptr;
                                     if (!binary || chunk.integer("n", -1) != next) return false;
                                     bytes += binary->bytes;
                                     ++next;
                                     return true;
                                 }));
    if (static_cast<std::int64_t>(bytes.size()) != file->integer("length", -1)) return missing();
    auto const* metadata = file->document("metadata");
    if (!metadata || !metadata->boolean("decoded")) return bytes;
    std::string encoded = encode_lines(bytes, static_cast<std::size_t>(metadata->integer("lineLen", 76)));
    // Another writer may have dropped the line ends at the end (§10.3); the length is kept.
    auto const size = static_cast<std::size_t>(std::max<std::int64_t>(0, metadata->integer("esize")));
    while (encoded.size() + 2 <= size) encoded += "\r\n";
    if (encoded.size() < size) encoded += ' ';
    return encoded;
}

Result<bool> Attachments::sweep(std::int64_t limit) {
    Document const unused{{"metadata.c", 0}, {"metadata.m", 0}};
    Date const before{clock_.now() - unused_ms};
    Document filter = unused;
    filter.set("$or", bson::Array{Document{{"metadata.cu", bson::Null{}}},
                                  Document{{"metadata.cu", Document{{"$lt", before}}}}});
    MALLARD_TRY_ASSIGN(auto const found,
                       mongo_.find(Db::gridfs, files, filter,
                                   {.projection = {{"_id", 1}}, .limit = limit, .hint = "related_attachments_cu"}));
    for (auto const& file : found) {
        auto const* id = file.find("_id");
        if (!id) continue;
        // The chunks by their own ids: after the file is gone, the same body may be written anew.
        MALLARD_TRY_ASSIGN(auto const parts,
                           mongo_.find(Db::gridfs, chunks, {{"files_id", *id}}, {.projection = {{"_id", 1}}}));
        Document exactly = filter;
        exactly.set("_id", *id);
        MALLARD_TRY_ASSIGN(auto const erased, mongo_.erase(Db::gridfs, files, exactly));
        if (erased == 0) continue;  // used again meanwhile
        bson::Array ids;
        for (auto const& part : parts)
            if (auto const* part_id = part.find("_id")) ids.push_back(*part_id);
        if (!ids.empty())
            MALLARD_TRY(mongo_.erase(Db::gridfs, chunks, {{"_id", Document{{"$in", std::move(ids)}}}}, true));
    }
    return static_cast<std::int64_t>(found.size()) == limit;
}

}  // namespace mallard::store::cluster
