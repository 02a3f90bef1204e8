#include "http/server_connection.hpp"

#include <fmt/format.h>

#include <ctime>
#include <exception>
#include <utility>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "net/spool_sink.hpp"

namespace mallard::http {

namespace {

using net::Async;
using net::Connection;
using net::Pool;
using net::StartedReply;
using net::Workers;

// What lies unparsed may be one line or one header; more of it is an attack (endless chunk extensions).
constexpr std::size_t unparsed_slack = 64 * 1024;

enum class Framing { none, length, chunked, until_close };

struct Outgoing {
    Response response;
    StartedReply stream;  // its first part pulled
    Framing framing = Framing::length;
    bool keep_alive = false;
    bool send_body = true;
};

// RFC 9110 §5.6.7
std::string http_date() {
    std::time_t const now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[64];
    std::size_t const n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text, n};
}

// A handler's text must not become a header of its own (response splitting).
void append_field(std::string& out, std::string_view name, std::string_view value) {
    auto const append = [&out](std::string_view text) {
        for (char const c : text) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
    };
    append(name);
    out += ": ";
    append(value);
    out += "\r\n";
}

bool bodiless(unsigned status) { return status < 200 || status == 204 || status == 304; }  // RFC 9110 §6.4.1

std::string serialize_head(Outgoing const& out) {
    Response const& response = out.response;
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
    for (Headers::Field const& field : response.headers) {
        if (iequals(field.name, "Content-Length") || iequals(field.name, "Transfer-Encoding") ||
            iequals(field.name, "Connection"))
            continue;  // ours to say
        append_field(head, field.name, field.value);
    }
    if (!response.headers.has("Date")) append_field(head, "Date", http_date());
    switch (out.framing) {
        case Framing::none:
        case Framing::until_close: break;
        case Framing::length:
            append_field(head, "Content-Length",
                         std::to_string(response.stream ? *response.stream_length : response.body.size()));
            break;
        case Framing::chunked: append_field(head, "Transfer-Encoding", "chunked"); break;
    }
    append_field(head, "Connection", out.keep_alive ? "keep-alive" : "close");
    head += "\r\n";
    return head;
}

void choose_framing(Outgoing& out, bool http_1_0) {
    Response const& response = out.response;
    if (bodiless(response.status)) {
        out.framing = Framing::none;
        out.send_body = false;
    } else if (!response.stream || response.stream_length) {
        out.framing = Framing::length;
    } else if (http_1_0) {
        out.framing = Framing::until_close;
        out.keep_alive = false;
    } else {
        out.framing = Framing::chunked;
    }
}

std::string as_chunk(std::string_view part) { return fmt::format("{:x}\r\n{}\r\n", part.size(), part); }

void log_bug(Request const& request, char const* what) {
    log(LogLevel::error, {.component = "api", .address = request.peer_address}, "exception in a request",
        {{"method", request.method}, {"path", request.path}, {"error", what}});
}

// On the worker pool: the handler, and the first part of what it streams, in one hop.
Outgoing answer(Handler const& handler, Request& request, bool keep_alive, bool http_1_0) {
    Outgoing out;
    out.keep_alive = keep_alive;
    try {
        out.response = handler(request);
        out.send_body = request.method != "HEAD";
        choose_framing(out, http_1_0);
        if (out.response.stream && out.send_body) out.stream = net::begin_reply(std::move(*out.response.stream));
    } catch (std::exception const& error) {
        log_bug(request, error.what());
        out = {};
        out.response = framework_error(500, "InternalServer", "Something went wrong here; it has been logged");
        out.keep_alive = keep_alive;
        out.send_body = request.method != "HEAD";
    }
    return out;
}

// One connection, request after request.
class Session {
public:
    Session(std::shared_ptr<Connection> connection, Workers& workers, Handler const& handler,
            ServerConfig const& config)
        : connection_(std::move(connection)), workers_(workers), handler_(handler), config_(config) {}

    Async<bool> wait_for_request();
    Async<bool> serve_one();

private:
    Async<bool> read_header(RequestParser& parser);
    Async<bool> read_body(RequestParser& parser);
    Async<bool> refuse(unsigned status, std::string code, std::string message, bool send_body = true);
    Async<bool> send(Outgoing out);
    Async<bool> send_stream(Outgoing out);
    bool overfull(std::string_view unparsed) const {
        return unparsed.size() > config_.limits.header_bytes_max + unparsed_slack;
    }

