#pragma once
// DotDecoder: the data of SMTP, LMTP (RFC 5321 §4.5.2): takes the stream in pieces of any size, gives the message in
// pieces, ends at CRLF "." CRLF and nowhere else: a bare CR or LF is data (SMTP smuggling). Pure; linear.

#include <array>
#include <cstddef>
#include <string_view>

namespace mallard::net {

class DotDecoder {
public:
    // Decodes from the start of `in`. `out` is the next piece of the message (a part of `in`, or static); returns how
    // many octets of `in` it took. Call again with the rest until everything is taken or done().
    std::size_t step(std::string_view in, std::string_view& out);
    bool done() const { return state_ == State::done; }

private:
    enum class State { text, after_dot, after_dot_cr, done };

    bool at_line_start(std::string_view in, std::size_t at) const;
    void remember(std::string_view taken);

    State state_ = State::text;
    std::array<char, 2> last_{'\r', '\n'};  // the two octets before: DATA's own CRLF at first
};

}  // namespace mallard::net
