// LOGIN and AUTHENTICATE PLAIN (RFC 9051 §6.2, RFC 4616, RFC 4959; replies: protocols.md §1.7).

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "imap/command_table.hpp"

namespace mallard::imap {

namespace {

// RFC 4616 §2: authzid NUL authcid NUL passwd; with a client token one part more.
std::optional<std::vector<std::string>> sasl_parts(std::string_view initial, std::size_t count) {
    std::string decoded;
    if (initial != "=") {  // RFC 4959 §3: an empty response
        auto bytes = base64_decode(initial);
        if (!bytes) return std::nullopt;
        decoded = std::move(*bytes);
    }
    std::vector<std::string> parts;
    std::size_t from = 0;
    while (true) {
        std::size_t const nul = decoded.find('\0', from);
        parts.push_back(decoded.substr(from, nul - from));
        if (nul == std::string::npos) break;
        from = nul + 1;
    }
    if (parts.size() != count) return std::nullopt;
    return parts;
}

Outcome refused(Error const& error, bool login) {
    switch (error.kind) {
        case ErrorKind::auth_failed: return no("AUTHENTICATIONFAILED", "Invalid credentials");
        case ErrorKind::rate_limited: return no(login ? "RateLimitedError" : "", "Authentication was rate limited");
        case ErrorKind::scope_denied: return no(login ? "InvalidAuthScope" : "", error.message);
        default: return no(error);
    }
}

Outcome log_in(Session& session, accounts::Credentials const& credentials, bool login) {
    auto& accounts = session.services().accounts;
    auto cached = session.take_cached_login();
    auto result = cached ? Result<accounts::Login>(std::move(*cached)) : accounts.authenticate(credentials);
    if (!result) return refused(result.error(), login);
    if (auto opened = accounts.session_opened(result->user, "imap"); !opened) {
        if (opened.error().kind == ErrorKind::limit) return no("ALERT", "Too many simultaneous connections.");
        return no(opened.error());
    }
    session.logged_in(*result);
    // Who was disabled or deleted between the reading of the password and the subscription is told by no event.
    auto const account = accounts.get(result->user);
    if (!account || !*account || (*account)->disabled || (*account)->suspended) session.end("Authentication required");
    return ok(fmt::format("{} authenticated", imap_proto::printable(credentials.username)));
}

Outcome authenticate(Session& session, Request& request, std::string& out, bool login) {
    if (!session.password_allowed()) return bad("Run STARTTLS first");
    auto const credentials = credentials_of(session, request.command);
    if (!credentials) return bad(login ? "Invalid argument for LOGIN" : "Invalid SASL argument");
    Outcome outcome = log_in(session, *credentials, login);
    if (outcome.status == Status::ok) out += fmt::format("* CAPABILITY {}\r\n", session.capabilities());
    return outcome;
}

}  // namespace

std::optional<accounts::Credentials> credentials_of(Session const& session, imap_proto::Command const& command) {
    accounts::Credentials out;
    out.protocol = "IMAP";
    out.scope = accounts::Scope::imap;
    out.session = session.id();
    out.address = session.address();
    if (command.name == "LOGIN") {
        if (command.arguments.size() != 2) return std::nullopt;
        auto const name = command.arguments[0].string_value();
        auto const password = command.arguments[1].string_value();
        if (!name || !password) return std::nullopt;
        out.username = trim(*name);
        out.password = trim(*password);
        return out;
    }
    if (command.arguments.size() != 1) return std::nullopt;
    auto const initial = command.arguments[0].string_value();
    auto const parts = initial ? sasl_parts(*initial, command.name.ends_with("PLAIN") ? 3 : 4) : std::nullopt;
    if (!parts) return std::nullopt;
    out.username = trim((*parts)[1]);
    out.password = trim((*parts)[2]);
    return out;
}

Outcome cmd_login(Session& session, Request& request, std::string& out) {
    return authenticate(session, request, out, true);
}

Outcome cmd_authenticate(Session& session, Request& request, std::string& out) {
    return authenticate(session, request, out, false);
}

}  // namespace mallard::imap
