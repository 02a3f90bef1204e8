#include "pop3_proto/command.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.hpp"

namespace mallard::pop3 {

namespace {

struct VerbName {
    std::string_view name;
    Verb verb;
};

constexpr std::array<VerbName, 14> verbs = {{
    {"USER", Verb::user},
    {"PASS", Verb::pass},
    {"AUTH", Verb::auth},
    {"STLS", Verb::stls},
    {"CAPA", Verb::capa},
    {"STAT", Verb::stat},
    {"LIST", Verb::list},
    {"UIDL", Verb::uidl},
    {"RETR", Verb::retr},
    {"TOP", Verb::top},
    {"DELE", Verb::dele},
    {"RSET", Verb::rset},
    {"NOOP", Verb::noop},
    {"QUIT", Verb::quit},
}};

auto malformed() { return fail(ErrorKind::invalid, "malformed command"); }

// A message number counts from 1 (RFC 1939 §4); a count of lines may be 0.
std::optional<std::uint32_t> take_number(std::string_view& text, std::uint32_t least) {
    text = trim(text);
    std::uint32_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < least) return std::nullopt;
    std::string_view const rest = text.substr(static_cast<std::size_t>(end - text.data()));
    if (!rest.empty() && rest.front() != ' ') return std::nullopt;
    text = trim(rest);
    return value;
}

}  // namespace

std::string_view name_of(Verb verb) {
    for (auto const& known : verbs)
        if (known.verb == verb) return known.name;
    return {};
}

Result<Command> parse_command(std::string_view line) {
    if (line.contains('\0')) return malformed();
    while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
    std::size_t const end = std::min(line.find_first_of(" \t"), line.size());
    std::string_view const word = trim(line.substr(0, end));
    std::string_view rest = line.substr(std::min(end + 1, line.size()));

    Command command;
    for (auto const& known : verbs)
        if (iequals(known.name, word)) command.verb = known.verb;
    switch (command.verb) {
        case Verb::pass: command.text = rest; break;  // RFC 1939 §7: blanks may be part of the password
        case Verb::user:
        case Verb::auth: command.text = trim(rest); break;
        case Verb::list:
        case Verb::uidl:
        case Verb::retr:
        case Verb::dele: {
            bool const optional = command.verb == Verb::list || command.verb == Verb::uidl;
            if (optional && trim(rest).empty()) break;
            command.number = take_number(rest, 1);
            if (!command.number || !rest.empty()) return malformed();
            break;
        }
        case Verb::top: {
            command.number = take_number(rest, 1);
            auto const lines = take_number(rest, 0);
            if (!command.number || !lines || !rest.empty()) return malformed();
            command.lines = *lines;
            break;
        }
        case Verb::stls:
        case Verb::capa:
        case Verb::stat:
        case Verb::rset:
        case Verb::noop:
        case Verb::quit:
            if (!trim(rest).empty()) return malformed();
            break;
        case Verb::unknown: command.text = line; break;
    }
    return command;
}

std::string print_command(Command const& command) {
    if (command.verb == Verb::unknown) return command.text;
    std::string out(name_of(command.verb));
    if (command.verb == Verb::pass || !command.text.empty()) out += ' ' + command.text;
    if (command.number) out += ' ' + std::to_string(*command.number);
    if (command.verb == Verb::top) out += ' ' + std::to_string(command.lines);
    return out;
}

Result<PlainCredentials> parse_plain(std::string_view base64) {
    if (base64 == "=") base64 = {};
    auto const decoded = base64_decode(base64);
    if (!decoded) return malformed();
    std::size_t const first = decoded->find('\0');
    std::size_t const second = first == std::string::npos ? first : decoded->find('\0', first + 1);
    if (second == std::string::npos || decoded->find('\0', second + 1) != std::string::npos) return malformed();
    PlainCredentials credentials{decoded->substr(first + 1, second - first - 1), decoded->substr(second + 1)};
    if (credentials.username.empty()) credentials.username = decoded->substr(0, first);
    return credentials;
}

}  // namespace mallard::pop3
