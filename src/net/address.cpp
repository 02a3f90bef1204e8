#include "net/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace mallard::net {

namespace {

constexpr std::array<unsigned char, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};  // RFC 4291 §2.5.5.2

void set_ipv4(Address& address, void const* bytes) {
    std::ranges::copy(mapped_prefix, address.bytes.begin());
    std::memcpy(address.bytes.data() + 12, bytes, 4);
}

}  // namespace

std::string Address::to_string() const {
    char text[INET6_ADDRSTRLEN] = {};
    bool const ipv4 = std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes.begin());
    if (ipv4)
        ::inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
    else
        ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    return text;
}

Address address_of(sockaddr_storage const& from) {
    Address address;
    if (from.ss_family == AF_INET) {
        auto const& in = reinterpret_cast<sockaddr_in const&>(from);
        set_ipv4(address, &in.sin_addr);
        address.port = ntohs(in.sin_port);
    } else if (from.ss_family == AF_INET6) {
        auto const& in6 = reinterpret_cast<sockaddr_in6 const&>(from);
        std::memcpy(address.bytes.data(), &in6.sin6_addr, 16);
        address.port = ntohs(in6.sin6_port);
    }
    return address;
}

std::optional<Address> parse_address(std::string_view text) {
    std::string const copy(text);
    Address address;
    in_addr ipv4;
    if (::inet_pton(AF_INET, copy.c_str(), &ipv4) == 1) {
        set_ipv4(address, &ipv4);
        return address;
    }
    if (::inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
    return std::nullopt;
}

}  // namespace mallard::net
