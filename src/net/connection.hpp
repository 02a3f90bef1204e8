#pragma once
// Connection: a Stream with an input buffer: lines, counted bytes, dot-stuffed data. Shared by all line protocols.
// No buffer is held while waiting for the peer's next line.
// Belongs to one network thread; the session runs on the worker pool between awaits (run_on_workers).

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
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

enum class LineEnd {
    crlf_or_lf,  // IMAP, POP3: LF alone ends a line too (protocols.md §1.2)
    crlf,        // LMTP, SMTP: only CRLF ends a line; a bare LF or CR is part of it (SMTP smuggling)
};

class Connection {
public:
    explicit Connection(std::unique_ptr<Stream> stream);
    ~Connection();

    // The next line without its end. too_large: longer than `max`; the rest of that line has been dropped and the
    // connection goes on. closed, timeout, io end it.
    Async<Result<std::string>> read_line(std::size_t max, LineEnd end);
    Async<Result<void>> read_exactly(std::size_t count, Spool& into);
    Async<Result<void>> discard(std::uint64_t count);
    // RFC 5321 §4.5.2: up to CRLF.CRLF, dots unstuffed, into `into`; the final CRLF belongs to the message.
    // too_large: more than `max` octets came; all of it has been read and dropped. A bare LF or CR never ends it.
    Async<Result<void>> read_dot_data(std::uint64_t max, Spool& into);

    Async<Result<void>> write(std::string_view bytes);
    // Pulls the reply to its end. The pull runs on the worker pool when `on_workers`.
    Async<Result<void>> write_reply(Reply reply);

    bool has_buffered_input() const;  // bytes already here: the peer pipelines
    void drop_buffered_input();       // after STARTTLS: what was sent in clear is discarded (RFC 8314, CVE-2011-0411)

    // Waits until input arrives or wake() is called (true: input; false: woken). IDLE.
    Async<Result<bool>> wait_input_or_wake();
    // Thread-safe; may come from any thread, also after the connection has ended (keep the shared_ptr).
    std::function<void()> waker();

    Stream& stream() { return *stream_; }
    void expires_after(std::chrono::milliseconds from_now) { stream_->expires_after(from_now); }

private:
    struct State;
    std::unique_ptr<Stream> stream_;
    std::shared_ptr<State> state_;
};

}  // namespace mallard::net
