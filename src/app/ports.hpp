#pragma once
// The ports that the settings ask for, in one table: a server binds them, or a supervisor does for its workers.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/data_directory.hpp"
#include "base/error.hpp"
#include "config/settings.hpp"
#include "net/server.hpp"

namespace mallard::app {

struct PortOption {
    std::string_view service;     // "imap"
    std::string_view key;         // "imap.starttlsPort"
    std::string_view secure_key;  // empty: starts in clear
};
std::span<PortOption const> port_options();

// Where that port listens: service, host, port, secure. None: it is off.
std::optional<net::ListenerConfig> listener_of(PortOption const& option, config::Settings const& settings);

struct Listening {
    std::string service;
    std::string host;
    std::uint16_t port;
    bool secure;
};
std::uint16_t port_of_socket(int socket);

// DIR/listening.json
Result<void> write_listening(DataDirectory const& directory, std::vector<Listening> const& listening);

}  // namespace mallard::app
