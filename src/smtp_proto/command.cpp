#include "smtp_proto/command.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.hpp"

namespace mallard::smtp {

namespace {

struct VerbName {
    std::string_view name;
    Verb verb;
};

constexpr std::array<VerbName, 15> verbs = {{
    {"LHLO", Verb::lhlo},
    {"EHLO", Verb::ehlo},
    {"HELO", Verb::helo},
    {"MAIL", Verb::mail},
    {"RCPT", Verb::rcpt},
    {"DATA", Verb::data},
    {"RSET", Verb::rset},
    {"NOOP", Verb::noop},
    {"VRFY", Verb::vrfy},
    {"EXPN", Verb::expn},
    {"HELP", Verb::help},
    {"QUIT", Verb::quit},
    {"STARTTLS", Verb::starttls},
    {"AUTH", Verb::auth},
    {"BDAT", Verb::bdat},
}};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

std::unexpected<Reply> refuse(int code, std::string_view status, std::string_view text) {
    return std::unexpected(Reply{code, std::string(status), std::string(text)});
}

// esmtp-param (RFC 5321 §4.1.2).
struct Parameter {
    std::string_view keyword;
    std::optional<std::string_view> value;
};

std::optional<Parameter> take_parameter(std::string_view& rest) {
    std::size_t const end = std::min(rest.find(' '), rest.size());
    std::string_view const word = rest.substr(0, end);
    rest.remove_prefix(end);
    Parameter parameter;
    std::size_t const equals = word.find('=');
    parameter.keyword = word.substr(0, equals);
    if (equals != word.npos) parameter.value = word.substr(equals + 1);
    auto alnum = [](char c) { return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'); };
    if (parameter.keyword.empty() || !alnum(parameter.keyword.front())) return std::nullopt;
    if (!std::ranges::all_of(parameter.keyword, [&](char c) { return alnum(c) || c == '-'; })) return std::nullopt;
    if (parameter.value && (parameter.value->empty() || parameter.value->contains('='))) return std::nullopt;
    return parameter;
}

using Outcome = std::expected<void, Reply>;

Outcome read_size(Parameter const& parameter, MailParameters& into) {  // RFC 1870 §4: 1*20DIGIT
    std::uint64_t size = 0;
    std::string_view const text = parameter.value.value_or("");
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (into.size || text.empty() || error != std::errc() || end != text.data() + text.size())
        return refuse(501, "5.5.4", "SIZE must be given once, with a number of octets");
    into.size = size;
    return {};
}

Outcome read_body(Parameter const& parameter, MailParameters& into) {
    std::string_view const text = parameter.value.value_or("");
    if (into.body || (!iequals(text, "7BIT") && !iequals(text, "8BITMIME")))
        return refuse(501, "5.5.4", "BODY must be given once, as 7BIT or 8BITMIME");
    into.body = iequals(text, "7BIT") ? Body::seven_bit : Body::eight_bit;
    return {};
}

Outcome read_smtputf8(Parameter const& parameter, MailParameters& into) {
    if (into.smtputf8 || parameter.value) return refuse(501, "5.5.4", "SMTPUTF8 must be given once and has no value");
    into.smtputf8 = true;
    return {};
}

Outcome read_mail_parameters(std::string_view rest, MailParameters& into) {
    while (!rest.empty()) {
        if (rest.front() != ' ') return refuse(501, "5.5.4", "A blank must stand between the path and each parameter");
        while (rest.starts_with(' ')) rest.remove_prefix(1);
        auto const parameter = take_parameter(rest);
        if (!parameter) return refuse(501, "5.5.4", "Malformed MAIL parameter");
        Outcome read;
        if (iequals(parameter->keyword, "SIZE"))
            read = read_size(*parameter, into);
        else if (iequals(parameter->keyword, "BODY"))
            read = read_body(*parameter, into);
        else if (iequals(parameter->keyword, "SMTPUTF8"))
            read = read_smtputf8(*parameter, into);
        else
            read = refuse(555, "5.5.4", "MAIL parameter not recognized: only SIZE, BODY and SMTPUTF8 are offered");
        if (!read) return read;
    }
    return {};
}

// "FROM:" or "TO:", then the path. Deviation: RFC 5321 §3.3 has no blank after the colon; many clients send one, and
// it cannot be mistaken.
bool take_path_after(std::string_view& rest, std::string_view keyword, PathKind kind, Path& path) {
    if (!iequals(rest.substr(0, keyword.size()), keyword)) return false;
    std::string_view after = rest.substr(keyword.size());
    while (after.starts_with(' ')) after.remove_prefix(1);
    auto taken = take_path(after, kind);
    if (!taken) return false;
    path = std::move(*taken);
    rest = after;
    return true;
}

std::expected<Command, Reply> parse_mail(std::string_view rest) {
    Command command{.verb = Verb::mail};
    if (!take_path_after(rest, "FROM:", PathKind::reverse, command.path))
        return refuse(501, "5.1.7", "Bad sender address syntax: MAIL FROM:<address>");
    if (auto read = read_mail_parameters(rest, command.mail); !read) return std::unexpected(std::move(read).error());
    // RFC 6531 §3.5
    if (!command.path.is_ascii() && !command.mail.smtputf8)
        return refuse(553, "5.6.7", "An address with non-ASCII characters needs SMTPUTF8");
    return command;
}

std::expected<Command, Reply> parse_rcpt(std::string_view rest) {
    Command command{.verb = Verb::rcpt};
    if (!take_path_after(rest, "TO:", PathKind::forward, command.path))
        return refuse(501, "5.1.3", "Bad recipient address syntax: RCPT TO:<address>");
    if (!trim_blanks(rest).empty()) return refuse(555, "5.5.4", "RCPT parameters are not offered");
    return command;
}

}  // namespace

std::string_view name_of(Verb verb) {
    for (auto const& known : verbs)
        if (known.verb == verb) return known.name;
    return {};
}

std::expected<Command, Reply> parse_command(std::string_view line) {
    // A bare CR or LF is no line end (SMTP smuggling) and, like every control, no part of a command either.
    if (std::ranges::any_of(line,
                            [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7F; }))
        return refuse(500, "5.5.2", "A command cannot contain control characters");
    if (!is_valid_utf8(line)) return refuse(500, "5.5.2", "A command must be ASCII or UTF-8");
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);

