#include "pop3/pop3_server.hpp"

#include <memory>

#include "net/connection.hpp"
#include "net/workers.hpp"
#include "pop3/session.hpp"

namespace mallard::pop3 {

namespace {

constexpr std::size_t held_reply_bytes_max = 64 * 1024;

struct Service {
    Pop3Config config;
    Session::Services services;
    net::Server& server;
};

struct Executed {
    net::StartedReply reply;
    Next next = Next::command;
};

Executed start(Answer answer) { return {net::begin_reply(std::move(answer.reply)), answer.next}; }

net::Async<Executed> execute(Service& service, Session& session, std::string_view line) {
    if (!session.needs_worker(line)) co_return start(session.execute(line));
    net::Workers& workers = service.server.workers();
    Executed executed = co_await workers.call(net::Pool::commands, [&] { return start(session.execute(line)); });
    if (executed.next == Next::authenticate)
        executed = co_await workers.call(net::Pool::long_work, [&] { return start(session.authenticate()); });
    co_return executed;
}

net::Async<Result<void>> start_tls(Service& service, net::Connection& connection, Session& session) {
    auto const context = service.server.tls();
    if (!context) co_return fail(ErrorKind::not_supported, "there is no certificate");
    connection.drop_buffered_input();  // what was sent in clear behind STLS counts for nothing (CVE-2011-0411)
    auto started = co_await connection.stream().start_tls(*context);
    if (started) session.tls_started();
    co_return started;
}

// One line and its reply. `out` collects short replies while the peer's next command is already here.
net::Async<Result<void>> one_command(Service& service, net::Connection& connection, Session& session, std::string& out,
                                     bool& open) {
    connection.expires_after(session.logged_in() ? service.config.idle_timeout : service.config.login_timeout);
    auto line = co_await connection.read_line(command_line_bytes_max, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(std::move(line).error());
    Executed executed = line ? co_await execute(service, session, *line) : start(session.line_too_long());
    out += executed.reply.first;
    open = executed.next != Next::close;
    bool const hold = executed.next == Next::command && !executed.reply.rest && connection.has_buffered_input() &&
                      out.size() < held_reply_bytes_max;
    if (hold) co_return Result<void>{};
    executed.reply.first = std::exchange(out, {});
    connection.expires_after(service.config.idle_timeout);  // however long the command took: the peer has its time
    auto written = co_await connection.write_reply(std::move(executed.reply));
    if (written && executed.next == Next::starttls) co_return co_await start_tls(service, connection, session);
    co_return written;
}

net::Async<void> serve(std::shared_ptr<Service> service, std::shared_ptr<net::Connection> connection) {
    net::Stream& stream = connection->stream();
    Session session(service->config, service->services, {stream.peer_address(), stream.tls().active},
                    service->server.tls() != nullptr);
    log(LogLevel::debug, session.log_context(), "connected");
    connection->expires_after(service->config.login_timeout);
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

net::Handler make_pop3_handler(Pop3Config config, accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes,
                               store::SharedState& state, net::Server& server) {
    auto service = std::make_shared<Service>(Service{std::move(config), {accounts, mailboxes, state}, server});
    return [service](std::shared_ptr<net::Connection> connection) { return serve(service, std::move(connection)); };
}

}  // namespace mallard::pop3
