// POP3 command lines, and message bodies in pieces. Oracles: parse(print(parse(x))) == parse(x); what is unstuffed is
// what was stuffed, whatever the pieces; TOP keeps a prefix, the same for pieces of any size.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.hpp"
#include "pop3_proto/command.hpp"
#include "pop3_proto/dot_stuff.hpp"

using namespace mallard::pop3;

namespace {

std::string stuffed(std::string_view message, std::size_t piece) {
    DotStuffer stuffer;
    std::string out;
    for (; !message.empty(); message.remove_prefix(std::min(piece, message.size())))
        stuffer.feed(message.substr(0, piece), out);
    stuffer.finish(out);
    return out;
}

// RFC 1939 §3, as a client does it, line by line; the terminator must be the end.
std::string unstuffed(std::string_view wire) {
    std::string out;
    for (;;) {
        std::size_t const end = wire.find("\r\n");
        MALLARD_FUZZ_CHECK(end != wire.npos);
        std::string_view line = wire.substr(0, end + 2);
        wire.remove_prefix(end + 2);
        if (line == ".\r\n") break;
        if (line.front() == '.') line.remove_prefix(1);
        out += line;
    }
    MALLARD_FUZZ_CHECK(wire.empty());
    return out;
}

std::string top(std::string_view message, std::uint32_t lines, std::size_t piece) {
    TopCutter cutter(lines);
    std::string out;
    for (; !message.empty() && !cutter.done(); message.remove_prefix(std::min(piece, message.size()))) {
        std::string_view const part = message.substr(0, piece);
        out += part.substr(0, cutter.feed(part));
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text(reinterpret_cast<char const*>(data), size);
    if (auto const command = parse_command(text)) {
        auto const again = parse_command(print_command(*command));
        MALLARD_FUZZ_CHECK(again && *again == *command);
        if (command->verb == Verb::auth) static_cast<void>(parse_plain(command->text));
    }
    static_cast<void>(parse_plain(text));

    std::size_t const piece = size > 0 ? data[0] % 7 + 1 : 1;
    std::string const wire = stuffed(text, piece);
    MALLARD_FUZZ_CHECK(wire == stuffed(text, size + 1));
    std::string const back = unstuffed(wire);
    MALLARD_FUZZ_CHECK(back == text || back == std::string(text) + "\r\n");

    std::uint32_t const lines = size > 1 ? data[1] % 5 : 0;
    std::string const cut = top(text, lines, piece);
    MALLARD_FUZZ_CHECK(cut == top(text, lines, size + 1) && text.starts_with(cut));
    return 0;
}
