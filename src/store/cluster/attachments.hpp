#pragma once
// Attachments: bodies that left the tree, as files of the GridFS bucket `attachments`, each once (storage.md §10).
//
// - A file's _id is the SHA-256 of the encoded body. Its `c` counts the messages' references, `m` sums their magics.
// - A reference is counted before the document that has it is written, and released after that document is gone: a
//   crash between leaves a count too high, never one too low.
// - Only what has c = 0 and m = 0 for a day is freed; the check is part of the deletion.
// - Base64 is stored decoded only if encoding it again gives the same bytes.
// Threads: every call may come from any thread.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "store/cluster/mime_tree.hpp"
#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

// What is stored of a body: decoded when that loses nothing.
struct StoredForm {
    bool decoded = false;
    std::uint64_t line_length = 0;
};
StoredForm stored_form(StoredBody const& body);                             // §10.3
std::string encode_lines(std::string_view bytes, std::size_t line_length);  // base64 with CRLF between the lines

// Makes what is stored of what comes in pieces.
class StoredBytes {
public:
    explicit StoredBytes(bool decoded) : decoded_(decoded) {}
    void take(std::string_view piece, std::string& out);  // appends

private:
    bool decoded_;
    unsigned bits_ = 0, bit_count_ = 0;
};

// Where the encoded octets of a file come from.
struct EncodedShape {
    std::uint64_t length = 0;  // stored octets
    bool decoded = false;
    std::uint64_t line_length = 76;
    std::uint64_t encoded_size = 0;  // esize: what WildDuck drops at the end is made up for (§10.3)

    struct Range {
        std::uint64_t from = 0, to = 0;
    };
    std::uint64_t size() const;                                      // encoded
    Range stored_range(std::uint64_t from, std::uint64_t to) const;  // the stored octets behind encoded ones
    void append(std::uint64_t from, std::uint64_t to, std::string_view stored, std::string& out) const;

private:
    std::uint64_t natural_size() const;
    std::uint64_t character_at(std::uint64_t position) const;
};

// Whether the file under a body's digest gives exactly its bytes. One of ours does; WildDuck decodes base64 that cannot
// be made again, too (§10.3).
bool gives_back(EncodedShape const& stored, StoredBody const& body);

// An open file of the bucket. It holds a few chunks, never the whole. Belongs to one thread at a time.
class AttachmentReader {
public:
    AttachmentReader(MongoClient& mongo, bson::Value id, EncodedShape shape, std::uint64_t chunk_bytes)
        : mongo_(&mongo), id_(std::move(id)), shape_(shape), chunk_bytes_(chunk_bytes) {}
    std::uint64_t size() const { return shape_.size(); }
    bool decoded() const { return shape_.decoded; }
    // Appends the encoded octets [from, to) to out; corrupt when chunks are missing.
    Result<void> read(std::uint64_t from, std::uint64_t to, std::string& out);

private:
    Result<void> load(std::uint64_t first, std::uint64_t last);

    MongoClient* mongo_;
    bson::Value id_;
    EncodedShape shape_;
    std::uint64_t chunk_bytes_;
    std::uint64_t first_chunk_ = 0;  // of those in memory
    std::vector<std::string> loaded_;
};

std::string file_key(bson::Value const& id);

class Attachments {
public:
    Attachments(MongoClient& mongo, Clock const& clock) : mongo_(mongo), clock_(clock) {}

    // One reference more to each; those that are new are written, and get their content_digest. Of those that are there
    // but would give other bytes `altered` is set.
    // On failure none of the references is kept.
    Result<void> store(std::vector<StoredBody>& bodies, std::int32_t magic);
    // `times` references with this magic to each digest; negative: released.
    Result<void> count(std::map<std::string, std::int64_t> const& digests, std::int32_t magic);
    // The same for messages of different magics, in one request.
    struct Reference {
        std::int64_t times = 0, magics = 0;  // magics: the sum
    };
    using References = std::map<std::string, Reference>;
    Result<void> count(References const& references);

    // Files by file_key of their ids (digests, as a rule); what is missing is not among them.
    Result<std::map<std::string, AttachmentReader>> open(bson::Array const& ids) const;
    Result<AttachmentReader> open_one(bson::Value const& id) const;  // corrupt when it is missing
    Result<std::string> read(std::string_view digest) const;         // all of a small one

    // Frees files without references; at most `limit`. true: there are more.
    Result<bool> sweep(std::int64_t limit);

private:
    class ChunkWriter;
    Result<bool> add_reference(StoredBody& body, std::int32_t magic);
    Result<void> store_one(StoredBody& body, std::int32_t magic);
    Result<void> write_file(StoredBody& body, std::int32_t magic);
    Result<void> remove_stale_chunks(std::string_view digest);

    MongoClient& mongo_;
    Clock const& clock_;
};

}  // namespace mallard::store::cluster
