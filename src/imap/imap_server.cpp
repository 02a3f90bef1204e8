// The connection (RFC 9051 §7.1.5 greeting and BYE, §6.3.13 IDLE, §6.2.1 STARTTLS): the coroutine at the edge.

#include "imap/imap_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include "base/attempt.hpp"
#include "base/encoding.hpp"

#include "imap/command_reader.hpp"
#include "imap/command_table.hpp"
#include "imap/session.hpp"
#include "net/connection.hpp"
#include "net/workers.hpp"

namespace mallard::imap {

namespace {

using net::Async;

constexpr std::size_t held_reply_bytes_max = 32 * 1024;
constexpr std::size_t sasl_line_bytes_max = 12'288;  // RFC 9051 §9: base64 without a bound of its own

struct Server {
    ImapConfig config;
    Services services;
    net::Server& net;

    Server(ImapConfig c, mailboxes::Mailboxes& mailboxes, accounts::Accounts& accounts, store::Events& events,
           Clock const& clock, net::Server& net_server)
        : config(std::move(c)),
          services{mailboxes, accounts, events, clock, config, &net_server.workers()},
          net(net_server) {}
};

struct Client {
    Server& server;
    net::Connection& connection;
    Session session;
    std::chrono::steady_clock::time_point connected = std::chrono::steady_clock::now();
    std::string pending;  // replies that wait for the next write; empty and without memory while idle
    bool open = true;
};

net::Pool pool_of(Place place) { return place == Place::long_work ? net::Pool::long_work : net::Pool::commands; }

// How long the client may take to begin its next command.
std::chrono::milliseconds patience(Client const& client) {
    auto const& config = client.server.config;
    if (client.session.state() != State::not_authenticated) return config.idle_timeout;
    auto const used =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - client.connected);
    return std::max(config.login_timeout - used, std::chrono::milliseconds(1));
}

// On this thread, when memory has all it takes. False: nothing was done.
bool try_here(Session& session, imap_proto::Command const& command, net::StartedReply& reply) {
    Attempt const attempt;
    reply = net::begin_reply(session.execute(command));
    if (!session.gave_up()) return true;
    reply = {};
    return false;
}

// Runs the command where it belongs; what is short stays pending while the client's next command is already here.
Async<Result<void>> run(Client& client, imap_proto::Command command) {
    Place const place = client.session.place(command);
    net::StartedReply reply;
    if (place == Place::network) {
        reply = net::begin_reply(client.session.execute(std::move(command)));
    } else if (place != Place::attempt || !try_here(client.session, command, reply)) {
        reply = co_await client.server.net.workers().call(
            pool_of(place), [&] { return net::begin_reply(client.session.execute(std::move(command))); });
    }
    if (client.pending.empty())
        client.pending = std::move(reply.first);
    else
        client.pending += reply.first;
    reply.first.clear();
    bool const more = static_cast<bool>(reply.rest);
    if (!more && client.connection.has_buffered_input() && client.pending.size() < held_reply_bytes_max)
        co_return Result<void>();
    client.connection.expires_after(client.server.config.write_timeout);
    if (auto written = co_await flush(client.connection, client.pending); !written) co_return written;
    if (more) co_return co_await client.connection.write_reply(std::move(reply));
    co_return Result<void>();
}

Async<Result<void>> start_tls(Client& client) {
    if (auto written = co_await flush(client.connection, client.pending); !written) co_return written;
    auto const context = client.server.net.tls();
    if (!context) co_return fail(ErrorKind::not_supported, "there is no certificate");
    client.connection.drop_buffered_input();  // what came in clear behind STARTTLS counts for nothing (CVE-2011-0411)
    client.connection.expires_after(client.server.config.command_timeout);
    auto started = co_await client.connection.stream().start_tls(*context);
    if (started) client.session.tls_started();
    co_return started;
}

Async<void> append_notices(Client& client) {
    co_await client.server.net.workers().run(net::Pool::commands,
                                             [&] { client.session.append_notices(client.pending, true); });
}

// Until the client says something, or the session must end. True: there is a line to read.
Async<Result<bool>> idle_until_input(Client& client) {
    auto const& config = client.server.config;
    auto const begun = std::chrono::steady_clock::now();
    while (true) {
        co_await append_notices(client);
        client.connection.expires_after(config.write_timeout);
        if (auto written = co_await flush(client.connection, client.pending); !written)
            co_return std::unexpected(written.error());
        if (!client.session.farewell().empty()) co_return false;
        client.connection.expires_after(config.still_here);
        auto const input = co_await client.connection.wait_input_or_wake();
        if (input && *input) co_return true;
        if (input) continue;
        if (input.error().kind != ErrorKind::timeout) co_return std::unexpected(input.error());
        if (std::chrono::steady_clock::now() - begun >= config.idle_max) {
            client.pending += "* BYE IDLE terminated\r\n";
            client.open = false;
            co_return false;
        }
        client.pending += fmt::format("* OK Still here ({})\r\n", client.server.services.clock.now());
    }
}

// RFC 9051 §6.3.13
Async<Result<void>> idle(Client& client, std::string tag) {
    client.pending += "+ idling\r\n";
    client.session.set_idling(true);
    auto const input = co_await idle_until_input(client);
    client.session.set_idling(false);
    if (!input) co_return std::unexpected(input.error());
    if (!*input) co_return Result<void>();
    client.connection.expires_after(client.server.config.command_timeout);
    auto const line =
        co_await client.connection.read_line(client.server.config.max_line_length, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(line.error());
    if (line && iequals(trim(*line), "DONE")) {
        co_await append_notices(client);
        client.pending += client.session.finish(tag, "IDLE", ok("IDLE terminated"));
    } else {
        std::string const shown = line ? imap_proto::printable(*line) : "...";
        client.pending +=
            client.session.finish(tag, "IDLE", bad(fmt::format("Invalid Idle continuation (\"{}\")", shown)));
    }
    co_return Result<void>();
}

// RFC 9051 §6.2.2: without an initial response the client is asked for it.
Async<Result<void>> ask_sasl(Client& client, imap_proto::Command& command) {
    client.pending += "+ \r\n";
    if (auto written = co_await flush(client.connection, client.pending); !written) co_return written;
    client.connection.expires_after(patience(client));
    auto line = co_await client.connection.read_line(sasl_line_bytes_max, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(line.error());
    imap_proto::Argument response;
    response.kind = imap_proto::Argument::Kind::quoted;
    response.text = line ? *line : "*";  // "*" cancels: no base64, so BAD
    command.arguments.push_back(std::move(response));
    co_return Result<void>();
}

// One command, from its first octet to its reply.
Async<Result<void>> one_command(Client& client) {
    Session& session = client.session;
    auto incoming = co_await read_command(client.connection, session, client.server.config, client.pending);
    if (!incoming) co_return std::unexpected(incoming.error());
    if (!incoming->refused) {
        imap_proto::Limits const limits;
        auto arguments = session.refuse(incoming->head.name)
                             ? Result<std::vector<imap_proto::Argument>>()
                             : imap_proto::parse_arguments(incoming->raw, incoming->head.rest, limits);
        if (!arguments)
            incoming->refused = bad(arguments.error().message);
        else {
            imap_proto::Command command{std::move(incoming->head.tag), std::move(incoming->head.name),
                                        std::move(*arguments)};
            incoming->raw = {};
            bool const known = !session.refuse(command.name);
            if (known && command.name == "IDLE" && command.arguments.empty())
                co_return co_await idle(client, std::move(command.tag));
            if (known && command.name.starts_with("AUTHENTICATE") && command.arguments.empty() &&
                session.password_allowed()) {
                if (auto asked = co_await ask_sasl(client, command); !asked) co_return asked;
            }
            co_return co_await run(client, std::move(command));
        }
    }
    if (incoming->counts)
        client.pending += session.finish(incoming->head.tag, incoming->head.name, *incoming->refused);
    else
        client.pending += "* BAD " + incoming->refused->text + "\r\n";
    if (incoming->close) {
        client.pending += "* BYE Too much data to drop\r\n";
        client.open = false;
    }
    co_return Result<void>();
}

// Between two commands. False: no command; look again.
Async<Result<bool>> wait_for_command(Client& client) {
    if (client.connection.has_buffered_input()) co_return true;
    client.connection.expires_after(client.server.config.write_timeout);
    if (auto written = co_await flush(client.connection, client.pending); !written)
        co_return std::unexpected(written.error());
    client.connection.expires_after(patience(client));
    co_return co_await client.connection.wait_input_or_wake();
}

// What the client is told at the end, when it is not its own doing.
void say_goodbye(Client& client, Result<void> const& outcome) {
    if (outcome) return;
    switch (outcome.error().kind) {
        case ErrorKind::timeout: client.pending += "* BYE Idle timeout, closing connection\r\n"; break;
        case ErrorKind::unavailable: client.pending += "* BYE System shutdown\r\n"; break;
        default: client.pending.clear();  // the peer is gone
    }
}

Async<Result<void>> converse(Client& client) {
    Session& session = client.session;
    while (client.open) {
        if (std::string const reason = session.farewell(); !reason.empty()) {
            client.pending += fmt::format("* BYE {}\r\n", reason);
            break;
        }
        if (client.server.net.draining()) co_return fail(ErrorKind::unavailable, "the server is shutting down");
        auto const input = co_await wait_for_command(client);
        if (!input) co_return std::unexpected(input.error());
        if (!*input) continue;
        if (auto done = co_await one_command(client); !done) co_return done;
        if (session.wants_tls()) {
            if (auto started = co_await start_tls(client); !started) co_return started;
        }
        if (session.state() == State::logout) break;
        if (session.broken()) co_return fail(ErrorKind::closed, "a reply broke off");
        if (session.errors() > client.server.config.errors_max) {
            client.pending += "* BYE Too many protocol errors\r\n";
            break;
        }
    }
    co_return Result<void>();
}

Async<void> serve(std::shared_ptr<Server> server, std::shared_ptr<net::Connection> connection) {
    net::Stream& stream = connection->stream();
    Client client{
        *server, *connection,
        Session(server->services, new_session_id(), stream.peer_address(), stream.tls().active, connection->waker())};
    log(LogLevel::debug, client.session.log_context(), "Connected");
    client.pending = fmt::format("* OK {} ready for requests from {} {}\r\n", server->config.name,
                                 client.session.address(), client.session.id());
    Result<void> const outcome = co_await converse(client);
    say_goodbye(client, outcome);
    if (!client.pending.empty()) {
        connection->expires_after(std::chrono::seconds(2));
        co_await flush(*connection, client.pending);
    }
    log(LogLevel::debug, client.session.log_context(), "Disconnected",
        {{"reason", outcome ? std::string("closed") : outcome.error().message}});
    if (client.session.state() != State::not_authenticated)
        co_await server->net.workers().run(net::Pool::commands, [&] { client.session.close(); });
}

}  // namespace

net::Handler make_handler(ImapConfig config, mailboxes::Mailboxes& mailboxes, accounts::Accounts& accounts,
                          store::Events& events, Clock const& clock, net::Server& server) {
    auto const shared = std::make_shared<Server>(std::move(config), mailboxes, accounts, events, clock, server);
    return [shared](std::shared_ptr<net::Connection> connection) { return serve(shared, std::move(connection)); };
}

}  // namespace mallard::imap
