#pragma once
// Connection: a Stream with an input buffer: lines, counted bytes, dot-stuffed data. Shared by all line protocols.
// No buffer is held while waiting for the peer's next line.
// Belongs to one network thread; the session runs on the worker pool between awaits (Workers::call).
// Deadlines: the caller sets one before it waits (expires_after). In the transfers (read_exactly, read_dot_data,
// discard, write_reply) it is renewed by the same span with every 256 KiB that moved, so that a span bounds the slowest
// rate and not the size; what is only read to be dropped (too_large, a full disk) does not renew it. While the server
// drains, a wait for the peer's next line or event fails with `unavailable` when nothing of it has come.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/generator.hpp"
#include "base/spool.hpp"
#include "net/stream.hpp"

namespace mallard::net {

// A reply is pulled chunk by chunk (at most 256 KiB each) on the worker pool and written by the edge: a slow reader
// holds one chunk of memory.
using Reply = Generator<std::string>;

// A reply whose first part has been pulled already, in the hop that ran the command: a short reply needs no second hop.
//   auto reply = co_await workers.call(Pool::commands, [&] { return begin_reply(session.execute(command)); });
//   co_await connection.write_reply(std::move(reply));
struct StartedReply {
    std::string first;
    Reply rest;  // empty: `first` was all
};
StartedReply begin_reply(Reply reply);

class SpoolSink;
class Workers;

enum class LineEnd {
    crlf_or_lf,  // IMAP, POP3: LF alone ends a line too (protocols.md §1.2)
    crlf,        // LMTP, SMTP: only CRLF ends a line; a bare LF or CR is part of it (SMTP smuggling)
};

class Connection {
public:
    // Without workers (tests), what would run on them runs in place.
    explicit Connection(std::unique_ptr<Stream> stream, Workers* workers = nullptr);
    ~Connection();
    Connection(Connection const&) = delete;
    Connection& operator=(Connection const&) = delete;

    // The next line without its end. too_large: longer than `max`, told as soon as that is sure; the rest of that
    // line is dropped in front of the next one, and the connection goes on. closed, timeout, io end it.
    Async<Result<std::string>> read_line(std::size_t max, LineEnd end);
    // An error of the spool (disk full) is returned after the octets have been read and dropped: the connection goes
    // on. What goes to a file is written on the worker pool, 256 KiB at a time.
    Async<Result<void>> read_exactly(std::size_t count, Spool& into);
    // For what is understood piece by piece (HTTP): all that is here; consume_input then says how much of it was used.
    // The views are valid until the next operation.
    Async<Result<std::string_view>> read_available();  // waits only if nothing is buffered
    Async<Result<std::string_view>> read_more();       // waits for more than is buffered; not ended by draining
    void consume_input(std::size_t count);
    Async<Result<void>> discard(std::uint64_t count);
    // RFC 5321 §4.5.2: up to CRLF.CRLF, dots unstuffed, into `into`; the final CRLF belongs to the message.
    // too_large: more than `max` octets came; all of it has been read and dropped. A bare LF or CR never ends it.
    Async<Result<void>> read_dot_data(std::uint64_t max, Spool& into);

    Async<Result<void>> write(std::string_view bytes);
    // Pulls the reply to its end, on the worker pool; small chunks are gathered to about 64 KiB a hop. Of a long reply
    // the next part is pulled while the last one is written.
    Async<Result<void>> write_reply(Reply reply);
    Async<Result<void>> write_reply(StartedReply reply);

    bool has_buffered_input() const;  // bytes already here: the peer pipelines
    void drop_buffered_input();       // after STARTTLS: what was sent in clear is discarded (RFC 8314, CVE-2011-0411)

    // Waits until input arrives or wake() is called (true: input; false: woken). IDLE.
    Async<Result<bool>> wait_input_or_wake();
    // Thread-safe; may come from any thread, also after the connection has ended (keep the shared_ptr).
    std::function<void()> waker();

    Stream& stream() { return *stream_; }
    void expires_after(std::chrono::milliseconds from_now);

    bool draining() const;  // the server is going down: say goodbye after the command in flight
    void drain();           // Server's business

private:
    struct State;

    Result<std::size_t> fill();
    void renew(std::size_t moved);
    std::optional<Result<std::string>> take_line(std::size_t max, LineEnd end);
    std::string_view input() const { return std::string_view(input_).substr(input_begin_); }
    void release_input();
    Async<Result<void>> transfer(std::uint64_t count, SpoolSink& sink);

    std::unique_ptr<Stream> stream_;
    Workers* workers_;
    std::shared_ptr<State> state_;  // shared with the wakers, which outlive the connection
    std::string input_;             // what has been read and not been used, from input_begin_ on
    std::size_t input_begin_ = 0;
    std::size_t scanned_ = 0;  // so much of it holds no line end
    std::size_t moved_ = 0;    // since the deadline was renewed
    std::chrono::milliseconds timeout_{0};
    bool dropping_line_ = false;
    bool draining_ = false;
    bool waiting_idle_ = false;
};

}  // namespace mallard::net
