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
    std::string bytes;
    bool decoded = false;
    std::size_t line_length = 0;
};
StoredForm stored_form(StoredBody const& body);                             // §10.3
std::string encode_lines(std::string_view bytes, std::size_t line_length);  // base64 with CRLF between the lines

class Attachments {
public:
    Attachments(MongoClient& mongo, Clock const& clock) : mongo_(mongo), clock_(clock) {}

    // One reference more to each; those that are new are written, and get their content_digest.
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

    Result<std::string> read(std::string_view digest) const;  // the encoded bytes; corrupt when parts are missing

    // Frees files without references; at most `limit`. true: there are more.
    Result<bool> sweep(std::int64_t limit);

private:
    Result<bool> add_reference(StoredBody const& body, std::int32_t magic);
    Result<void> store_one(StoredBody& body, std::int32_t magic);
    Result<void> write_file(StoredBody& body, std::int32_t magic);
    Result<void> remove_stale_chunks(std::string_view digest);

    MongoClient& mongo_;
    Clock const& clock_;
};

}  // namespace mallard::store::cluster
