#include "lmtp/lmtp_server.hpp"

#include <unistd.h>

#include <array>
#include <memory>

#include "lmtp/session.hpp"
#include "net/connection.hpp"
#include "net/workers.hpp"

namespace mallard::lmtp {

namespace {

constexpr std::size_t held_reply_bytes_max = 64 * 1024;

struct Service {
    LmtpConfig config;
    delivery::Delivery& delivery;
    net::Server& server;
};

std::string this_machine() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] ? name.data() : "localhost";
}

// DATA: from the 354 to the replies. An error ends the connection.
net::Async<Result<std::string>> take_message(Service& service, net::Connection& connection, Session& session) {
    connection.expires_after(service.config.data_timeout);
    Spool& spool = session.incoming().spool;
    // too_large, or a spool that failed (io): all was read and dropped, and the recipients are told.
    auto received = co_await connection.read_dot_data(service.config.message_bytes_max, spool);
    if (!received && received.error().kind != ErrorKind::too_large && received.error().kind != ErrorKind::io)
        co_return std::unexpected(std::move(received).error());
    net::Workers& workers = service.server.workers();
    // A large message is mapped, parsed and stored where few of them can be worked on at a time.
    net::Pool const pool = session.is_large() ? net::Pool::long_work : net::Pool::commands;
    std::string replies = co_await workers.call(pool, [&] {
        if (received) received = spool.finish();
        return session.deliver(received);
    });
    connection.expires_after(service.config.idle_timeout);  // however long the store took: the peer has its time
    co_return replies;
}

net::Async<Result<void>> start_tls(Service& service, net::Connection& connection, Session& session) {
    auto const context = service.server.tls();
    if (!context) co_return fail(ErrorKind::not_supported, "there is no certificate");
    connection.drop_buffered_input();  // what was sent in clear behind STARTTLS counts for nothing (CVE-2011-0411)
    auto started = co_await connection.stream().start_tls(*context);
    if (started) session.tls_started();
    co_return started;
}

net::Async<Answer> execute(Service& service, Session& session, std::string_view line) {
    if (auto answer = session.try_execute(line)) co_return std::move(*answer);
    co_return co_await service.server.workers().call(net::Pool::commands, [&] { return session.execute(line); });
}

// One line and what follows from it. `out` collects replies while the peer's next command is already here (RFC 2920).
net::Async<Result<void>> one_command(Service& service, net::Connection& connection, Session& session, std::string& out,
                                     bool& open) {
    connection.expires_after(service.config.idle_timeout);
    auto line = co_await connection.read_line(smtp::command_line_bytes_max, net::LineEnd::crlf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(std::move(line).error());
    Answer answer = line ? co_await execute(service, session, *line) : session.line_too_long();
    out += answer.reply;
    open = answer.next != Next::close;
    bool const must_write = answer.next != Next::command || !connection.has_buffered_input();
    if (must_write || out.size() > held_reply_bytes_max) {
        auto written = co_await connection.write(out);
        out.clear();
        if (!written) co_return written;
    }
    if (answer.next == Next::data) {
        auto replies = co_await take_message(service, connection, session);
        if (!replies) co_return std::unexpected(std::move(replies).error());
        out += *replies;
        if (connection.has_buffered_input()) co_return Result<void>{};
        auto written = co_await connection.write(out);
        out.clear();
        co_return written;
    }
    if (answer.next == Next::starttls) co_return co_await start_tls(service, connection, session);
    co_return Result<void>{};
}

net::Async<void> serve(std::shared_ptr<Service> service, std::shared_ptr<net::Connection> connection) {
    net::Stream& stream = connection->stream();
    Session session(service->config, service->delivery, {stream.peer_address(), stream.tls().active},
                    service->server.tls() != nullptr);
    log(LogLevel::debug, session.log_context(), "connected");
    connection->expires_after(service->config.idle_timeout);
    Result<void> outcome = co_await connection->write(session.greeting());
    std::string out;
    bool open = true;
    while (outcome && open && !service->server.draining())
        outcome = co_await one_command(*service, *connection, session, out, open);

    if (open && service->server.draining()) out += session.shutdown();
    if (!outcome && outcome.error().kind == ErrorKind::timeout) out += session.timeout();
    if (!out.empty()) {
        connection->expires_after(std::chrono::seconds(1));
        co_await connection->write(out);
    }
    log(LogLevel::debug, session.log_context(), "disconnected",
        {{"reason", outcome ? std::string("closed") : outcome.error().message}});
}

}  // namespace

net::Handler make_lmtp_handler(LmtpConfig config, delivery::Delivery& delivery, net::Server& server) {
    if (config.name.empty()) config.name = this_machine();
    auto service = std::make_shared<Service>(Service{std::move(config), delivery, server});
    return [service](std::shared_ptr<net::Connection> connection) { return serve(service, std::move(connection)); };
}

}  // namespace mallard::lmtp
