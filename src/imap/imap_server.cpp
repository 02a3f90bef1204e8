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
#include "net/line_server.hpp"
#include "net/workers.hpp"

namespace mallard::imap {

namespace {

using net::Async;

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

net::Pool pool_of(Place place) { return place == Place::long_work ? net::Pool::long_work : net::Pool::commands; }

// On this thread, when memory has all it takes. False: nothing was done.
bool try_here(Session& session, imap_proto::Command const& command, net::StartedReply& reply) {
    Attempt const attempt;
    reply = net::begin_reply(session.execute(command));
    if (!session.gave_up()) return true;
    reply = {};
    return false;
}

class Lines final : public net::LineSession {
public:
    Lines(std::shared_ptr<Server const> server, net::Connection& connection)
        : server_(std::move(server)),
          session_(server_->services, new_session_id(), connection.stream().peer_address(),
                   connection.stream().tls().active, connection.waker()) {}

    std::string greeting() override {
        return fmt::format("* OK {} ready for requests from {} {}\r\n", config().name, session_.address(),
                           session_.id());
    }
    std::chrono::milliseconds patience() const override;
    std::chrono::milliseconds write_timeout() const override { return config().write_timeout; }
    Async<Result<net::After>> command(net::Dialogue& dialogue) override;
    void tls_started() override { session_.tls_started(); }
    std::string farewell() const override {
        std::string const reason = session_.farewell();
        return reason.empty() ? std::string() : fmt::format("* BYE {}\r\n", reason);
    }
    std::string timed_out() const override { return "* BYE Idle timeout, closing connection\r\n"; }
    std::string shutting_down() const override { return "* BYE System shutdown\r\n"; }
    LogContext log_context() const override { return session_.log_context(); }
    Async<void> ended(net::Server& server) override {
        if (session_.state() != State::not_authenticated)
            co_await server.workers().run(net::Pool::commands, [this] { session_.close(); });
    }

private:
    ImapConfig const& config() const { return server_->config; }
    Async<Result<void>> one_command(net::Dialogue& dialogue);
    Async<Result<void>> run(net::Dialogue& dialogue, imap_proto::Command command);
    Async<Result<void>> idle(net::Dialogue& dialogue, std::string tag);
    Async<Result<bool>> idle_until_input(net::Dialogue& dialogue);
    Async<Result<void>> ask_sasl(net::Dialogue& dialogue, imap_proto::Command& command);
    Async<void> append_notices(net::Dialogue& dialogue);

