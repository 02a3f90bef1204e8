#include "store/embedded/content.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "mime/message.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/pieces.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

// Text is read with its message and compresses well beside it; attachments are what many messages share.
constexpr std::size_t shared_text_min = 32 * 1024;
constexpr std::size_t shared_leaf_min = 8 * 1024;
constexpr std::size_t write_ahead_bytes = 1024 * 1024;  // a batch of a large message is written when it reaches this
constexpr std::uint64_t ref_block = 1u << 20;           // numbers reserved by one write
constexpr std::string_view next_ref_key = "next_ref";

void find_leaves(std::string_view source, mime::Entity const& entity, std::vector<Cut>& out) {
    for (auto const& child : entity.children) find_leaves(source, child, out);
    if (!entity.children.empty()) return;
    std::size_t const from = out.empty() ? 0 : out.back().end;
    if (entity.body_begin < from || entity.end > source.size() || entity.end < entity.body_begin) return;
    std::size_t const least = entity.type == "text" ? shared_text_min : shared_leaf_min;
    if (entity.end - entity.body_begin >= least) out.push_back({entity.body_begin, entity.end});
}

}  // namespace

std::vector<Cut> shared_leaves(std::string_view source, mime::Entity const* tree) {
    std::vector<Cut> cuts;
    if (tree && source.size() >= shared_leaf_min) find_leaves(source, *tree, cuts);
    return cuts;
}

std::uint64_t Layout::own_size() const {
    if (segments.empty()) return size;
    std::uint64_t own = 0;
    for (auto const& segment : segments)
        if (segment.leaf.empty()) own += segment.size;
    return own;
}

std::vector<std::string> Layout::leaves() const {
    std::vector<std::string> hashes;
    for (auto const& segment : segments)
        if (!segment.leaf.empty()) hashes.push_back(segment.leaf);
    std::ranges::sort(hashes);
    hashes.erase(std::ranges::unique(hashes).begin(), hashes.end());
    return hashes;
}

std::string encode_layout(Layout const& layout) {
    std::string out;
    put_varint(out, layout.size);
    put_varint(out, layout.segments.size());
    for (auto const& segment : layout.segments) {
        put_varint(out, segment.size << 1 | !segment.leaf.empty());
        out.append(segment.leaf);
    }
    return out;
}

Result<Layout> decode_layout(std::string_view bytes) {
    ByteReader in(bytes);
    Layout layout{.size = in.varint(), .segments = {}};
    std::uint64_t const count = in.varint();
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
        std::uint64_t const word = in.varint();
        Segment segment{.size = word >> 1, .leaf = {}};
        if (word & 1) segment.leaf = in.bytes(32);
        sum += segment.size;
        layout.segments.push_back(std::move(segment));
    }
    if (!in.ok() || !in.at_end() || (count > 0 && sum != layout.size))
        return fail(ErrorKind::corrupt, "A stored message is damaged; run the check command", "layout");
    return layout;
}

std::string body_key(BodyRef ref, std::uint32_t piece) {
    std::string key = key_of(ref);
    if (piece > 0) put_be32(key, piece);
    return key;
}

std::string leaf_key(std::string_view hash, std::uint32_t piece) {
    std::string key(hash);
    put_be32(key, piece);
    return key;
}

Content::Incoming::Incoming(Incoming&& other) noexcept
    : ref(other.ref),
      batch(std::move(other.batch)),
      content_(other.content_),
      hold_(std::move(other.hold_)),
      intent_(std::exchange(other.intent_, false)),
      stored_(other.stored_) {}

void Content::Incoming::stored() {
    stored_ = true;
    hold_.stored();
}

Content::Incoming::~Incoming() {
    if (!intent_) return;
    std::lock_guard const lock(content_->mutex_);
    content_->incoming_.erase(ref);
    if (!stored_) content_->leftovers_ = true;
}

bool Content::is_incoming(BodyRef ref) const {
    std::lock_guard const lock(mutex_);
    return incoming_.contains(ref);
}

