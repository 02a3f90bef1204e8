#include "config/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/encoding.hpp"

namespace mallard::config {

namespace {

constexpr std::int64_t any = 1'000'000'000'000;

constexpr Section section_list[] = {
    {"", "At the top of the file, before any section."},
    {"log", "Lines go to stderr or a file, and as GELF over UDP to Graylog besides."},
    {"auth", "Logins."},
    {"tls", "The certificate of all services. Without one, a self-signed pair is made in the data directory (`tls/`)."},
    {"imap", "IMAP4rev1: one port with TLS from the first byte, one with STARTTLS."},
    {"pop3", "POP3: one port with TLS from the first byte, one with STLS."},
    {"lmtp", "LMTP: where a mail transfer agent hands mail over."},
    {"api", "WildDuck's REST API, `/health` and `/metrics`."},
    {"server", "Threads and limits of the process."},
    {"dbs", "Where the cluster store is (`store = \"mongodb\"`). See \"Cluster mode\" in operating.md."},
    {"embedded", "The embedded store in the data directory (`store = \"embedded\"`)."},
};

constexpr std::string_view levels = "trace|debug|info|warning|error|off|silly|verbose|http|warn|silent";

constexpr Option option_list[] = {
    {"dataDir", Type::text, "./data", 0, 0, {}, false, false, "The data directory; `--data` sets it too."},
    {"store", Type::text, "embedded", 0, 0, "embedded|mongodb", false, false,
     "Where mail is kept: in the data directory, or in MongoDB and Redis (`dbs`), for many processes and machines."},
    {"emailDomain",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     false,
     "Domain of addresses for users created without one. Empty: this machine's name."},
    {"maxStorage", Type::integer, "1024", 1, any, {}, false, false, "Default quota of a user, MB."},
    {"maxRecipients", Type::integer, "2000", 0, any, {}, false, false, "Messages a user may send a day (default)."},
    {"maxForwards", Type::integer, "2000", 0, any, {}, false, false, "Messages a user may forward a day (default)."},

    {"processes", Type::integer, "1", 1, 256, "cpus", false, false,
     "So many processes share the ports; `cpus`: one per processor. More than one needs a store that several can "
     "open."},
    {"roles",
     Type::text_list,
     "",
     0,
     0,
     {},
     false,
     false,
     "Instead of `processes`: which services run in how many processes, e.g. `[\"imap+pop3=3\", \"lmtp=2\", "
     "\"api\"]`."},

    {"log.level", Type::text, "info", 0, 0, levels, true, false,
     "The least important lines that are written; WildDuck's names are understood."},
    {"log.format", Type::text, "text", 0, 0, "text|json", true, false, "Text for people, or one JSON object a line."},
    {"log.file",
     Type::text,
     "",
     0,
     0,
     {},
     true,
     false,
     "Write here instead of stderr; SIGHUP opens it again (logrotate)."},
    {"log.gelf.enabled", Type::boolean, "false", 0, 0, {}, true, false, "Send every line as GELF too."},
    {"log.gelf.hostname", Type::text, "", 0, 0, {}, true, false, "The `host` of GELF. Empty: this machine's name."},
    {"log.gelf.component", Type::text, "mallard", 0, 0, {}, true, false, "`facility` and `_component` of GELF."},
    {"log.gelf.options.graylogHostname", Type::text, "127.0.0.1", 0, 0, {}, true, false, "Where GELF goes."},
    {"log.gelf.options.graylogPort", Type::integer, "12201", 1, 65535, {}, true, false, "Its UDP port."},
    {"log.gelf.options.connection", Type::text, "lan", 0, 0, "lan|wan", true, false,
     "`lan` sends datagrams of 8154 bytes, `wan` of 1420."},

    {"auth.allow_plaintext",
     Type::boolean,
     "false",
     0,
     0,
     {},
     false,
     false,
     "Permit passwords without TLS (IMAP, POP3). Only for loopback and tests."},
    {"auth.userFailuresMax",
     Type::integer,
     "12",
     0,
     any,
     {},
     false,
     false,
     "Failed logins of one account from one address within two minutes before more are refused. 0: no limit."},
    {"auth.addressFailuresMax",
     Type::integer,
     "0",
     0,
     any,
     {},
     false,
     false,
     "Failed logins from one address within five minutes before more are refused. 0: no limit."},
    {"auth.loginCacheSeconds",
     Type::integer,
     "60",
     0,
     3600,
     {},
     false,
     false,
     "A verified password is remembered as a keyed hash in memory for so long. 0: never. Embedded store only: on a "
     "shared one another process may change the password."},
    {"auth.pbkdf2Iterations",
     Type::integer,
     "100000",
     1000,
     10'000'000,
     {},
     false,
     false,
     "Cost of new password hashes."},

    {"tls.cert", Type::text, "", 0, 0, {}, true, false, "Certificate chain, PEM. SIGHUP reads it again."},
    {"tls.key", Type::text, "", 0, 0, {}, true, false, "Its private key, PEM."},
    {"tls.ciphers", Type::text, "", 0, 0, {}, true, false, "OpenSSL's cipher list for TLS 1.2. Empty: its default."},
    {"tls.minVersion", Type::text, "TLSv1.2", 0, 0, "TLSv1.2|TLSv1.3", true, false, "The oldest version spoken."},

    {"imap.enabled", Type::boolean, "true", 0, 0, {}, false, false, "Serve IMAP."},
    {"imap.host", Type::text, "127.0.0.1", 0, 0, {}, false, false, "Address to listen on; `0.0.0.0` or `::` for all."},
    {"imap.port", Type::integer, "9993", 0, 65535, {}, false, false, "0: any free one (printed at start)."},
    {"imap.secure", Type::boolean, "true", 0, 0, {}, false, false, "`imap.port` speaks TLS from the first byte."},
    {"imap.starttlsPort",
     Type::integer,
     "1143",
     -1,
     65535,
     {},
     false,
     false,
     "A second port that starts in clear and offers STARTTLS. -1: none; 0: any free one."},
    {"imap.disableSTARTTLS", Type::boolean, "false", 0, 0, {}, false, false, "Do not offer STARTTLS."},
    {"imap.disableRetention",
     Type::boolean,
     "false",
     0,
     0,
     {},
     false,
     false,
     "Keep messages that have expired: by the retention of their mailbox (Trash and Junk: 30 days) or a date of their "
     "own."},
    {"imap.maxMB", Type::integer, "64", 1, 2048, {}, false, false, "Largest message that APPEND takes."},
    {"imap.maxLineLength", Type::integer, "16384", 512, 1'048'576, {}, false, false, "Longest command line, bytes."},
    {"imap.maxConnections",
     Type::integer,
     "15",
     0,
     100'000,
     {},
     false,
     false,
     "Open sessions of one user (default of new users). 0: no limit."},
    {"imap.maxDownloadMB", Type::integer, "10240", 0, any, {}, false, false, "A user's allowance per day."},
    {"imap.maxUploadMB", Type::integer, "10240", 0, any, {}, false, false, "A user's allowance per day."},
    {"imap.useProxy",
     Type::boolean,
     "false",
     0,
     0,
     {},
     false,
     false,
     "Every connection starts with a PROXY header (HAProxy, v1 or v2)."},
    {"imap.name", Type::text, "Mallard IMAP Server", 0, 0, {}, false, false, "In the greeting and in ID."},
    {"imap.vendor", Type::text, "Mallard", 0, 0, {}, false, false, "What ID says of the vendor."},
    {"imap.loginTimeout",
     Type::integer,
     "60",
     1,
     3600,
     {},
     false,
     false,
     "Seconds to log in, then the connection ends."},
    {"imap.idleTimeout",
     Type::integer,
     "1800",
     1,
     86400,
     {},
     false,
     false,
     "Seconds without a command; RFC 9051 asks for 1800 at least."},
    {"imap.commandTimeout",
     Type::integer,
     "120",
     1,
     3600,
     {},
     false,
     false,
     "Seconds that each line of a command may take once it has begun, and each 256 KiB of a literal."},

    {"imap.notifyUserWorkersTtl",
     Type::integer,
     "120",
     30,
     86400,
     {},
     false,
     false,
     "Cluster store: seconds a process counts as one where a user is connected, without saying so again."},
    {"imap.notifyUserWorkersRefresh",
     Type::integer,
     "30",
     10,
     86400,
     {},
     false,
     false,
     "Cluster store: seconds after which a process says again which users are connected to it."},

    {"pop3.enabled", Type::boolean, "true", 0, 0, {}, false, false, "Serve POP3."},
    {"pop3.host", Type::text, "127.0.0.1", 0, 0, {}, false, false, "Address to listen on."},
    {"pop3.port", Type::integer, "9995", 0, 65535, {}, false, false, "0: any free one."},
    {"pop3.secure", Type::boolean, "true", 0, 0, {}, false, false, "`pop3.port` speaks TLS from the first byte."},
    {"pop3.starttlsPort",
     Type::integer,
     "1110",
     -1,
     65535,
     {},
     false,
     false,
     "A second port that starts in clear and offers STLS. -1: none; 0: any free one."},
    {"pop3.disableSTARTTLS", Type::boolean, "false", 0, 0, {}, false, false, "Do not offer STLS."},
    {"pop3.maxMessages",
     Type::integer,
     "250",
     1,
     1'000'000,
     {},
     false,
     false,
     "A session shows the newest so many messages of INBOX."},
    {"pop3.maxDownloadMB", Type::integer, "10240", 0, any, {}, false, false, "A user's allowance per day."},
    {"pop3.name", Type::text, "Mallard POP3 Server", 0, 0, {}, false, false, "In the greeting."},
    {"pop3.disableVersionString",
     Type::boolean,
     "true",
     0,
     0,
     {},
     false,
     false,
     "CAPA does not tell the program and its version."},
    {"pop3.useProxy", Type::boolean, "false", 0, 0, {}, false, false, "Every connection starts with a PROXY header."},
    {"pop3.loginTimeout", Type::integer, "60", 1, 3600, {}, false, false, "Seconds for each command before the login."},
    {"pop3.idleTimeout",
     Type::integer,
     "600",
     1,
     86400,
     {},
     false,
     false,
     "Seconds without a command after it; RFC 1939 asks for 600 at least."},

    {"lmtp.enabled", Type::boolean, "true", 0, 0, {}, false, false, "Serve LMTP."},
    {"lmtp.host",
     Type::text,
     "127.0.0.1",
     0,
     0,
     {},
     false,
     false,
     "Address to listen on. LMTP asks for no password: keep it where only your MTA comes."},
    {"lmtp.port", Type::integer, "2424", 0, 65535, {}, false, false, "0: any free one."},
    {"lmtp.secure", Type::boolean, "false", 0, 0, {}, false, false, "TLS from the first byte."},
    {"lmtp.disableSTARTTLS", Type::boolean, "false", 0, 0, {}, false, false, "Do not offer STARTTLS."},
    {"lmtp.maxMB", Type::integer, "64", 1, 2048, {}, false, false, "Largest message that is taken."},
    {"lmtp.banner", Type::text, "Mallard", 0, 0, {}, false, false, "What the greeting says after the host name."},
    {"lmtp.name",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     false,
     "Name in the greeting and in Received. Empty: this machine's name."},
    {"lmtp.useProxy", Type::boolean, "false", 0, 0, {}, false, false, "Every connection starts with a PROXY header."},
    {"lmtp.idleTimeout", Type::integer, "60", 1, 3600, {}, false, false, "Seconds for each command."},
    {"lmtp.dataTimeout",
     Type::integer,
     "300",
     1,
     3600,
     {},
     false,
     false,
     "Seconds that each 256 KiB of a message may take."},

    {"api.enabled", Type::boolean, "true", 0, 0, {}, false, false, "Serve the REST API."},
    {"api.host", Type::text, "127.0.0.1", 0, 0, {}, false, false, "Address to listen on."},
    {"api.port", Type::integer, "8080", 0, 65535, {}, false, false, "0: any free one."},
    {"api.secure", Type::boolean, "false", 0, 0, {}, false, false, "HTTPS."},
    {"api.accessToken", Type::text, "", 0, 0, {}, false, true, "A fixed token of role root, besides those made."},
    {"api.accessControl.enabled", Type::boolean, "true", 0, 0, {}, false, false, "Every call needs an access token."},
    {"api.accessControl.secret",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     true,
     "Key that signs stored tokens. Empty: one is made at first start and kept in the data directory."},
    {"api.accessControl.tokenTTL",
     Type::integer,
     "1209600",
     60,
     any,
     {},
     false,
     false,
     "Seconds without use after which a user's token ends."},
    {"api.accessControl.tokenLifetime",
     Type::integer,
     "15552000",
     60,
     any,
     {},
     false,
     false,
     "Seconds after which a user's token ends, used or not."},
    {"api.metrics.enabled",
     Type::boolean,
     "true",
     0,
     0,
     {},
     false,
     false,
     "Prometheus' text at `/metrics`, no token asked."},
    {"api.cors.origins", Type::text_list, "*", 0, 0, {}, false, false, "Origins that browsers may call from."},
    {"api.headerTimeout",
     Type::integer,
     "30",
     1,
     3600,
     {},
     false,
     false,
     "Seconds that the header of a request may take once it has begun."},
    {"api.bodyTimeout",
     Type::integer,
     "60",
     1,
     3600,
     {},
     false,
     false,
     "Seconds that each 256 KiB of a body may take, either way."},
    {"api.idleTimeout",
     Type::integer,
     "60",
     1,
     3600,
     {},
     false,
     false,
     "Seconds between two requests of a connection."},

    {"server.networkThreads", Type::integer, "0", 0, 256, {}, false, false, "0: one per processor."},
    {"server.commandThreads",
     Type::integer,
     "0",
     0,
     1024,
     {},
     false,
     false,
     "Threads that run commands; they wait for the disk. 0: by processors."},
    {"server.longThreads",
     Type::integer,
     "0",
     0,
     256,
     {},
     false,
     false,
     "Threads for password hashing, import, export. 0: one per processor."},
    {"server.connectionsMax", Type::integer, "100000", 1, 10'000'000, {}, false, false, "Connections per service."},
    {"server.connectionsPerAddressMax",
     Type::integer,
     "10000",
     1,
     10'000'000,
     {},
     false,
     false,
     "Connections per service from one address."},
    {"server.handshakeTimeout",
     Type::integer,
     "30",
     1,
     3600,
     {},
     false,
     false,
     "Seconds for a PROXY header and the TLS handshake."},

    {"dbs.mongo",
     Type::text,
     "mongodb://127.0.0.1:27017/wildduck",
     0,
     0,
     {},
     false,
     true,
     "MongoDB's URL; its path names the main database."},
    {"dbs.redis",
     Type::text,
     "redis://127.0.0.1:6379/3",
     0,
     0,
     {},
     false,
     true,
     "Where Redis is: `redis[s]://[user:password@]host[:port][/number]`, `unix:/path`, "
     "`redis-sentinel://[:password@]host[:port],.../name[/number]`, or WildDuck's table as JSON: "
     "`{\"host\": .., \"port\": .., \"db\": .., \"password\": .., \"tls\": true, \"name\": .., \"sentinels\": [..]}`."},
    {"dbs.users",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     true,
     "Database of users and addresses: a name on the same MongoDB, or a URL. Empty: the main one."},
    {"dbs.gridfs",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     true,
     "Database of attachments: a name on the same MongoDB, or a URL. Empty: the main one."},
    {"dbs.sender",
     Type::text,
     "zone-mta",
     0,
     0,
     {},
     false,
     true,
     "Database of the queue of outgoing mail, ZoneMTA's. Nothing uses it yet: Mallard does not send mail."},
    {"dbs.workerId",
     Type::text,
     "",
     0,
     0,
     {},
     false,
     false,
     "Name of this machine where processes tell one another of changes. Empty: its host name."},

    {"embedded.cacheMB", Type::integer, "256", 8, 1'048'576, {}, false, false, "Memory for blocks read from disk."},
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t const replaced = diagonal + (ascii_lower(a[i - 1]) == ascii_lower(b[j - 1]) ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

std::string_view last_part(std::string_view key) {
    auto const dot = key.rfind('.');
    return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

}  // namespace

std::span<Option const> options() { return option_list; }
std::span<Section const> sections() { return section_list; }

Option const* find_option(std::string_view key) {
    auto const it = std::find_if(std::begin(option_list), std::end(option_list),
                                 [&](Option const& option) { return option.key == key; });
    return it == std::end(option_list) ? nullptr : &*it;
}

std::string environment_name(std::string_view key) {
    std::string name = "MALLARD_" + to_upper(key);
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
}

std::string expected(Option const& option) {
    switch (option.type) {
        case Type::boolean: return "true or false";
        case Type::integer: {
            std::string out = fmt::format("a whole number from {}", option.min);
            if (option.max != any) out += fmt::format(" to {}", option.max);
            if (!option.choices.empty()) out += fmt::format(", or \"{}\"", option.choices);
            return out;
        }
        case Type::text_list: return "a list of texts";
        case Type::text: break;
    }
    if (option.choices.empty()) return "a text";
    std::string out = "one of ";
    for (char const c : option.choices) out += c == '|' ? std::string(", ") : std::string(1, c);
    return out;
}

std::string nearest_key(std::string_view key) {
    if (key.size() > 200) return {};
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, key.size() / 4) + 1;
    for (Option const& option : option_list) {
        std::size_t distance = edit_distance(key, option.key);
        // The right name in the wrong section is a common mistake: as near as one typing error.
        if (iequals(last_part(key), last_part(option.key)) && last_part(key).size() > 4)
            distance = std::min<std::size_t>(distance, 2);
        if (distance < best_distance) {
            best = option.key;
            best_distance = distance;
        }
    }
    return std::string(best);
}

}  // namespace mallard::config
