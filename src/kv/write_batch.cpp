#include <cstring>

#include "kv/engine.hpp"

namespace mallard::kv {

namespace {

// kind, table, key size, value size; then key and value.
constexpr std::size_t header_bytes = 2 + 2 * sizeof(std::uint32_t);

}  // namespace

void WriteBatch::write(Kind kind, Table table, std::string_view key, std::string_view value) {
    char header[header_bytes];
    auto const key_size = static_cast<std::uint32_t>(key.size());
    auto const value_size = static_cast<std::uint32_t>(value.size());
    header[0] = static_cast<char>(kind);
    header[1] = static_cast<char>(table);
    std::memcpy(header + 2, &key_size, sizeof key_size);
    std::memcpy(header + 6, &value_size, sizeof value_size);
    ops_.append(header, header_bytes).append(key).append(value);
    ++count_;
}

WriteBatch::Op WriteBatch::read(std::size_t& at) const {
    std::string_view const ops = ops_;
    std::uint32_t key_size;
    std::uint32_t value_size;
    Op op;
    op.kind = static_cast<Kind>(ops[at]);
    op.table = static_cast<Table>(ops[at + 1]);
    std::memcpy(&key_size, ops.data() + at + 2, sizeof key_size);
    std::memcpy(&value_size, ops.data() + at + 6, sizeof value_size);
    op.key = ops.substr(at + header_bytes, key_size);
    op.value = ops.substr(at + header_bytes + key_size, value_size);
    at += header_bytes + key_size + value_size;
    return op;
}

void WriteBatch::put(Table table, std::string_view key, std::string_view value) { write(Kind::put, table, key, value); }

void WriteBatch::erase(Table table, std::string_view key) { write(Kind::erase, table, key, {}); }

void WriteBatch::erase_range(Table table, std::string_view first, std::string_view last) {
    if (first < last) write(Kind::erase_range, table, first, last);
}

void WriteBatch::add(Table table, std::string_view key, std::int64_t by) {
    char bytes[sizeof by];
    std::memcpy(bytes, &by, sizeof by);
    write(Kind::add, table, key, {bytes, sizeof by});
}

void WriteBatch::append(WriteBatch const& other) {
    ops_ += other.ops_;
    count_ += other.count_;
}

void WriteBatch::clear() {
    ops_.clear();
    count_ = 0;
}

KeyRange KeyRange::prefix(std::string_view prefix) {
    KeyRange range{std::string(prefix), std::string(prefix)};
    while (!range.last.empty() && static_cast<unsigned char>(range.last.back()) == 0xff) range.last.pop_back();
    if (!range.last.empty()) range.last.back() = static_cast<char>(range.last.back() + 1);
    return range;
}

}  // namespace mallard::kv
