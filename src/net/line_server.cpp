#include "net/line_server.hpp"

#include <utility>

namespace mallard::net {

namespace {

constexpr std::size_t held_reply_bytes_max = 64 * 1024;
constexpr std::chrono::milliseconds held_reply_time_max(50);
constexpr std::chrono::seconds last_words_timeout(2);

// Between two commands. False: no command; look again.
Async<Result<bool>> wait_for_command(Dialogue& dialogue, LineSession& session) {
    if (!dialogue.connection.has_buffered_input())
        if (auto written = co_await dialogue.flush(session.write_timeout()); !written)
            co_return std::unexpected(written.error());
    dialogue.connection.expires_after(session.patience());
    co_return co_await dialogue.connection.wait_input_or_wake();
}

Async<Result<void>> start_tls(Dialogue& dialogue, LineSession& session) {
    if (auto written = co_await dialogue.flush(session.write_timeout()); !written) co_return written;
    auto const context = dialogue.server.tls();
    if (!context) co_return fail(ErrorKind::not_supported, "there is no certificate");
    dialogue.connection.drop_buffered_input();  // what came in clear behind STARTTLS counts for nothing (CVE-2011-0411)
    dialogue.connection.expires_after(session.patience());
    auto started = co_await dialogue.connection.stream().start_tls(*context);
    if (started) session.tls_started();
    co_return started;
}

Async<Result<void>> converse(Dialogue& dialogue, LineSession& session) {
    for (;;) {
        if (std::string const words = session.farewell(); !words.empty()) {
            dialogue.pending += words;
            co_return Result<void>();
        }
        if (dialogue.server.draining()) co_return fail(ErrorKind::unavailable, "the server is shutting down");
        auto const input = co_await wait_for_command(dialogue, session);
        if (!input) co_return std::unexpected(input.error());
        if (!*input) continue;
        auto const after = co_await session.command(dialogue);
        if (!after) co_return std::unexpected(after.error());
        if (*after == After::close) co_return Result<void>();
        if (*after == After::starttls)
            if (auto started = co_await start_tls(dialogue, session); !started) co_return started;
    }
}

// What the peer is told at the end, when that is not its own doing.
void say_goodbye(Dialogue& dialogue, LineSession const& session, Result<void> const& outcome) {
    if (outcome) return;
    if (outcome.error().kind == ErrorKind::timeout) dialogue.pending += session.timed_out();
    if (outcome.error().kind == ErrorKind::unavailable) dialogue.pending += session.shutting_down();
}

}  // namespace

Async<Result<void>> Dialogue::flush(std::chrono::milliseconds timeout) {
    if (pending.empty()) co_return Result<void>();
    std::string const bytes = std::exchange(pending, {});
    connection.expires_after(timeout);
    co_return co_await connection.write(bytes);
}

Async<Result<void>> Dialogue::reply(StartedReply reply, std::chrono::milliseconds timeout) {
    auto const now = std::chrono::steady_clock::now();
    if (pending.empty()) {
        held_since = now;
        pending = std::move(reply.first);
    } else {
        pending += reply.first;
    }
    bool const more = static_cast<bool>(reply.rest);
    bool const full = pending.size() >= held_reply_bytes_max || now - held_since >= held_reply_time_max;
    if (!more && !full && connection.has_buffered_input()) co_return Result<void>();
    reply.first = std::exchange(pending, {});
    connection.expires_after(timeout);  // however long the command took: the peer has its time
    if (!more) co_return co_await connection.write(reply.first);
    co_return co_await connection.write_reply(std::move(reply));
}

Async<void> serve_lines(Server& server, std::shared_ptr<Connection> connection, std::unique_ptr<LineSession> session) {
    log(LogLevel::debug, session->log_context(), "Connected");
    Dialogue dialogue{server, *connection, session->greeting()};
    Result<void> const outcome = co_await converse(dialogue, *session);
    say_goodbye(dialogue, *session, outcome);
    co_await dialogue.flush(last_words_timeout);
    log(LogLevel::debug, session->log_context(), "Disconnected",
        {{"reason", outcome ? std::string("closed") : outcome.error().message}});
    co_await session->ended(server);
}

}  // namespace mallard::net
