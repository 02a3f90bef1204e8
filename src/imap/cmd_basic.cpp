// CAPABILITY, NOOP, LOGOUT, ID, STARTTLS, ENABLE, NAMESPACE, CHECK.

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "imap/command_table.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap {

// RFC 9051 §6.1.1
Outcome cmd_capability(Session& session, Request&, std::string& out) {
    out += fmt::format("* CAPABILITY {}\r\n", session.capabilities());
    return ok();
}

// RFC 9051 §6.1.2: what changed is said by the notices.
Outcome cmd_noop(Session&, Request&, std::string&) { return ok("Nothing done"); }

// RFC 3501 §6.4.1
Outcome cmd_check(Session&, Request&, std::string&) { return ok(); }

// RFC 9051 §6.1.3
Outcome cmd_logout(Session& session, Request&, std::string& out) {
    out += "* BYE Logout requested\r\n";
    session.log_out();
    auto const& quotes = session.services().config.quotes;
    if (quotes.empty()) return ok("Bye");
    std::uint32_t n = 0;
    random_bytes(&n, sizeof n);
    return ok(quotes[n % quotes.size()]);
}

// RFC 2971 §3.1; values may be NIL.
Outcome cmd_id(Session& session, Request& request, std::string& out) {
    auto const& argument = request.arguments()[0];
    if (!argument.is_nil()) {
        if (!argument.is_list() || argument.items.size() % 2 != 0) return bad("Invalid argument for ID");
        std::string client;
        for (std::size_t i = 0; i < argument.items.size(); i += 2) {
            auto const key = argument.items[i].string_value();
            auto const value = argument.items[i + 1].string_value();
            if (!key || (!value && !argument.items[i + 1].is_nil())) return bad("Invalid argument for ID");
            for (std::string_view known : {"name", "version", "os", "os-version", "vendor", "support-url", "address",
                                           "date", "command", "arguments", "environment"})
                if (value && iequals(*key, known))
                    client += fmt::format("{}{}={}", client.empty() ? "" : ", ", known, imap_proto::printable(*value));
        }
        log(LogLevel::debug, session.log_context(), "Client identified itself", {{"client", client}});
    }
    auto const& config = session.services().config;
    out += "* ID (\"name\" ";
    imap_proto::append_string(out, config.name);
    out += " \"version\" ";
    imap_proto::append_string(out, config.version);
    out += " \"vendor\" ";
    imap_proto::append_string(out, config.vendor);
    out += ")\r\n";
    return ok();
}

// RFC 9051 §6.2.1; the edge starts TLS after the reply, and drops what was sent in clear behind the command.
Outcome cmd_starttls(Session& session, Request&, std::string&) {
    if (session.tls()) return no("", "Connection is already secured");
    if (session.services().config.disable_starttls) return no("", "STARTTLS is not offered here");
    // Deviation: WildDuck takes it in any state; RFC 9051 §6.2.1 before the login only.
    if (session.state() != State::not_authenticated) return bad("STARTTLS not allowed now");
    session.want_tls();
    return ok();
}

// RFC 5161 §3.1
Outcome cmd_enable(Session& session, Request& request, std::string& out) {
    std::string enabled;
    std::size_t count = 0;
    for (auto const& argument : request.arguments()) {
        if (!argument.is_atom() || argument.is_nil()) return bad("Invalid argument for ENABLE");
        if (argument.is_word("CONDSTORE")) {
            session.enable_condstore();
            enabled += " CONDSTORE";
        } else if (argument.is_word("UTF8=ACCEPT")) {
            session.enable_utf8();
            enabled += " UTF8=ACCEPT";
        } else {
            continue;  // RFC 5161 §3.1: unknown ones are ignored
        }
        ++count;
    }
    out += fmt::format("* ENABLED{}\r\n", enabled);
    return ok(count == 0 ? "Success" : count == 1 ? "Extension enabled" : "Extensions enabled");
}

// RFC 2342 §5
Outcome cmd_namespace(Session&, Request&, std::string& out) {
    out += "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n";
    return ok();
}

}  // namespace mallard::imap
