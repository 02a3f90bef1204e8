#pragma once
// The loop that serves one connection of a line protocol (IMAP, POP3, LMTP): the greeting, one command after another,
// STARTTLS, draining, timeouts, last words. What a command is, and where it runs, is the session's business.
//
// - Short replies are held back while the peer's next command is already here, and leave in one write (RFC 2920). Not
//   for long: slow commands may follow, and a peer that hears nothing takes us for dead.
// - A session that must end for a reason of the server's sets farewell() and wakes the connection (Connection::waker).
// - No command begins once the server drains; the one in flight finishes.

#include <chrono>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "net/connection.hpp"
#include "net/server.hpp"

namespace mallard::net {

// The connection as a session's command sees it.
struct Dialogue {
    Server& server;
    Connection& connection;
    std::string pending;  // replies that wait for the next write; empty and without memory while idle
    std::chrono::steady_clock::time_point held_since{};  // the first of them that reply() holds back

    Async<Result<void>> flush(std::chrono::milliseconds timeout);  // writes what is pending, and frees it
    // Adds a reply; writes all, unless it is short and the peer's next command is already here.
    Async<Result<void>> reply(StartedReply reply, std::chrono::milliseconds timeout);
};

enum class After { next_command, starttls, close };

class LineSession {
public:
    virtual ~LineSession() = default;
    virtual std::string greeting() = 0;
    // How long the peer may take to begin its next command, or for its TLS handshake.
    virtual std::chrono::milliseconds patience() const = 0;
    virtual std::chrono::milliseconds write_timeout() const = 0;  // for each part of a reply
    // Reads one command, of which something is here, and answers it. The deadline is what is left of patience().
    virtual Async<Result<After>> command(Dialogue& dialogue) = 0;
    virtual void tls_started() = 0;
    virtual std::string farewell() const { return {}; }  // said, and then the connection ends; empty: it goes on
    virtual std::string timed_out() const = 0;           // last words
    virtual std::string shutting_down() const = 0;       // last words
    virtual LogContext log_context() const = 0;
    virtual Async<void> ended(Server&) { co_return; }  // after the last words: what may not be done on this thread
};

Async<void> serve_lines(Server& server, std::shared_ptr<Connection> connection, std::unique_ptr<LineSession> session);

}  // namespace mallard::net
