#include "config/wildduck_options.hpp"

#include <algorithm>
#include <array>

namespace mallard::config {

namespace {

constexpr std::string_view later = "Mallard does not have this yet";
constexpr std::string_view one_certificate = "all services use tls.cert and tls.key";
constexpr std::string_view two_ports = "use port, host and starttlsPort";
constexpr std::string_view always = "passwords need TLS unless auth.allow_plaintext is on";

constexpr std::array all{
    WildduckOption{"user", "start Mallard as that user, with CAP_NET_BIND_SERVICE for ports below 1024"},
    WildduckOption{"group", "start Mallard as a user of that group"},
    WildduckOption{"ident", "processes are called mallard"},
    WildduckOption{"strict2fa", later},
    WildduckOption{"totp", later},
    WildduckOption{"pwned", later},
    WildduckOption{"webauthn", later},
    WildduckOption{"attachments",
                   "attachments are in the GridFS bucket of that name, decoded where that loses nothing"},
    WildduckOption{"log.skipFetchLog", "no line is logged for a FETCH"},
    WildduckOption{"log.updateStream", later},
    WildduckOption{"certs", later},
    WildduckOption{"tasks", "tasks and upkeep always run, in one process at a time"},
    WildduckOption{"smtp", later},
    WildduckOption{"webhooks", later},
    WildduckOption{"elasticsearch", later},
    WildduckOption{"enabledFeatureFlags", later},
    WildduckOption{"resolver", "names are resolved as the system is set up to"},
    WildduckOption{"sender", later},
    WildduckOption{"dkim", later},
    WildduckOption{"acme", later},
    WildduckOption{"plugins", "there are no plugins"},
    WildduckOption{"migrations", "Mallard reads old documents as they are"},
    WildduckOption{"mcp", later},
    WildduckOption{"metrics", "/metrics is on the API's port: api.metrics.enabled"},
    WildduckOption{"queued", later},
    WildduckOption{"dbs.queued", later},
    WildduckOption{"imap.retention", "Junk and Trash keep messages for 30 days, as WildDuck's do"},
    WildduckOption{"imap.ignoreSTARTTLS", always},
    WildduckOption{"imap.enableCompression", later},
    WildduckOption{"imap.maxCompressionInflateBytes", later},
    WildduckOption{"imap.ignoredHosts", "connections that only look whether a port is open are not logged"},
    WildduckOption{"imap.version", "clients are told Mallard's own"},
    WildduckOption{"imap.quotes", "LOGOUT has one text"},
    WildduckOption{"imap.aps", later},
    WildduckOption{"imap.setup", later},
    WildduckOption{"imap.secured", two_ports},
    WildduckOption{"imap.interface", two_ports},
    WildduckOption{"imap.tls", one_certificate},
    WildduckOption{"pop3.ignoreSTARTTLS", always},
    WildduckOption{"pop3.ignoredHosts", "connections that only look whether a port is open are not logged"},
    WildduckOption{"pop3.version", "clients are told Mallard's own"},
    WildduckOption{"pop3.setup", later},
    WildduckOption{"pop3.secured", two_ports},
    WildduckOption{"pop3.interface", two_ports},
    WildduckOption{"pop3.tls", one_certificate},
    WildduckOption{"lmtp.secured", "use lmtp.secure"},
    WildduckOption{"lmtp.tls", one_certificate},
    WildduckOption{"api.roles", "the roles are WildDuck's own"},
    WildduckOption{"api.mobileconfig", later},
    WildduckOption{"api.metrics.collectCacheTtl", "metrics are counted as things happen"},
    WildduckOption{"api.tls", one_certificate},
    WildduckOption{"tls.ca", "put intermediate certificates into the file of tls.cert"},
    WildduckOption{"tls.dhparam", "key exchange is by elliptic curves"},
};

}  // namespace

WildduckOption const* find_wildduck_option(std::string_view key) {
    auto const found = std::ranges::find_if(all, [&](WildduckOption const& option) {
        return key.starts_with(option.name) && (key.size() == option.name.size() || key[option.name.size()] == '.');
    });
    return found == all.end() ? nullptr : &*found;
}

}  // namespace mallard::config
