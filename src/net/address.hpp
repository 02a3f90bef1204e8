#pragma once
// Address: an IP address and a port, IPv4 as IPv4-mapped IPv6. A value, small enough for every connection to hold two.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr_storage;

namespace mallard::net {

struct Address {
    std::array<unsigned char, 16> bytes{};
    std::uint16_t port = 0;

    friend auto operator<=>(Address const&, Address const&) = default;
    std::string to_string() const;  // without port; IPv4-mapped prefix cut
};

Address address_of(sockaddr_storage const& from);
std::optional<Address> parse_address(std::string_view text);  // IPv4 or IPv6 in its text form; port 0

}  // namespace mallard::net
