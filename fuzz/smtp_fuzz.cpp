// Command lines of SMTP and LMTP. Oracles: parse(print(parse(x))) == parse(x); a reply is whole lines without controls.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check.hpp"
#include "smtp_proto/command.hpp"

using namespace mallard::smtp;

namespace {

void check_reply(Reply const& reply) {
    std::string const wire = render(reply);
    MALLARD_FUZZ_CHECK(wire.ends_with("\r\n"));
    for (std::size_t i = 0; i + 2 < wire.size(); ++i) {
        auto const c = static_cast<unsigned char>(wire[i]);
        bool const line_end = (c == '\r' && wire[i + 1] == '\n') || (c == '\n' && i > 0 && wire[i - 1] == '\r');
        MALLARD_FUZZ_CHECK(line_end || (c >= ' ' && c != 0x7F));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const line(reinterpret_cast<char const*>(data), size);
    auto const command = parse_command(line);
    check_reply({250, "2.0.0", std::string(line)});
    if (!command) {
        MALLARD_FUZZ_CHECK(command.error().code >= 500 && command.error().code <= 555);
        check_reply(command.error());
        return 0;
    }
    MALLARD_FUZZ_CHECK(parse_command(print_command(*command)) == command);

    std::string_view rest = line;
    if (auto const path = take_path(rest, PathKind::reverse)) {
        std::string const again = '<' + path->address() + '>';
        std::string_view text = again;
        MALLARD_FUZZ_CHECK(take_path(text, PathKind::reverse) == path && text.empty());
    }
    return 0;
}
