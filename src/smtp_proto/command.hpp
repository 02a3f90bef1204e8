#pragma once
// Command lines of SMTP and LMTP (RFC 5321 §4.1.1, RFC 2033 §4). Pure: a line in, a Command or the reply that refuses
// it out. Which commands are allowed when is the session's business.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "smtp_proto/path.hpp"
#include "smtp_proto/reply.hpp"

namespace mallard::smtp {

inline constexpr std::size_t command_line_bytes_max = 2048;  // RFC 5321 §4.5.3.1.4 asks for 512 and room for extensions

enum class Verb {
    lhlo,
    ehlo,
    helo,
    mail,
    rcpt,
    data,
    rset,
    noop,
    vrfy,
    expn,
    help,
    quit,
    starttls,
    auth,
    bdat,
    unknown
};

enum class Body { seven_bit, eight_bit };

struct MailParameters {
    std::optional<std::uint64_t> size;  // RFC 1870 §4
    std::optional<Body> body;           // RFC 6152 §2
    bool smtputf8 = false;              // RFC 6531 §3.4
    bool operator==(MailParameters const&) const = default;
};

struct Command {
    Verb verb = Verb::unknown;
    std::string argument;  // of the verbs without a grammar of their own here: host name, text
    Path path;             // MAIL, RCPT
    MailParameters mail;
    bool operator==(Command const&) const = default;
};

std::string_view name_of(Verb verb);  // upper case; "" for unknown

// The refusal has 500, 501, 553 or 555. An unknown verb is not refused here.
std::expected<Command, Reply> parse_command(std::string_view line);
std::string print_command(Command const& command);

}  // namespace mallard::smtp
