#pragma once
// Object ids: 12 bytes as BSON's (4 bytes seconds big-endian, 5 random per process, 3 counter), written as 24 hex.
// Each kind of thing has a type of its own, so that a mailbox id cannot be passed for a user id.

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace mallard {

struct ObjectId {
    std::array<std::uint8_t, 12> bytes{};

    static ObjectId generate();  // thread-safe; increasing within a process
    static std::optional<ObjectId> from_hex(std::string_view hex);
    static ObjectId from_bytes(std::string_view twelve_bytes);  // precondition: size 12
    std::string hex() const;
    std::string_view view() const { return {reinterpret_cast<char const*>(bytes.data()), bytes.size()}; }
    std::int64_t seconds() const;  // creation time, unix seconds
    bool is_nil() const { return *this == ObjectId{}; }
    auto operator<=>(ObjectId const&) const = default;
};

template <class Tag>
struct Id : ObjectId {
    Id() = default;
    explicit Id(ObjectId id) : ObjectId(id) {}
    static Id generate() { return Id(ObjectId::generate()); }
    static std::optional<Id> from_hex(std::string_view hex) {
        auto id = ObjectId::from_hex(hex);
        if (!id) return std::nullopt;
        return Id(*id);
    }
    static Id from_bytes(std::string_view bytes) { return Id(ObjectId::from_bytes(bytes)); }
    auto operator<=>(Id const&) const = default;
};

using UserId = Id<struct UserTag>;
using MailboxId = Id<struct MailboxTag>;
using MessageId = Id<struct MessageTag>;
using ThreadId = Id<struct ThreadTag>;
using AddressId = Id<struct AddressTag>;

}  // namespace mallard

template <>
struct std::hash<mallard::ObjectId> {
    std::size_t operator()(mallard::ObjectId const& id) const noexcept {
        std::uint64_t tail;
        std::memcpy(&tail, id.bytes.data() + 4, sizeof tail);  // the counter is in the last bytes
        return tail * 0x9E3779B97F4A7C15ULL;
    }
};
template <class Tag>
struct std::hash<mallard::Id<Tag>> : std::hash<mallard::ObjectId> {};
