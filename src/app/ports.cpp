#include "app/ports.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace mallard::app {

namespace {

constexpr PortOption option_list[] = {
    {"imap", "imap.port", "imap.secure"}, {"imap", "imap.starttlsPort", ""},    {"pop3", "pop3.port", "pop3.secure"},
    {"pop3", "pop3.starttlsPort", ""},    {"lmtp", "lmtp.port", "lmtp.secure"}, {"api", "api.port", "api.secure"},
};

}  // namespace

std::span<PortOption const> port_options() { return option_list; }

std::optional<net::ListenerConfig> listener_of(PortOption const& option, config::Settings const& settings) {
    std::string const service(option.service);
    std::int64_t const port = settings.integer(option.key);
    if (!settings.flag(service + ".enabled") || port < 0) return std::nullopt;
    net::ListenerConfig config;
    config.service = service;
    config.host = settings.text(service + ".host");
    config.port = static_cast<std::uint16_t>(port);
    config.secure = !option.secure_key.empty() && settings.flag(option.secure_key);
    return config;
}

std::uint16_t port_of_socket(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

Result<void> write_listening(DataDirectory const& directory, std::vector<Listening> const& listening) {
    std::string out = "{";
    for (Listening const& entry : listening)
        out += fmt::format("{}\n  \"{}{}\": \"{}:{}\"", out.size() > 1 ? "," : "", entry.service,
                           entry.secure && entry.service != "api" ? "s" : "", entry.host, entry.port);
    return directory.write_private("listening.json", out + "\n}\n");
}

}  // namespace mallard::app