    std::shared_ptr<Connection> connection_;
    Workers& workers_;
    Handler const& handler_;
    ServerConfig const& config_;
};

// Idle: no request, no parser, no buffer.
Async<bool> Session::wait_for_request() {
    connection_->expires_after(config_.idle_timeout);
    co_return (co_await connection_->read_available()).has_value();
}

// The answer to what is no proper request; the connection ends after it.
Async<bool> Session::refuse(unsigned status, std::string code, std::string message, bool send_body) {
    Outgoing out;
    out.response = framework_error(status, code, message);
    out.send_body = send_body;
    connection_->expires_after(config_.write_timeout);
    co_await send(std::move(out));
    co_return false;
}

Async<bool> Session::read_header(RequestParser& parser) {
    connection_->expires_after(config_.header_timeout);
    auto input = co_await connection_->read_available();
    while (input) {
        connection_->consume_input(parser.feed(*input, nullptr));
        if (parser.state() == RequestParser::State::failed)
            co_return co_await refuse(parser.status(), parser.code(), parser.message());
        if (parser.state() != RequestParser::State::header) co_return true;
        input = co_await connection_->read_more();
    }
    if (input.error().kind == ErrorKind::timeout)
        co_return co_await refuse(408, "RequestTimeout", "The header of the request did not come in time");
    co_return false;
}

Async<bool> Session::read_body(RequestParser& parser) {
    connection_->expires_after(config_.body_timeout);
    if (parser.expects_continue() && parser.state() == RequestParser::State::body &&
        !connection_->has_buffered_input()) {
        if (!co_await connection_->write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
    }
    net::SpoolSink sink(&parser.request().body, &workers_);
    std::string piece;
    bool need_more = false;
    while (parser.state() == RequestParser::State::body) {
        auto const input = need_more || !connection_->has_buffered_input() ? co_await connection_->read_more()
                                                                           : co_await connection_->read_available();
        if (!input) {
            if (input.error().kind == ErrorKind::timeout)
                co_return co_await refuse(408, "RequestTimeout", "The body of the request did not come in time");
            co_return false;
        }
        std::size_t const taken = parser.feed(*input, &piece);
        need_more = taken == 0;
        if (need_more && overfull(*input))
            co_return co_await refuse(400, "BadRequest", "Not a valid HTTP request: bad chunk");
        connection_->consume_input(taken);
        sink.put(piece);
        piece.clear();
        if (sink.wants_flush()) co_await sink.flush();
    }
    if (parser.state() == RequestParser::State::failed)
        co_return co_await refuse(parser.status(), parser.code(), parser.message());
    if (sink.has_block()) co_await sink.flush();
    if (sink.result()) sink.result() = parser.request().body.finish();
    if (sink.failed()) {
        log(LogLevel::error, {.component = "api"}, "cannot keep the body of a request",
            {{"error", sink.result().error().message}, {"context", sink.result().error().context}});
        co_return co_await refuse(507, "InsufficientStorage", "There is no room for the body of the request");
    }
    co_return true;
}

Async<bool> Session::send(Outgoing out) {
    std::string head = serialize_head(out);
    bool const plain = out.send_body && !out.response.stream;
    if (plain && out.response.body.size() < 64 * 1024) {  // in one write
        head += out.response.body;
        auto const written = co_await connection_->write(head);
        co_return written&& out.keep_alive;
    }
    if (!co_await connection_->write(head)) co_return false;
    bool const keep_alive = out.keep_alive;
    if (plain) {
        auto const written = co_await connection_->write(out.response.body);
        co_return written&& keep_alive;
    }
    if (!out.send_body) co_return keep_alive;
    co_return co_await send_stream(std::move(out));
}

Async<bool> Session::send_stream(Outgoing out) {
    bool const chunked = out.framing == Framing::chunked;
    std::uint64_t sent = 0;
    StartedReply& stream = out.stream;
    for (;;) {
        sent += stream.first.size();
        if (out.response.stream_length && sent > *out.response.stream_length) co_return false;
        if (!stream.first.empty()) {
            connection_->expires_after(config_.write_timeout);
            std::string const chunk = chunked ? as_chunk(stream.first) : std::move(stream.first);
            if (!co_await connection_->write(chunk)) co_return false;
        }
        if (!stream.rest) break;
        co_await workers_.run(Pool::commands, [&stream] { stream = net::begin_reply(std::move(stream.rest)); });
    }
    if (chunked && !co_await connection_->write("0\r\n\r\n")) co_return false;
    // A stream that fell short: only a cut connection tells the client so.
    if (out.response.stream_length && sent != *out.response.stream_length) co_return false;
    co_return out.keep_alive;
}

// False: the connection ends.
Async<bool> Session::serve_one() {
    RequestParser parser(config_.limits);
    if (!co_await read_header(parser) || !co_await read_body(parser)) co_return false;
    Request& request = parser.request();
    request.peer_address = connection_->stream().peer_address();
    request.peer_port = connection_->stream().peer_port();
    request.secure = connection_->stream().tls().active;
    Pool const pool = config_.pool_of ? config_.pool_of(request) : Pool::commands;
    bool const keep_alive = parser.keep_alive() && !connection_->draining();
    bool const http_1_0 = parser.is_http_1_0();
    Outgoing out = co_await workers_.call(
        pool, [this, &request, keep_alive, http_1_0] { return answer(handler_, request, keep_alive, http_1_0); });
    if (connection_->draining()) out.keep_alive = false;
    connection_->expires_after(config_.write_timeout);
    co_return co_await send(std::move(out));
}

}  // namespace

Async<void> serve(std::shared_ptr<Connection> connection, Workers& workers, Handler const& handler,
                  ServerConfig const& config) {
    Session session(std::move(connection), workers, handler, config);
    while (co_await session.wait_for_request() && co_await session.serve_one());
}

}  // namespace mallard::http
