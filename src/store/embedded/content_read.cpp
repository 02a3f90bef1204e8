// Reading bodies back: piece by piece, each verified; the last piece is kept, since readers go forward in small steps.

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/content.hpp"
#include "store/embedded/pieces.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

std::unexpected<Error> missing_piece() {
    return fail(ErrorKind::corrupt, "A stored message is damaged; run the check command", "a piece is missing");
}

class StoredBody final : public BodyReader {
public:
    // `value` holds piece 0 of the body.
    static Result<std::unique_ptr<StoredBody>> create(kv::Engine& engine, BodyRef ref, std::string_view value) {
        auto body = std::unique_ptr<StoredBody>(new StoredBody(engine, ref));
        MALLARD_TRY_ASSIGN(Piece const piece, open_piece(body_key(ref, 0), value));
        if (piece.layout.empty()) {
            body->layout_.size = piece.size;
        } else {
            MALLARD_TRY_ASSIGN(body->layout_, decode_layout(piece.layout));
        }
        if (body->layout_.segments.empty()) body->layout_.segments.push_back({.size = body->layout_.size, .leaf = {}});
        MALLARD_TRY(unpack_piece(piece, body->octets_));
        body->key_ = body_key(ref, 0);
        return body;
    }

    std::uint64_t size() const override { return layout_.size; }

    Result<void> read(std::uint64_t offset, std::uint64_t length, std::string& out) override {
        if (offset >= layout_.size) return {};
        length = std::min(length, layout_.size - offset);
        std::uint64_t begin = 0, own = 0;  // where the segment starts in the message, and in the message's own octets
        for (auto const& segment : layout_.segments) {
            if (length == 0) break;
            if (offset < begin + segment.size) {
                std::uint64_t const within = offset - begin;
                std::uint64_t const n = std::min(length, segment.size - within);
                MALLARD_TRY(read_segment(segment, segment.leaf.empty() ? own + within : within, n, out));
                offset += n;
                length -= n;
            }
            begin += segment.size;
            if (segment.leaf.empty()) own += segment.size;
        }
        return {};
    }

private:
    StoredBody(kv::Engine& engine, BodyRef ref) : engine_(engine), ref_(ref) {}

    Result<void> read_segment(Segment const& segment, std::uint64_t from, std::uint64_t length, std::string& out) {
        while (length > 0) {
            auto const number = static_cast<std::uint32_t>(from / piece_bytes_max);
            std::uint64_t const within = from % piece_bytes_max;
            MALLARD_TRY(load(segment.leaf, number));
            if (within >= octets_.size()) return missing_piece();
            std::uint64_t const n = std::min<std::uint64_t>(length, octets_.size() - within);
            out.append(octets_, within, n);
            from += n;
            length -= n;
        }
        return {};
    }

    Result<void> load(std::string const& leaf, std::uint32_t number) {
        std::string key = leaf.empty() ? body_key(ref_, number) : leaf_key(leaf, number);
        if (key == key_) return {};
        MALLARD_TRY_ASSIGN(auto const value, engine_.get(leaf.empty() ? table_body : table_leaf, key));
        if (!value) return missing_piece();
        MALLARD_TRY_ASSIGN(Piece const piece, open_piece(key, *value));
        key_.clear();
        octets_.clear();
        MALLARD_TRY(unpack_piece(piece, octets_));
        key_ = std::move(key);
        return {};
    }

    kv::Engine& engine_;
    BodyRef ref_;
    Layout layout_;
    std::string key_;     // of the piece that octets_ holds
    std::string octets_;  // unpacked
};

std::unexpected<Error> vanished() { return fail(ErrorKind::not_found, "The message was removed"); }

}  // namespace

Result<std::unique_ptr<BodyReader>> Content::open(BodyRef ref) const {
    MALLARD_TRY_ASSIGN(auto const value, engine_.get(table_body, body_key(ref, 0)));
    if (!value) return vanished();
    return StoredBody::create(engine_, ref, *value);
}

Result<void> Content::read_whole(BodyRef ref, std::string_view value, std::string& out) const {
    if (is_simple(ref)) {
        MALLARD_TRY_ASSIGN(Piece const piece, open_piece(key_of(ref), value));
        return unpack_piece(piece, out);
    }
    MALLARD_TRY_ASSIGN(auto const body, StoredBody::create(engine_, ref, value));
    return body->read(0, body->size(), out);
}

Result<Layout> Content::layout(BodyRef ref) const {
    auto const key = body_key(ref, 0);
    MALLARD_TRY_ASSIGN(auto const value, engine_.get(table_body, key));
    if (!value) return vanished();
    MALLARD_TRY_ASSIGN(Piece const piece, open_piece(key, *value));
    if (piece.layout.empty()) return Layout{.size = piece.size, .segments = {}};
    return decode_layout(piece.layout);
}

}  // namespace mallard::store::embedded
