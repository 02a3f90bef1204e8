#include "pop3/pop3_server.hpp"

#include <memory>

#include "net/line_server.hpp"
#include "net/workers.hpp"
#include "pop3/session.hpp"

namespace mallard::pop3 {

namespace {

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

class Lines final : public net::LineSession {
public:
    Lines(std::shared_ptr<Service const> service, net::Connection& connection)
        : service_(std::move(service)),
          session_(service_->config, service_->services,
                   {connection.stream().peer_address(), connection.stream().tls().active},
                   service_->server.tls() != nullptr, connection.waker()) {}

    std::string greeting() override { return session_.greeting(); }
    std::chrono::milliseconds patience() const override {
        return session_.logged_in() ? service_->config.idle_timeout : service_->config.login_timeout;
    }
    std::chrono::milliseconds write_timeout() const override { return service_->config.idle_timeout; }
    net::Async<Result<net::After>> command(net::Dialogue& dialogue) override;
    void tls_started() override { session_.tls_started(); }
    std::string farewell() const override { return session_.farewell(); }
    std::string timed_out() const override { return session_.timeout(); }
    std::string shutting_down() const override { return session_.shutdown(); }
    LogContext log_context() const override { return session_.log_context(); }
    net::Async<void> ended(net::Server& server) override {
        if (session_.logged_in()) co_await server.workers().run(net::Pool::commands, [this] { session_.close(); });
    }

private:
    net::Async<Executed> execute(std::string_view line);

    std::shared_ptr<Service const> service_;
    Session session_;
};

net::Async<Executed> Lines::execute(std::string_view line) {
    if (!session_.needs_worker(line)) co_return start(session_.execute(line));
    net::Workers& workers = service_->server.workers();
    Executed executed = co_await workers.call(net::Pool::commands, [&] { return start(session_.execute(line)); });
    if (executed.next == Next::authenticate)
        executed = co_await workers.call(net::Pool::long_work, [&] { return start(session_.authenticate()); });
    co_return executed;
}

net::Async<Result<net::After>> Lines::command(net::Dialogue& dialogue) {
    auto line = co_await dialogue.connection.read_line(command_line_bytes_max, net::LineEnd::crlf_or_lf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(std::move(line).error());
    Executed executed = line ? co_await execute(*line) : start(session_.line_too_long());
    if (auto written = co_await dialogue.reply(std::move(executed.reply), write_timeout()); !written)
        co_return std::unexpected(std::move(written).error());
    switch (executed.next) {
        case Next::close: co_return net::After::close;
        case Next::starttls: co_return net::After::starttls;
        case Next::command:
        case Next::authenticate: break;
    }
    co_return net::After::next_command;
}

net::Async<void> serve(std::shared_ptr<Service const> service, std::shared_ptr<net::Connection> connection) {
    auto lines = std::make_unique<Lines>(service, *connection);
    return net::serve_lines(service->server, std::move(connection), std::move(lines));
}

}  // namespace

net::Handler make_pop3_handler(Pop3Config config, accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes,
                               store::SharedState& state, store::Events& events, net::Server& server) {
    auto service =
        std::make_shared<Service const>(Service{std::move(config), {accounts, mailboxes, state, events}, server});
    return [service](std::shared_ptr<net::Connection> connection) { return serve(service, std::move(connection)); };
}

}  // namespace mallard::pop3
