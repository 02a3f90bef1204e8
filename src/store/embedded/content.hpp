#pragma once
// Content: the bytes of messages. A message is cut at the borders of its MIME leaves: a large leaf is stored once for
// all messages of all users, under the hash of its encoded octets; the rest lies with the message. The order of the
// pieces is the message, so the bytes that came are the bytes that go.
//
// - A body reference is never used twice. Its lowest bit says that the body is not just one piece: it has leaves, or
//   more than piece_bytes_max of its own.
// - What is written ahead of a commit is named in `intent` first, so that a crash leaves nothing that cannot be found.
// - Threads: every call may come from any thread.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/engine.hpp"
#include "store/embedded/leaf_pins.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

using BodyRef = std::uint64_t;
inline bool is_simple(BodyRef ref) { return (ref & 1) == 0; }

struct Segment {
    std::uint64_t size = 0;
    std::string leaf;  // its hash; empty: octets of the message's own
    bool operator==(Segment const&) const = default;
};

struct Layout {
    std::uint64_t size = 0;         // of the whole message
    std::vector<Segment> segments;  // empty: all of it is the message's own
    std::uint64_t own_size() const;
    std::vector<std::string> leaves() const;  // distinct
};
std::string encode_layout(Layout const& layout);
Result<Layout> decode_layout(std::string_view bytes);  // corrupt

// Where a message is cut: [begin, end) of the leaves worth sharing, ascending, disjoint.
struct Cut {
    std::size_t begin = 0, end = 0;
};
std::vector<Cut> shared_leaves(std::string_view source, mime::Entity const* tree);

inline std::uint32_t piece_count(std::uint64_t size, std::size_t piece_max) {
    return static_cast<std::uint32_t>((size + piece_max - 1) / piece_max);
}
std::string body_key(BodyRef ref, std::uint32_t piece);
std::string leaf_key(std::string_view hash, std::uint32_t piece);

class Content {
public:
    explicit Content(kv::Engine& engine) : engine_(engine) {}

    // A body on its way in: what its commit has to write. Keeps its leaves pinned while it lives.
    class Incoming {
    public:
        BodyRef ref = 0;
        kv::WriteBatch batch;
        void stored();  // the commit succeeded
        ~Incoming();
        Incoming(Incoming&& other) noexcept;
        Incoming(Incoming const&) = delete;

    private:
        friend class Content;
        Incoming(Content& content, LeafPins& pins) : content_(&content), hold_(pins) {}
        Content* content_;
        LeafPins::Hold hold_;
        bool intent_ = false, stored_ = false;
    };
    Result<Incoming> prepare(std::string_view source, mime::Entity const* tree);

    Result<std::unique_ptr<BodyReader>> open(BodyRef ref) const;  // not_found, corrupt
    // The whole of a body whose piece 0 lies in `value`; appends to out.
    Result<void> read_whole(BodyRef ref, std::string_view value, std::string& out) const;
    Result<Layout> layout(BodyRef ref) const;  // not_found, corrupt

    LeafPins& pins() { return pins_; }
    bool is_incoming(BodyRef ref) const;                          // an append is writing it ahead at this moment
    bool take_leftovers() { return leftovers_.exchange(false); }  // one gave up since this was asked: see `intent`

private:
    Result<BodyRef> new_ref(bool simple);
    Result<bool> leaf_stored(std::string const& hash) const;
    Result<void> write_ahead(Incoming& incoming);

    kv::Engine& engine_;
    LeafPins pins_;
    mutable std::mutex mutex_;
    std::uint64_t next_ = 0, reserved_ = 0;  // numbers [next_, reserved_) are ours
    std::set<BodyRef> incoming_;
    std::atomic<bool> leftovers_ = true;  // of the time before: unknown
};

}  // namespace mallard::store::embedded
