#pragma once
// Pieces: how octets lie in a value of the tables `body` and `leaf`: at most 256 KiB each, zstd unless that does not
// help, with a checksum over everything and the key, which every read verifies. Thread-safe.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::store::embedded {

inline constexpr std::size_t piece_bytes_max = 256 * 1024;  // before compression

struct Piece {
    std::string_view layout;   // of a body's piece 0; views into the value
    std::string_view payload;  // as stored
    bool compressed = false;
    std::size_t size = 0;  // of the octets, uncompressed
};

// The value to store under `key`. `layout`: what else piece 0 of a body says (content.hpp); else empty.
std::string encode_piece(std::string_view key, std::string_view layout, std::string_view octets);
Result<Piece> open_piece(std::string_view key, std::string_view value);  // verifies the checksum; corrupt
Result<void> unpack_piece(Piece const& piece, std::string& out);         // appends the octets; corrupt

}  // namespace mallard::store::embedded
