#include "store/embedded/pieces.hpp"

#include <xxhash.h>
#include <zstd.h>

#include <memory>
#include <mutex>
#include <vector>

#include "store/embedded/codec.hpp"

namespace mallard::store::embedded {

namespace {

constexpr int zstd_level = 1;  // 10 KB of text: 20 µs; a higher level gains a few percent for twice the time

enum Codec : std::uint8_t { raw = 0, zstd = 1 };

// Contexts are costly to make and large: a few are kept and handed round, however many threads there are.
template <class Context, auto create, auto destroy>
class Pool {
public:
    struct Free {
        void operator()(Context* context) const { destroy(context); }
    };
    using Owned = std::unique_ptr<Context, Free>;

    class Lease {
    public:
        Lease(Pool& pool, Owned context) : pool_(pool), context_(std::move(context)) {}
        Lease(Lease const&) = delete;
        Lease& operator=(Lease const&) = delete;
        ~Lease() { pool_.give_back(std::move(context_)); }
        Context* get() const { return context_.get(); }

    private:
        Pool& pool_;
        Owned context_;
    };

    Lease take() {
        {
            std::lock_guard const lock(mutex_);
            if (!idle_.empty()) {
                Owned context = std::move(idle_.back());
                idle_.pop_back();
                return Lease(*this, std::move(context));
            }
        }
        return Lease(*this, Owned(create()));
    }

private:
    static constexpr std::size_t idle_max = 16;
    void give_back(Owned context) {
        std::lock_guard const lock(mutex_);
        if (idle_.size() < idle_max) idle_.push_back(std::move(context));
    }
    std::mutex mutex_;
    std::vector<Owned> idle_;
};

using CompressPool = Pool<ZSTD_CCtx, ZSTD_createCCtx, ZSTD_freeCCtx>;
using DecompressPool = Pool<ZSTD_DCtx, ZSTD_createDCtx, ZSTD_freeDCtx>;

CompressPool& compressors() {
    static CompressPool pool;
    return pool;
}
DecompressPool& decompressors() {
    static DecompressPool pool;
    return pool;
}

std::uint64_t checksum(std::string_view key, std::string_view value) {
    return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorKind::corrupt, "A stored message is damaged; run the check command", std::string(what));
}

}  // namespace

std::string encode_piece(std::string_view key, std::string_view layout, std::string_view octets) {
    std::string out(8, '\0');  // the checksum's place
    out.reserve(8 + 16 + layout.size() + ZSTD_compressBound(octets.size()));
    out.push_back(zstd);
    put_varint(out, octets.size());
    put_text(out, layout);
    std::size_t const head = out.size();

    std::size_t packed = 0;
    if (octets.size() >= 64) {
        out.resize(head + ZSTD_compressBound(octets.size()));
        auto const context = compressors().take();
        packed = ZSTD_compressCCtx(context.get(), out.data() + head, out.size() - head, octets.data(), octets.size(),
                                   zstd_level);
        if (ZSTD_isError(packed) || packed > octets.size() - octets.size() / 32) packed = 0;
    }
    if (packed > 0) {
        out.resize(head + packed);
    } else {
        out.resize(head);
        out[8] = raw;
        out.append(octets);
    }
    std::uint64_t const sum = checksum(key, std::string_view(out).substr(8));
    for (int i = 0; i < 8; ++i) out[i] = static_cast<char>(sum >> (8 * i));
    return out;
}

Result<Piece> open_piece(std::string_view key, std::string_view value) {
    ByteReader in(value);
    std::uint64_t const sum = in.le64();
    if (!in.ok() || sum != checksum(key, in.rest())) return damaged("checksum of a piece");
    Piece piece;
    std::uint8_t const codec = in.byte();
    piece.compressed = codec == zstd;
    piece.size = in.varint();
    piece.layout = in.text();
    piece.payload = in.rest();
    if (!in.ok() || codec > zstd || piece.size > piece_bytes_max ||
        (!piece.compressed && piece.size != piece.payload.size()))
        return damaged("form of a piece");
    return piece;
}

Result<void> unpack_piece(Piece const& piece, std::string& out) {
    if (!piece.compressed) {
        out.append(piece.payload);
        return {};
    }
    std::size_t const before = out.size();
    out.resize(before + piece.size);
    auto const context = decompressors().take();
    std::size_t const got =
        ZSTD_decompressDCtx(context.get(), out.data() + before, piece.size, piece.payload.data(), piece.payload.size());
    if (ZSTD_isError(got) || got != piece.size) return damaged("compression of a piece");
    return {};
}

}  // namespace mallard::store::embedded
