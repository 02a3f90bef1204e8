#include "net/listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace mallard::net {

namespace {

constexpr rlim_t files_wanted = 262'144;  // each connection is one
constexpr int backlog = 4096;             // the kernel cuts it to net.core.somaxconn

Error bind_error(ListenerConfig const& config, int number) {
    std::string const where =
        config.service + ": cannot listen on " + config.host + " port " + std::to_string(config.port);
    switch (number) {
        case EADDRINUSE:
            return {
                ErrorKind::conflict,
                where + ": the port is in use; stop what listens there (ss -ltnp shows it) or configure another port",
                {}};
        case EACCES:
            return {ErrorKind::denied,
                    where + ": not permitted; ports below 1024 need root, CAP_NET_BIND_SERVICE or a redirect",
                    {}};
        case EADDRNOTAVAIL: return {ErrorKind::invalid, where + ": no interface of this machine has that address", {}};
        default: return {ErrorKind::io, where + ": " + std::strerror(number), {}};
    }
}

struct AddressInfo {
    addrinfo* list = nullptr;
    ~AddressInfo() {
        if (list != nullptr) ::freeaddrinfo(list);
    }
};

void set_option(int socket, int level, int name, int value) { ::setsockopt(socket, level, name, &value, sizeof value); }

// Accepted sockets inherit all of these.
void set_options(int socket, int family) {
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);  // a restart need not wait for TIME_WAIT
    if (family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 300);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 30);
}

}  // namespace

bool Listener::is_proxy(Address peer) const {
    if (proxies_all) return true;
    peer.port = 0;
    return std::ranges::find(proxies, peer) != proxies.end();
}

bool Listener::enter_address(Address peer) {
    std::lock_guard const lock(mutex_);
    std::size_t& count = per_address_[peer.bytes];
    if (count >= config.connections_per_address_max) return false;
    ++count;
    return true;
}

void Listener::leave_address(Address peer) {
    std::lock_guard const lock(mutex_);
    auto const it = per_address_.find(peer.bytes);
    if (it != per_address_.end() && --it->second == 0) per_address_.erase(it);
}

Result<int> open_listener(ListenerConfig const& config) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    AddressInfo found;
    bool const any = config.host.empty() || config.host == "*";
    int const looked_up = ::getaddrinfo(any ? "0.0.0.0" : config.host.c_str(), nullptr, &hints, &found.list);
    if (looked_up != 0)
        return fail(ErrorKind::invalid,
                    config.service + ": cannot listen on " + config.host + ": " + ::gai_strerror(looked_up));
    addrinfo const* chosen = found.list;  // of a name with both, IPv4
    for (addrinfo const* info = found.list; info != nullptr; info = info->ai_next)
        if (info->ai_family == AF_INET && chosen->ai_family != AF_INET) chosen = info;

    int const socket = ::socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return std::unexpected(bind_error(config, errno));
    set_options(socket, chosen->ai_family);
    sockaddr_storage address{};
    std::memcpy(&address, chosen->ai_addr, chosen->ai_addrlen);
    if (address.ss_family == AF_INET)
        reinterpret_cast<sockaddr_in&>(address).sin_port = htons(config.port);
    else
        reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(config.port);
    if (::bind(socket, reinterpret_cast<sockaddr*>(&address), chosen->ai_addrlen) != 0 ||
        ::listen(socket, backlog) != 0) {
        int const number = errno;
        ::close(socket);
        return std::unexpected(bind_error(config, number));
    }
    return socket;
}

Result<void> bind_listener(Listener& listener) {
    listener.socket = listener.config.socket;
    if (listener.socket < 0) {
        MALLARD_TRY_ASSIGN(listener.socket, open_listener(listener.config));
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(listener.socket, reinterpret_cast<sockaddr*>(&address), &size);
    listener.port = address_of(address).port;
    return {};
}

void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlimit const wanted{.rlim_cur = std::max<rlim_t>(limit.rlim_max, files_wanted),
                        .rlim_max = std::max<rlim_t>(limit.rlim_max, files_wanted)};
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace mallard::net
