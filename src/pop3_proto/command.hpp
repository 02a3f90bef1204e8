#pragma once
// POP3 command lines (RFC 1939 §3, RFC 2449, RFC 2595, RFC 5034). Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::pop3 {

// RFC 2449 §4 asks for 255 octets; RFC 5034 §4 says a SASL line may be longer.
inline constexpr std::size_t command_line_bytes_max = 4096;

enum class Verb { user, pass, auth, stls, capa, stat, list, uidl, retr, top, dele, rset, noop, quit, unknown };

struct Command {
    Verb verb = Verb::unknown;
    std::string text;                     // USER name, PASS password (its blanks kept), AUTH arguments; an unknown line
    std::optional<std::uint32_t> number;  // LIST and UIDL: may be absent; RETR, DELE, TOP
    std::uint32_t lines = 0;              // TOP
    bool operator==(Command const&) const = default;
};

std::string_view name_of(Verb verb);  // upper case; "" for unknown

// invalid: a known verb with arguments that are not its own.
Result<Command> parse_command(std::string_view line);
std::string print_command(Command const& command);

// SASL PLAIN (RFC 4616 §2) as it stands in AUTH: base64 of authzid NUL authcid NUL password. "=" is the empty response.
struct PlainCredentials {
    std::string username;  // authcid, or authzid when that is empty
    std::string password;
};
Result<PlainCredentials> parse_plain(std::string_view base64);

}  // namespace mallard::pop3
