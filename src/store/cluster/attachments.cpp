#include "store/cluster/attachments.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/digest.hpp"
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

std::unexpected<Error> missing(bson::Value const& id) {
    auto const* digest = id.as<Binary>();
    return fail(ErrorKind::corrupt, "an attachment is missing in the store",
                "attachment " + hex_encode(digest ? digest->bytes : file_key(id)));
}

EncodedShape shape_of(Document const& file) {
    auto const positive = [](std::int64_t number, std::uint64_t fallback) {
        return number > 0 ? static_cast<std::uint64_t>(number) : fallback;
    };
    EncodedShape shape{.length = positive(file.integer("length"), 0)};
    auto const* metadata = file.document("metadata");
    if (!metadata || !metadata->boolean("decoded")) return shape;
    shape.decoded = true;
    shape.line_length = positive(metadata->integer("lineLen"), 76);
    shape.encoded_size = positive(metadata->integer("esize"), 0);
    return shape;
}

// Failures of single writes as one error; nullopt: there were none.
std::optional<Error> first_failure(Written const& written) {
    if (written.failures.empty()) return std::nullopt;
    return written.failures.front().error;
}

}  // namespace

Result<bool> Attachments::add_reference(StoredBody& body, std::int32_t magic) {
    MALLARD_TRY_ASSIGN(auto const before, mongo_.find_and_modify(Db::gridfs, files,
                                                                 {.filter = by_id(body.digest),
                                                                  .update = counting({1, magic}, clock_.now()),
                                                                  .projection = {{"length", 1}, {"metadata", 1}}}));
    if (before) body.altered = !gives_back(shape_of(*before), body);
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

// The chunks of a file, as they fill. A few go to the server at once.
class Attachments::ChunkWriter {
public:
    ChunkWriter(MongoClient& mongo, std::string const& digest) : mongo_(mongo), digest_(digest) {}

    // Takes all of `filled` that makes whole chunks; at the end the rest too.
    Result<void> take(std::string& filled, bool end) {
        std::size_t at = 0;
        for (; filled.size() - at >= chunk_bytes || (end && at < filled.size());) {
            std::string data = filled.substr(at, chunk_bytes);
            at += data.size();
            length_ += data.size();
            hash_.update(data);
            auto const id = ObjectId::generate();
            batch_.push_back({.kind = Write::Kind::insert,
                              .document = {{"_id", id},
                                           {"files_id", Binary{digest_}},
                                           {"n", bson::number(n_++)},
                                           {"data", Binary{std::move(data)}}}});
            written_ids_.emplace_back(id);
            if (batch_.size() == batch_chunks) MALLARD_TRY(flush());
        }
        filled.erase(0, at);
        return end ? flush() : Result<void>();
    }
    void undo() {  // only our own
        if (!written_ids_.empty())
            (void)mongo_.erase(Db::gridfs, chunks, {{"_id", Document{{"$in", written_ids_}}}}, true);
    }
    std::uint64_t length() const { return length_; }
    std::string content_digest() { return base64_encode(hash_.finish()); }

private:
    static constexpr std::size_t batch_chunks = 8;

    Result<void> flush() {
        auto const written = mongo_.bulk(Db::gridfs, chunks, batch_);
        batch_.clear();
        auto error = written ? first_failure(*written) : written.error();
        if (error) return std::unexpected(std::move(*error));
        return {};
    }

    MongoClient& mongo_;
    std::string const& digest_;
    std::vector<Write> batch_;
    bson::Array written_ids_;
    Sha256 hash_;
    std::uint64_t length_ = 0;
    std::int64_t n_ = 0;
};

Result<void> Attachments::write_file(StoredBody& body, std::int32_t magic) {
    StoredForm const form = stored_form(body);
    ChunkWriter writer(mongo_, body.digest);
    StoredBytes bytes(form.decoded);
    std::string filled;
    Result<void> done;
    body.text.for_each([&](std::string_view piece) {
        if (!done) return;
        bytes.take(piece, filled);
        if (filled.size() >= chunk_bytes) done = writer.take(filled, false);
    });
    if (done) done = writer.take(filled, true);
    if (!done) {
        writer.undo();
        return done;
    }
    body.content_digest = writer.content_digest();
    TimeMs const now = clock_.now();
    Document metadata{{"m", magic},
                      {"c", 1},
                      {"cu", Date{now}},
                      {"esize", bson::number(static_cast<std::int64_t>(body.text.size))},
                      {"transferEncoding", body.transfer_encoding}};
    if (form.decoded) {
        metadata.set("decoded", true);
        metadata.set("lineLen", bson::number(static_cast<std::int64_t>(form.line_length)));
    }
    metadata.set("fileContentHash", body.content_digest);
    auto inserted = mongo_.insert(Db::gridfs, files,
                                  {{"_id", Binary{body.digest}},
                                   {"length", bson::number(static_cast<std::int64_t>(writer.length()))},
                                   {"chunkSize", bson::number(chunk_bytes)},
                                   {"uploadDate", Date{now}},
                                   {"filename", bson::Null{}},
                                   {"contentType", body.content_type},
                                   {"metadata", std::move(metadata)}},
                                  // Others count themselves in as soon as it is there.
                                  [&](Document const& there) { return there.date("uploadDate") == now; });
    if (inserted) return inserted;
    body.content_digest.clear();
    if (inserted.error().kind == ErrorKind::already_exists) writer.undo();
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

std::string file_key(bson::Value const& id) { return Document{{"_id", id}}.encode(); }

Result<std::map<std::string, AttachmentReader>> Attachments::open(bson::Array const& ids) const {
    std::map<std::string, AttachmentReader> out;
    if (ids.empty()) return out;
    Document const filter = ids.size() == 1 ? Document{{"_id", ids[0]}} : Document{{"_id", Document{{"$in", ids}}}};
    MALLARD_TRY(mongo_.find_each(
        Db::gridfs, files, filter, {.projection = {{"length", 1}, {"chunkSize", 1}, {"metadata", 1}}},
        [&](Document file) {
            auto const* id = file.find("_id");
            if (!id) return true;
            std::int64_t const chunk = file.integer("chunkSize");
            out.emplace(file_key(*id), AttachmentReader(mongo_, *id, shape_of(file),
                                                        chunk > 0 ? static_cast<std::uint64_t>(chunk) : chunk_bytes));
            return true;
        }));
    return out;
}

Result<AttachmentReader> Attachments::open_one(bson::Value const& id) const {
    MALLARD_TRY_ASSIGN(auto found, open({id}));
    if (found.empty()) return missing(id);
    return std::move(found.begin()->second);
}

Result<std::string> Attachments::read(std::string_view digest) const {
    MALLARD_TRY_ASSIGN(auto reader, open_one(Binary{std::string(digest)}));
    std::string out;
    MALLARD_TRY(reader.read(0, reader.size(), out));
    return out;
}

Result<void> AttachmentReader::load(std::uint64_t first, std::uint64_t last) {
    loaded_.clear();
    first_chunk_ = first;
    Document filter{{"files_id", id_}};
    filter.set("n", Document{{"$gte", bson::number(static_cast<std::int64_t>(first))},
                             {"$lte", bson::number(static_cast<std::int64_t>(last))}});
    bool whole = true;
    MALLARD_TRY(mongo_->find_each(Db::gridfs, chunks, filter, {.sort = {{"n", 1}}}, [&](Document chunk) {
        auto const* data = chunk.find("data");
        auto const* binary = data ? data->as<Binary>() : nullptr;
        std::uint64_t const n = first + loaded_.size();
        std::uint64_t const expected = std::min(chunk_bytes_, shape_.length - n * chunk_bytes_);
        whole = binary && chunk.integer("n", -1) == static_cast<std::int64_t>(n) && binary->bytes.size() == expected;
        if (whole) loaded_.push_back(binary->bytes);
        return whole;
    }));
    if (whole && loaded_.size() == last - first + 1) return {};
    loaded_.clear();
    return missing(id_);
}

Result<void> AttachmentReader::read(std::uint64_t from, std::uint64_t to, std::string& out) {
    constexpr std::uint64_t step = 256 * 1024, chunks_at_once = 4;
    to = std::min(to, size());
    for (; from < to; from += step) {
        std::uint64_t const end = std::min(to, from + step);
        auto const range = shape_.stored_range(from, end);
        std::string stored;
        for (std::uint64_t at = range.from; at < range.to;) {
            std::uint64_t const n = at / chunk_bytes_;
            if (n < first_chunk_ || n >= first_chunk_ + loaded_.size())
                MALLARD_TRY(
                    load(n, std::min(n + chunks_at_once, (shape_.length + chunk_bytes_ - 1) / chunk_bytes_) - 1));
            std::string const& chunk = loaded_[n - first_chunk_];
            std::uint64_t const begin = at - n * chunk_bytes_;
            std::uint64_t const count = std::min<std::uint64_t>(chunk.size() - begin, range.to - at);
            stored.append(chunk, begin, count);
            at += count;
        }
        shape_.append(from, end, stored, out);
    }
    return {};
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
