#include "base/ids.hpp"

#include <atomic>
#include <chrono>

#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard {

ObjectId ObjectId::generate() {
    static std::array<std::uint8_t, 5> const process = [] {
        std::array<std::uint8_t, 5> bytes;
        random_bytes(bytes.data(), bytes.size());
        return bytes;
    }();
    static std::atomic<std::uint32_t> counter = [] {
        std::uint32_t start;
        random_bytes(&start, sizeof start);
        return start & 0x7FFFFF;  // room to grow before the counter wraps
    }();
    auto const seconds = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
    std::uint32_t const count = counter.fetch_add(1, std::memory_order_relaxed);
    ObjectId id;
    for (int i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::uint8_t>(seconds >> (24 - 8 * i));
    std::memcpy(id.bytes.data() + 4, process.data(), process.size());
    for (int i = 0; i < 3; ++i) id.bytes[9 + i] = static_cast<std::uint8_t>(count >> (16 - 8 * i));
    return id;
}

std::optional<ObjectId> ObjectId::from_hex(std::string_view hex) {
    if (hex.size() != 24) return std::nullopt;
    auto const bytes = hex_decode(hex);
    if (!bytes) return std::nullopt;
    return from_bytes(*bytes);
}

ObjectId ObjectId::from_bytes(std::string_view twelve_bytes) {
    ObjectId id;
    std::memcpy(id.bytes.data(), twelve_bytes.data(), id.bytes.size());
    return id;
}

std::string ObjectId::hex() const { return hex_encode(view()); }

std::int64_t ObjectId::seconds() const {
    return std::int64_t{bytes[0]} << 24 | std::int64_t{bytes[1]} << 16 | std::int64_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace mallard