Result<BodyRef> Content::new_ref(bool simple) {
    std::lock_guard const lock(mutex_);
    if (next_ == reserved_) {
        MALLARD_TRY_ASSIGN(auto const stored, engine_.get(table_meta, next_ref_key));
        std::uint64_t const start = stored && stored->size() == 8 ? get_be64(*stored) : 1;
        kv::WriteBatch batch;
        batch.put(table_meta, next_ref_key, key_of(start + ref_block));
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
        next_ = start;
        reserved_ = start + ref_block;
    }
    return next_++ << 1 | (simple ? 0 : 1);
}

Result<bool> Content::leaf_stored(std::string const& hash) const {
    if (pins_.known_stored(hash)) return true;
    MALLARD_TRY_ASSIGN(auto const refs, engine_.get(table_leaf_refs, hash));
    return refs && counter_value(*refs) > 0;
}

// The log is one file after the other, so the sync of the final commit makes these durable too.
Result<void> Content::write_ahead(Incoming& incoming) {
    MALLARD_TRY(engine_.commit(incoming.batch, kv::Durability::async));
    incoming.batch.clear();
    return {};
}

Result<Content::Incoming> Content::prepare(std::string_view source, mime::Entity const* tree) {
    Incoming incoming(*this, pins_);
    auto const cuts = shared_leaves(source, tree);
    Layout layout{.size = source.size(), .segments = {}};
    std::string gathered;  // the message's own octets, when leaves lie between them
    std::string_view own = source;
    if (!cuts.empty()) {
        std::size_t at = 0;
        for (auto const& cut : cuts) {
            if (cut.begin > at) layout.segments.push_back({.size = cut.begin - at, .leaf = {}});
            gathered.append(source.substr(at, cut.begin - at));
            layout.segments.push_back(
                {.size = cut.end - cut.begin, .leaf = sha256(source.substr(cut.begin, cut.end - cut.begin))});
            at = cut.end;
        }
        if (at < source.size()) layout.segments.push_back({.size = source.size() - at, .leaf = {}});
        gathered.append(source.substr(at));
        own = gathered;
    }
    bool const simple = cuts.empty() && own.size() <= piece_bytes_max;
    MALLARD_TRY_ASSIGN(incoming.ref, new_ref(simple));

    bool const ahead = source.size() > write_ahead_bytes;
    auto const leaves = layout.leaves();
    if (ahead) {
        {
            std::lock_guard const lock(mutex_);
            incoming_.insert(incoming.ref);
        }
        incoming.intent_ = true;
        std::string hashes;
        for (auto const& hash : leaves) hashes += hash;
        incoming.batch.put(table_intent, key_of(incoming.ref), hashes);
    }
    for (auto const& hash : leaves) incoming.hold_.pin(hash);

    std::set<std::string_view> written;
    std::size_t at = 0;
    for (auto const& segment : layout.segments) {
        std::string_view const octets = source.substr(at, segment.size);
        at += segment.size;
        if (segment.leaf.empty() || !written.insert(segment.leaf).second) continue;
        MALLARD_TRY_ASSIGN(bool const stored, leaf_stored(segment.leaf));
        for (std::uint32_t piece = 0; !stored && piece < piece_count(octets.size(), piece_bytes_max); ++piece) {
            auto const key = leaf_key(segment.leaf, piece);
            incoming.batch.put(table_leaf, key,
                               encode_piece(key, {}, octets.substr(piece * piece_bytes_max, piece_bytes_max)));
            if (ahead && incoming.batch.bytes() >= write_ahead_bytes) MALLARD_TRY(write_ahead(incoming));
        }
    }
    auto const plan = simple ? std::string{} : encode_layout(layout);
    for (std::uint32_t piece = 0; piece < std::max(1u, piece_count(own.size(), piece_bytes_max)); ++piece) {
        auto const key = body_key(incoming.ref, piece);
        incoming.batch.put(table_body, key,
                           encode_piece(key, piece == 0 ? plan : std::string_view{},
                                        own.substr(piece * piece_bytes_max, piece_bytes_max)));
        if (ahead && incoming.batch.bytes() >= write_ahead_bytes) MALLARD_TRY(write_ahead(incoming));
    }
    for (auto const& hash : leaves) incoming.batch.add(table_leaf_refs, hash, 1);
    if (ahead) incoming.batch.erase(table_intent, key_of(incoming.ref));
    return incoming;
}

}  // namespace mallard::store::embedded
