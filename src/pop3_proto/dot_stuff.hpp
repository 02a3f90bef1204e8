#pragma once
// The body of a multi-line reply (RFC 1939 §3), in pieces: dots at line starts doubled, "." at the end. Pure.
//
// Only CRLF ends a line here: bytes leave as they are stored, and a bare LF starts no line. A message that does not end
// in CRLF gets one, or the final dot would not stand alone; nothing else is added.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mallard::pop3 {

class DotStuffer {
public:
    void feed(std::string_view bytes, std::string& out);
    void finish(std::string& out);  // CRLF if needed, then ".\r\n"

private:
    enum class At { line_start, inside, after_cr };
    At at_ = At::line_start;
};

// Cuts a message after its header, the blank line and `lines` lines of the body (TOP), in pieces.
class TopCutter {
public:
    explicit TopCutter(std::uint32_t lines) : left_(lines) {}
    // How many of `bytes` belong; done() is true once the cut was reached.
    std::size_t feed(std::string_view bytes);
    bool done() const { return done_; }

private:
    std::uint32_t left_;
    bool in_header_ = true;
    bool line_blank_ = true;  // nothing but CR since the line began
    bool done_ = false;
};

}  // namespace mallard::pop3