    std::size_t const end = std::min(line.find_first_of(" \t"), line.size());
    std::string_view const word = line.substr(0, end);
    std::string_view const rest = trim_blanks(line.substr(end));
    Command command;
    for (auto const& known : verbs)
        if (iequals(known.name, word)) command.verb = known.verb;
    switch (command.verb) {
        case Verb::mail: return parse_mail(rest);
        case Verb::rcpt: return parse_rcpt(rest);
        case Verb::lhlo:
        case Verb::ehlo:
        case Verb::helo:
            // Deviation: the name is not checked against RFC 5321 §4.1.1.1: too many clients send others.
            if (rest.empty() || rest.find_first_of(" \t") != rest.npos)
                return refuse(501, "5.5.4", std::string("Syntax: ") + std::string(name_of(command.verb)) + " hostname");
            break;
        case Verb::data:
        case Verb::rset:
        case Verb::quit:
        case Verb::starttls:  // RFC 3207 §4: 501 when parameters are given
            if (!rest.empty()) return refuse(501, "5.5.4", std::string(name_of(command.verb)) + " takes no parameters");
            break;
        case Verb::noop:
        case Verb::vrfy:
        case Verb::expn:
        case Verb::help:
        case Verb::auth:
        case Verb::bdat:
        case Verb::unknown: break;
    }
    command.argument = command.verb == Verb::unknown ? line : rest;
    return command;
}

std::string print_command(Command const& command) {
    if (command.verb == Verb::unknown) return command.argument;
    std::string out(name_of(command.verb));
    if (command.verb == Verb::mail) {
        out += " FROM:<" + command.path.address() + '>';
        if (command.mail.size) out += " SIZE=" + std::to_string(*command.mail.size);
        if (command.mail.body) out += *command.mail.body == Body::seven_bit ? " BODY=7BIT" : " BODY=8BITMIME";
        if (command.mail.smtputf8) out += " SMTPUTF8";
    } else if (command.verb == Verb::rcpt) {
        out += " TO:<" + command.path.address() + '>';
    } else if (!command.argument.empty()) {
        out += ' ' + command.argument;
    }
    return out;
}

}  // namespace mallard::smtp
