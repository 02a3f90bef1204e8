#pragma once
// Bytes on disk: varints, big-endian keys, columns of numbers. Writers append to a string; the reader never runs past
// its end: after a damaged input it gives zeros and ok() is false. Pure.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace mallard::store::embedded {

inline void put_varint(std::string& out, std::uint64_t v) {
    while (v >= 0x80) {
        out.push_back(static_cast<char>(v | 0x80));
        v >>= 7;
    }
    out.push_back(static_cast<char>(v));
}

inline void put_text(std::string& out, std::string_view text) {
    put_varint(out, text.size());
    out.append(text);
}

inline std::uint64_t zigzag(std::int64_t v) {
    return static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63);
}
inline std::int64_t unzigzag(std::uint64_t v) { return static_cast<std::int64_t>(v >> 1 ^ (~(v & 1) + 1)); }

inline void put_be32(std::string& out, std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(v >> shift));
}
inline void put_be64(std::string& out, std::uint64_t v) {
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(v >> shift));
}
inline std::uint32_t get_be32(std::string_view in) {  // precondition: at least 4 octets
    std::uint32_t v = 0;
    for (int i = 0; i < 4; ++i) v = v << 8 | static_cast<std::uint8_t>(in[i]);
    return v;
}
inline std::uint64_t get_be64(std::string_view in) {  // precondition: at least 8 octets
    std::uint64_t v = 0;
    for (int i = 0; i < 8; ++i) v = v << 8 | static_cast<std::uint8_t>(in[i]);
    return v;
}

inline std::string key_of(std::uint64_t number) {
    std::string key;
    put_be64(key, number);
    return key;
}
inline std::string key_of(ObjectId id, std::uint64_t number) {
    std::string key(id.view());
    put_be64(key, number);
    return key;
}
inline std::string key_of(ObjectId id, std::uint32_t number) {
    std::string key(id.view());
    put_be32(key, number);
    return key;
}
// Counters as kv keeps them: 64 bits, little-endian.
inline std::int64_t counter_value(std::string_view bytes) {
    std::uint64_t v = 0;
    for (std::size_t i = bytes.size() < 8 ? bytes.size() : 8; i-- > 0;)
        v = v << 8 | static_cast<std::uint8_t>(bytes[i]);
    return static_cast<std::int64_t>(v);
}

class ByteReader {
public:
    explicit ByteReader(std::string_view in) : rest_(in) {}

    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }

    std::uint64_t varint() {
        if (!rest_.empty() && !(rest_.front() & 0x80)) {  // most are short
            auto const v = static_cast<std::uint8_t>(rest_.front());
            rest_.remove_prefix(1);
            return v;
        }
        std::uint64_t v = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (rest_.empty()) break;
            auto const byte = static_cast<std::uint8_t>(rest_.front());
            rest_.remove_prefix(1);
            v |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
            if (!(byte & 0x80)) return v;
        }
        return damaged(), 0;
    }
    std::uint8_t byte() {
        if (rest_.empty()) return damaged(), std::uint8_t{0};
        auto const b = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return b;
    }
    std::string_view bytes(std::uint64_t n) {
        if (n > rest_.size()) return damaged(), std::string_view{};
        auto const out = rest_.substr(0, n);
        rest_.remove_prefix(n);
        return out;
    }
    std::string_view text() { return bytes(varint()); }
    ObjectId id() {
        auto const b = bytes(12);
        return b.size() == 12 ? ObjectId::from_bytes(b) : ObjectId{};
    }
    std::uint64_t le64() {
        auto const b = bytes(8);
        return b.size() == 8 ? static_cast<std::uint64_t>(counter_value(b)) : 0;
    }

private:
    void damaged() {
        ok_ = false;
        rest_ = {};
    }
    std::string_view rest_;
    bool ok_ = true;
};

// A column: numbers, as runs of equal values where that is shorter. What is sequential is packed as differences first.
enum class ColumnForm : std::uint8_t { plain = 0, runs = 1 };
void put_column(std::string& out, std::span<std::uint64_t const> values);

// Calls set(i, value) for each of a column's numbers. false: damaged.
template <class Set>
bool get_column(ByteReader& in, std::size_t count, Set&& set) {
    auto const form = static_cast<ColumnForm>(in.byte());
    if (form == ColumnForm::plain) {
        for (std::size_t i = 0; i < count; ++i) set(i, in.varint());
        return in.ok();
    }
    if (form != ColumnForm::runs) return false;
    for (std::size_t i = 0; i < count;) {
        std::uint64_t const run = in.varint();
        std::uint64_t const value = in.varint();
        if (!in.ok() || run == 0 || run > count - i) return false;
        for (std::size_t const end = i + run; i < end; ++i) set(i, value);
    }
    return in.ok();
}

// A list of numbers that mostly grow by a constant step: 100,000 consecutive body references take a few octets.
void put_numbers(std::string& out, std::span<std::uint64_t const> numbers);
std::vector<std::uint64_t> get_numbers(ByteReader& in);

// No packed list is longer: what claims to be is damaged.
inline constexpr std::uint64_t packed_numbers_max = 1u << 26;

}  // namespace mallard::store::embedded