    std::shared_ptr<Server const> server_;
    Session session_;
    std::chrono::steady_clock::time_point connected_ = std::chrono::steady_clock::now();
    bool open_ = true;
};

// How long the client may take to begin its next command.
std::chrono::milliseconds Lines::patience() const {
    if (session_.state() != State::not_authenticated) return config().idle_timeout;
    auto const used =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - connected_);
    return std::max(config().login_timeout - used, std::chrono::milliseconds(1));
}

// Runs the command where it belongs.
Async<Result<void>> Lines::run(net::Dialogue& dialogue, imap_proto::Command command) {
    Place const place = session_.place(command);
    net::StartedReply reply;
    if (place == Place::network) {
        reply = net::begin_reply(session_.execute(std::move(command)));
    } else if (place != Place::attempt || !try_here(session_, command, reply)) {
        reply = co_await server_->net.workers().call(
            pool_of(place), [&] { return net::begin_reply(session_.execute(std::move(command))); });
    }
    co_return co_await dialogue.reply(std::move(reply), config().write_timeout);
}

Async<void> Lines::append_notices(net::Dialogue& dialogue) {
    co_await server_->net.workers().run(net::Pool::commands, [&] { session_.append_notices(dialogue.pending, true); });
}

// Until the client says something, or the session must end. True: there is a line to read.
Async<Result<bool>> Lines::idle_until_input(net::Dialogue& dialogue) {
    auto const begun = std::chrono::steady_clock::now();
    while (true) {
        co_await append_notices(dialogue);
        if (auto written = co_await dialogue.flush(config().write_timeout); !written)
            co_return std::unexpected(written.error());
        if (!session_.farewell().empty()) co_return false;
        dialogue.connection.expires_after(config().still_here);
        auto const input = co_await dialogue.connection.wait_input_or_wake();
        if (input && *input) co_return true;
        if (input) continue;
        if (input.error().kind != ErrorKind::timeout) co_return std::unexpected(input.error());
        if (std::chrono::steady_clock::now() - begun >= config().idle_max) {
            dialogue.pending += "* BYE IDLE terminated\r\n";
            open_ = false;
            co_return false;
        }
        dialogue.pending += fmt::format("* OK Still here ({})\r\n", server_->services.clock.now());
    }
}

// RFC 9051 §6.3.13
Async<Result<void>> Lines::idle(net::Dialogue& dialogue, std::string tag) {
    dialogue.pending += "+ idling\r\n";
    session_.set_idling(true);
    auto const input = co_await idle_until_input(dialogue);
    session_.set_idling(false);
    if (!input) co_return std::unexpected(input.error());
    if (!*input) co_return Result<void>();
    dialogue.connection.expires_after(config().command_timeout);
    auto const line = co_await dialogue.connection.read_line(config().max_line_length, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(line.error());
    if (line && iequals(trim(*line), "DONE")) {
        co_await append_notices(dialogue);
        dialogue.pending += session_.finish(tag, "IDLE", ok("IDLE terminated"));
    } else {
        std::string const shown = line ? imap_proto::printable(*line) : "...";
        dialogue.pending += session_.finish(tag, "IDLE", bad(fmt::format("Invalid Idle continuation (\"{}\")", shown)));
    }
    co_return Result<void>();
}

// RFC 9051 §6.2.2: without an initial response the client is asked for it.
Async<Result<void>> Lines::ask_sasl(net::Dialogue& dialogue, imap_proto::Command& command) {
    dialogue.pending += "+ \r\n";
    if (auto written = co_await dialogue.flush(config().write_timeout); !written) co_return written;
    dialogue.connection.expires_after(patience());
    auto line = co_await dialogue.connection.read_line(sasl_line_bytes_max, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(line.error());
    imap_proto::Argument response;
    response.kind = imap_proto::Argument::Kind::quoted;
    response.text = line ? *line : "*";  // "*" cancels: no base64, so BAD
    command.arguments.push_back(std::move(response));
    co_return Result<void>();
}

// One command, from its first octet to its reply.
Async<Result<void>> Lines::one_command(net::Dialogue& dialogue) {
    auto incoming = co_await read_command(dialogue, session_, config());
    if (!incoming) co_return std::unexpected(incoming.error());
    if (!incoming->refused) {
        imap_proto::Limits const limits;
        auto arguments = session_.refuse(incoming->head.name)
                             ? Result<std::vector<imap_proto::Argument>>()
                             : imap_proto::parse_arguments(incoming->raw, incoming->head.rest, limits);
        if (!arguments)
            incoming->refused = bad(arguments.error().message);
        else {
            imap_proto::Command command{std::move(incoming->head.tag), std::move(incoming->head.name),
                                        std::move(*arguments)};
            incoming->raw = {};
            bool const known = !session_.refuse(command.name);
            if (known && command.name == "IDLE" && command.arguments.empty())
                co_return co_await idle(dialogue, std::move(command.tag));
            if (known && command.name.starts_with("AUTHENTICATE") && command.arguments.empty() &&
                session_.password_allowed()) {
                if (auto asked = co_await ask_sasl(dialogue, command); !asked) co_return asked;
            }
            co_return co_await run(dialogue, std::move(command));
        }
    }
    if (incoming->counts)
        dialogue.pending += session_.finish(incoming->head.tag, incoming->head.name, *incoming->refused);
    else
        dialogue.pending += "* BAD " + incoming->refused->text + "\r\n";
    if (incoming->close) {
        dialogue.pending += "* BYE Too much data to drop\r\n";
        open_ = false;
    }
    co_return Result<void>();
}

Async<Result<net::After>> Lines::command(net::Dialogue& dialogue) {
    if (auto done = co_await one_command(dialogue); !done) co_return std::unexpected(done.error());
    if (session_.wants_tls()) co_return net::After::starttls;
    if (session_.broken()) co_return fail(ErrorKind::closed, "a reply broke off");
    if (!open_ || session_.state() == State::logout) co_return net::After::close;
    if (session_.errors() > config().errors_max) {
        dialogue.pending += "* BYE Too many protocol errors\r\n";
        co_return net::After::close;
    }
    co_return net::After::next_command;
}

Async<void> serve(std::shared_ptr<Server const> server, std::shared_ptr<net::Connection> connection) {
    net::Server& net = server->net;
    auto lines = std::make_unique<Lines>(std::move(server), *connection);
    return net::serve_lines(net, std::move(connection), std::move(lines));
}

}  // namespace

net::Handler make_handler(ImapConfig config, mailboxes::Mailboxes& mailboxes, accounts::Accounts& accounts,
                          store::Events& events, Clock const& clock, net::Server& server) {
    auto const shared = std::make_shared<Server const>(std::move(config), mailboxes, accounts, events, clock, server);
    return [shared](std::shared_ptr<net::Connection> connection) { return serve(shared, std::move(connection)); };
}

}  // namespace mallard::imap
