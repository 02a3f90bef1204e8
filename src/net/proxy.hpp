#pragma once
// The PROXY header, versions 1 and 2 (haproxy's proxy-protocol.txt): who the peer of a load balancer really is. Pure.

#include <cstddef>
#include <optional>
#include <string_view>

#include "net/address.hpp"

namespace mallard::net {

constexpr std::size_t proxy_v1_bytes_max = 107;  // §2.1: CRLF included

struct ProxyHeader {
    enum class State { need_more, done, bad } state = State::need_more;
    std::size_t length = 0;  // done: octets of the header; need_more: all octets given belong to it
    // Empty: UNKNOWN, LOCAL or not an IP address: the socket's own addresses stay.
    std::optional<Address> source;
    std::optional<Address> destination;
};

// `bytes`: what has come so far, from the first octet of the connection on.
ProxyHeader parse_proxy(std::string_view bytes);

}  // namespace mallard::net
