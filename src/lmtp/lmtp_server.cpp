#include "lmtp/lmtp_server.hpp"

#include <unistd.h>

#include <array>
#include <memory>

#include "lmtp/session.hpp"
#include "net/line_server.hpp"
#include "net/workers.hpp"

namespace mallard::lmtp {

namespace {

std::string this_machine() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] ? name.data() : "localhost";
}

struct Service {
    LmtpConfig config;
    delivery::Delivery& delivery;
    net::Server& server;
};

class Lines final : public net::LineSession {
public:
    Lines(std::shared_ptr<Service const> service, net::Stream const& stream)
        : service_(std::move(service)),
          session_(service_->config, service_->delivery, {stream.peer_address(), stream.tls().active},
                   service_->server.tls() != nullptr) {}

    std::string greeting() override { return session_.greeting(); }
    std::chrono::milliseconds patience() const override { return service_->config.idle_timeout; }
    std::chrono::milliseconds write_timeout() const override { return service_->config.idle_timeout; }
    net::Async<Result<net::After>> command(net::Dialogue& dialogue) override;
    void tls_started() override { session_.tls_started(); }
    std::string timed_out() const override { return session_.timeout(); }
    std::string shutting_down() const override { return session_.shutdown(); }
    LogContext log_context() const override { return session_.log_context(); }

private:
    net::Async<Answer> execute(std::string_view line);
    net::Async<Result<std::string>> take_message(net::Connection& connection);

    std::shared_ptr<Service const> service_;
    Session session_;
};

net::Async<Answer> Lines::execute(std::string_view line) {
    if (auto answer = session_.try_execute(line)) co_return std::move(*answer);
    co_return co_await service_->server.workers().call(net::Pool::commands, [&] { return session_.execute(line); });
}

// DATA: from the 354 to the replies. An error ends the connection.
net::Async<Result<std::string>> Lines::take_message(net::Connection& connection) {
    connection.expires_after(service_->config.data_timeout);
    Spool& spool = session_.incoming().spool;
    // too_large, or a spool that failed (io): all was read and dropped, and the recipients are told.
    auto received = co_await connection.read_dot_data(service_->config.message_bytes_max, spool);
    if (!received && received.error().kind != ErrorKind::too_large && received.error().kind != ErrorKind::io)
        co_return std::unexpected(std::move(received).error());
    // A large message is mapped, parsed and stored where few of them can be worked on at a time.
    net::Pool const pool = session_.is_large() ? net::Pool::long_work : net::Pool::commands;
    co_return co_await service_->server.workers().call(pool, [&] {
        if (received) received = spool.finish();
        return session_.deliver(received);
    });
}

net::Async<Result<net::After>> Lines::command(net::Dialogue& dialogue) {
    auto line = co_await dialogue.connection.read_line(smtp::command_line_bytes_max, net::LineEnd::crlf);
    if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(std::move(line).error());
    Answer answer = line ? co_await execute(*line) : session_.line_too_long();
    auto written = co_await dialogue.reply({std::move(answer.reply), {}}, write_timeout());
    if (written && answer.next == Next::data) {
        written = co_await dialogue.flush(write_timeout());
        if (!written) co_return std::unexpected(std::move(written).error());
        auto replies = co_await take_message(dialogue.connection);
        if (!replies) co_return std::unexpected(std::move(replies).error());
        written = co_await dialogue.reply({std::move(*replies), {}}, write_timeout());
    }
    if (!written) co_return std::unexpected(std::move(written).error());
    switch (answer.next) {
        case Next::close: co_return net::After::close;
        case Next::starttls: co_return net::After::starttls;
        case Next::command:
        case Next::data: break;
    }
    co_return net::After::next_command;
}

net::Async<void> serve(std::shared_ptr<Service const> service, std::shared_ptr<net::Connection> connection) {
    auto lines = std::make_unique<Lines>(service, connection->stream());
    return net::serve_lines(service->server, std::move(connection), std::move(lines));
}

}  // namespace

net::Handler make_lmtp_handler(LmtpConfig config, delivery::Delivery& delivery, net::Server& server) {
    if (config.name.empty()) config.name = this_machine();
    auto service = std::make_shared<Service const>(Service{std::move(config), delivery, server});
    return [service](std::shared_ptr<net::Connection> connection) { return serve(service, std::move(connection)); };
}

}  // namespace mallard::lmtp
