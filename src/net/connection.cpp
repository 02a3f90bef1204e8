#include "net/connection.hpp"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <mutex>
#include <utility>

#include "net/dot_data.hpp"
#include "net/spool_sink.hpp"
#include "net/workers.hpp"

namespace mallard::net {

namespace {

constexpr std::size_t scratch_bytes = 64 * 1024;
constexpr std::size_t renew_after_bytes = 256 * 1024;
constexpr std::size_t gather_bytes = 64 * 1024;  // small reply chunks are gathered up to here

// One per network thread: no connection holds a read buffer while it waits. Used only between two awaits.
char* scratch() {
    thread_local std::unique_ptr<char[]> const buffer = std::make_unique<char[]>(scratch_bytes);
    return buffer.get();
}

std::unexpected<Error> line_too_long(std::size_t max) {
    return fail(ErrorKind::too_large, "the line is longer than " + std::to_string(max) + " octets");
}

std::unexpected<Error> going_down() { return fail(ErrorKind::unavailable, "the server is shutting down"); }

// The next part of a reply: its own large chunks, or small ones gathered. Empty: the end.
std::string pull_part(Reply& reply) {
    std::string part;
    while (part.size() < gather_bytes) {
        std::string* const chunk = reply.next();
        if (chunk == nullptr) {
            reply = Reply();
            break;
        }
        if (part.empty())
            part = std::move(*chunk);
        else
            part += *chunk;
    }
    return part;
}

}  // namespace

StartedReply begin_reply(Reply reply) {
    StartedReply started{.first = {}, .rest = std::move(reply)};
    started.first = pull_part(started.rest);
    return started;
}

// What wakers share with the connection. `stream` is touched on the network thread only.
struct Connection::State {
    std::mutex mutex;
    bool woken = false;
    bool waiting = false;
    boost::asio::any_io_executor executor;  // while waiting
    Stream* stream = nullptr;
};

Connection::Connection(std::unique_ptr<Stream> stream, Workers* workers)
    : stream_(std::move(stream)), workers_(workers), state_(std::make_shared<State>()) {
    state_->stream = stream_.get();
}

Connection::~Connection() {
    std::lock_guard const lock(state_->mutex);
    state_->stream = nullptr;
    state_->waiting = false;
    state_->executor = {};
}

void Connection::expires_after(std::chrono::milliseconds from_now) {
    timeout_ = from_now;
    moved_ = 0;
    stream_->expires_after(from_now);
}

void Connection::renew(std::size_t moved) {
    moved_ += moved;
    if (moved_ < renew_after_bytes || timeout_.count() == 0) return;
    moved_ = 0;
    stream_->expires_after(timeout_);
}

bool Connection::draining() const { return draining_; }

void Connection::drain() {
    draining_ = true;
    if (waiting_idle_) stream_->interrupt();
}

// What is left of a dropped line is no input: nobody may wait for it before answering.
bool Connection::has_buffered_input() const { return !dropping_line_ && input_begin_ < input_.size(); }

void Connection::drop_buffered_input() {
    input_.clear();
    input_begin_ = scanned_ = 0;
    dropping_line_ = false;
}

void Connection::consume_input(std::size_t count) {
    input_begin_ += std::min(count, input_.size() - input_begin_);
    scanned_ = 0;
    if (input_begin_ == input_.size()) {
        input_.clear();
        input_begin_ = 0;
    }
}

// Before waiting: an idle connection has no buffer.
void Connection::release_input() {
    if (input_.empty() && input_.capacity() > std::string().capacity()) input_ = std::string();
}

// Takes what the stream has; 0: nothing yet.
Result<std::size_t> Connection::fill() {
    char* const buffer = scratch();
    auto const n = stream_->try_read(buffer, scratch_bytes);
    if (!n || *n == 0) return n;
    if (input_begin_ > 0) {
        input_.erase(0, input_begin_);
        input_begin_ = 0;
    }
    input_.append(buffer, *n);
    return n;
}

// The next whole line, too_large, or nothing yet. A line that grows beyond its limit is refused at once, so that a peer
// that never ends it gets its answer; what still comes of it is dropped in front of the next line.
std::optional<Result<std::string>> Connection::take_line(std::size_t max, LineEnd end) {
    std::string_view const have = input();
    std::size_t length;  // of the line
    std::size_t after;   // where the next one begins
    if (end == LineEnd::crlf) {
        length = have.find("\r\n", scanned_ > 0 ? scanned_ - 1 : 0);
        after = length + 2;
    } else {
        length = have.find('\n', scanned_);
        after = length + 1;
        if (length != std::string_view::npos && length > 0 && have[length - 1] == '\r') --length;
    }
    if (length == std::string_view::npos) {
        scanned_ = have.size();
        if (!dropping_line_ && have.size() <= max + 1) return std::nullopt;
        consume_input(have.size() - 1);  // the last may be the CR of the line's end
        scanned_ = 1;
        if (std::exchange(dropping_line_, true)) return std::nullopt;
        return Result<std::string>(line_too_long(max));
    }
    bool const dropped = std::exchange(dropping_line_, false);
    std::string line(dropped || length > max ? std::string_view() : have.substr(0, length));
    consume_input(after);
    if (dropped) return input().empty() ? std::nullopt : take_line(max, end);  // at most once: nothing is dropped now
    if (length > max) return Result<std::string>(line_too_long(max));
    return Result<std::string>(std::move(line));
}

Async<Result<std::string>> Connection::read_line(std::size_t max, LineEnd end) {
    for (;;) {
        if (!input().empty())
            if (auto line = take_line(max, end)) co_return std::move(*line);
        if (auto const n = fill(); !n)
            co_return std::unexpected(n.error());
        else if (*n > 0)
            continue;
        if (draining_ && !has_buffered_input()) co_return going_down();
        release_input();
        waiting_idle_ = true;
        auto waited = co_await stream_->wait_readable();
        waiting_idle_ = false;
        if (!waited) co_return std::unexpected(std::move(waited).error());
    }
}

Async<Result<std::string_view>> Connection::read_available() {
    while (!has_buffered_input()) {
        if (auto const n = fill(); !n)
            co_return std::unexpected(n.error());
        else if (*n > 0)
            break;
        if (draining_) co_return going_down();
        release_input();
        waiting_idle_ = true;
        auto waited = co_await stream_->wait_readable();
        waiting_idle_ = false;
        if (!waited) co_return std::unexpected(std::move(waited).error());
    }
    co_return input();
}

Async<Result<std::string_view>> Connection::read_more() {
    for (;;) {
        auto const n = fill();
        if (!n) co_return std::unexpected(n.error());
        if (*n > 0) {
            renew(*n);
            co_return input();
        }
        release_input();
        if (auto waited = co_await stream_->wait_readable(); !waited) co_return std::unexpected(waited.error());
    }
}

Async<Result<void>> Connection::transfer(std::uint64_t count, SpoolSink& sink) {
    while (count > 0) {
        std::string_view bytes;
        bool const buffered = has_buffered_input();
        if (buffered) {
            bytes = input().substr(0, std::min<std::uint64_t>(count, input().size()));
        } else {
            char* const buffer = scratch();
            auto const n = stream_->try_read(buffer, std::min<std::uint64_t>(count, scratch_bytes));
            if (!n) co_return std::unexpected(n.error());
            bytes = {buffer, *n};
        }
        if (bytes.empty()) {
            release_input();
            if (auto waited = co_await stream_->wait_readable(); !waited) co_return waited;
            continue;
        }
        count -= bytes.size();
        sink.put(bytes);
        if (!sink.failed()) renew(bytes.size());
        if (buffered) consume_input(bytes.size());
        if (sink.wants_flush() || (count == 0 && sink.has_block())) co_await sink.flush();
    }
    co_return std::move(sink.result());
}

Async<Result<void>> Connection::read_exactly(std::size_t count, Spool& into) {
    SpoolSink sink(&into, workers_);
    co_return co_await transfer(count, sink);
}

Async<Result<void>> Connection::discard(std::uint64_t count) {
    SpoolSink sink(nullptr, nullptr);
    co_return co_await transfer(count, sink);
}

Async<Result<void>> Connection::read_dot_data(std::uint64_t max, Spool& into) {
    SpoolSink sink(&into, workers_);
    DotDecoder decoder;
    std::uint64_t size = 0;
    while (!decoder.done()) {
        while (has_buffered_input() && !decoder.done()) {
            std::string_view piece;
            std::size_t const taken = decoder.step(input(), piece);
            size += piece.size();
            if (size > max) sink.drop_rest();
            sink.put(piece);
            if (!sink.dropping()) renew(taken);
            consume_input(taken);
            if (sink.wants_flush()) co_await sink.flush();
        }
        if (decoder.done()) break;
        auto const n = fill();
        if (!n) co_return std::unexpected(n.error());
        if (*n > 0) continue;
        release_input();
        if (auto waited = co_await stream_->wait_readable(); !waited) co_return waited;
    }
    if (size > max)
        co_return fail(ErrorKind::too_large, "the message is larger than " + std::to_string(max) + " octets");
    if (sink.has_block()) co_await sink.flush();
    co_return std::move(sink.result());
}

Async<Result<void>> Connection::write(std::string_view bytes) { return stream_->write(bytes); }

Async<Result<void>> Connection::write_reply(Reply reply) { return write_reply(StartedReply{{}, std::move(reply)}); }

Async<Result<void>> Connection::write_reply(StartedReply reply) {
    for (;;) {
        if (reply.rest && workers_ != nullptr && reply.first.size() >= gather_bytes) {
            // A long reply: the next part is made while this one is on its way. Two parts in memory, no more.
            using boost::asio::experimental::awaitable_operators::operator&&;
            std::string next;
            auto pull = [&reply, &next] { next = pull_part(reply.rest); };
            auto const written = co_await (stream_->write(reply.first) && workers_->run(Pool::commands, pull));
            if (!written) co_return written;
            renew(reply.first.size());
            reply.first = std::move(next);
            continue;
        }
        if (!reply.first.empty()) {
            if (auto written = co_await stream_->write(reply.first); !written) co_return written;
            renew(reply.first.size());
        }
        if (!reply.rest) co_return Result<void>();
        if (workers_ == nullptr)
            reply.first = pull_part(reply.rest);
        else
            co_await workers_->run(Pool::commands, [&reply] { reply.first = pull_part(reply.rest); });
    }
}

Async<Result<bool>> Connection::wait_input_or_wake() {
    State& state = *state_;
    auto const executor = co_await boost::asio::this_coro::executor;
    for (;;) {
        if (has_buffered_input()) co_return true;
        if (auto const n = fill(); !n)
            co_return std::unexpected(n.error());
        else if (*n > 0)
            co_return true;
        if (draining_) co_return going_down();
        {
            std::lock_guard const lock(state.mutex);
            if (std::exchange(state.woken, false)) co_return false;
            state.waiting = true;
            state.executor = executor;
        }
        release_input();
        waiting_idle_ = true;
        auto const waited = co_await stream_->wait_readable();
        waiting_idle_ = false;
        {
            std::lock_guard const lock(state.mutex);
            state.waiting = false;
            state.executor = {};
        }
        if (!waited) co_return std::unexpected(waited.error());
    }
}

std::function<void()> Connection::waker() {
    return [state = state_] {
        std::lock_guard const lock(state->mutex);
        if (std::exchange(state->woken, true) || !state->waiting) return;
        // Under the lock, so that the connection, and with it its network thread, is still there.
        boost::asio::post(state->executor, [state] {
            if (state->stream != nullptr) state->stream->interrupt();
        });
    };
}

}  // namespace mallard::net
