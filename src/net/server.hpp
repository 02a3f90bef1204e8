#pragma once
// Server: listeners, network threads, and who serves a new connection. One per process; protocols register with it.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"

namespace mallard::net {

class Connection;
class Workers;

struct ListenerConfig {
    std::string service;  // "imap": for logs, metrics, limits
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;               // 0: any; see Server::port_of
    int socket = -1;                      // listens already: given by the supervisor; -1: one is bound to host and port
    bool secure = false;                  // TLS from the first byte
    std::vector<std::string> proxy_from;  // peers whose PROXY v1/v2 header is honoured; "*": all; empty: none
    std::size_t connections_max = 100'000;
    std::size_t connections_per_address_max = 100'000;  // refused with `refusal`, then closed
    std::string refusal;                                // e.g. "* BYE Too many connections\r\n"
    std::chrono::milliseconds handshake_timeout{30'000};
};

// A socket that listens on host and port, non-blocking, closed on exec. The error is one line for the operator.
Result<int> open_listener(ListenerConfig const& config);

// Serves one connection until it ends; runs on its network thread. Exceptions end that connection only, and are logged.
// Until the handler sets a deadline of its own (expires_after), what is left of the handshake timeout runs.
// When it returns, what was written is flushed out and the connection closed.
using Handler = std::function<Async<void>(std::shared_ptr<Connection>)>;

class Server {
public:
    Server(std::size_t network_threads, Workers& workers);
    ~Server();

    // Binds at once: the error says which address, and what to do (in use, permission). Takes config.socket over.
    Result<void> listen(ListenerConfig config, Handler handler);
    std::uint16_t port_of(std::string const& service, bool secure) const;

    void set_tls(std::shared_ptr<TlsContext const> context);  // also while serving (SIGHUP): new connections use it
    std::shared_ptr<TlsContext const> tls() const;

    void start();  // returns at once
    // Another process has taken the listening sockets over: those who are connected notice nothing. Then drain().
    void stop_accepting();
    // Stops accepting, lets commands in flight finish, ends idle connections, returns when all are gone or after
    // `grace`.
    void drain(std::chrono::milliseconds grace);
    bool draining() const;  // handlers look at it between commands

    Workers& workers();
    std::size_t connections(std::string const& service) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::net
