#include "app/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "api/api_server.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "http/server_connection.hpp"
#include "imap/imap_server.hpp"
#include "lmtp/lmtp_server.hpp"
#include "migrate/mark.hpp"
#include "pop3/pop3_server.hpp"

namespace mallard::app {

namespace {

LogLevel parse_level(std::string const& name) {
    if (name == "trace" || name == "silly") return LogLevel::trace;
    if (name == "debug" || name == "verbose") return LogLevel::debug;
    if (name == "warning" || name == "warn") return LogLevel::warning;
    if (name == "error") return LogLevel::error;
    if (name == "off" || name == "silent") return LogLevel::off;
    return LogLevel::info;  // info, http
}

std::size_t threads_or(std::int64_t configured, std::size_t automatic) {
    return configured > 0 ? static_cast<std::size_t>(configured) : automatic;
}

constexpr std::chrono::seconds founding_time{60};
constexpr std::size_t lan_datagram = 8154, wan_datagram = 1420;

// Paths whose requests hash passwords or move whole messages: they must not hold up short commands.
net::Pool pool_of(http::Request const& request) {
    bool const hashes =
        request.path == "/authenticate" || (request.method != "GET" && request.path.starts_with("/users"));
    return hashes && request.path.find("/mailboxes") == std::string::npos ? net::Pool::long_work : net::Pool::commands;
}

}  // namespace

LogConfig log_config(config::Settings const& settings) {
    LogConfig out;
    out.level = parse_level(settings.text("log.level"));
    out.format = settings.text("log.format");
    out.file = settings.text("log.file");
    out.gelf_enabled = settings.flag("log.gelf.enabled");
    out.gelf_host = settings.text("log.gelf.options.graylogHostname");
    out.gelf_port = static_cast<std::uint16_t>(settings.integer("log.gelf.options.graylogPort"));
    out.gelf_hostname = settings.text("log.gelf.hostname");
    out.gelf_component = settings.text("log.gelf.component");
    out.gelf_chunk_bytes = settings.text("log.gelf.options.connection") == "wan" ? wan_datagram : lan_datagram;
    return out;
}

Server::Server(config::Settings settings, std::optional<Inherited> inherited, DataDirectory directory)
    : settings_(std::move(settings)), inherited_(std::move(inherited)), directory_(std::move(directory)) {}

Result<std::unique_ptr<Server>> Server::start(config::Settings settings, std::optional<Inherited> inherited) {
    MALLARD_TRY_ASSIGN(DataDirectory directory, DataDirectory::open(settings.text("dataDir")));
    std::unique_ptr<Server> self(new Server(std::move(settings), std::move(inherited), std::move(directory)));
    if (!self->inherited_) {
        MALLARD_TRY_ASSIGN(self->lock_, self->directory_.lock("serve"));
    }
    MALLARD_TRY_ASSIGN(self->core_, open_core(self->settings_, self->directory_));

    MALLARD_TRY_ASSIGN(auto const mark, migrate::read_mark(self->core_->store->documents()));
    if (mark) return fail(ErrorKind::conflict, migrate::why_not_served(*mark));

    std::size_t const processors = std::max(1u, std::thread::hardware_concurrency());
    auto const& s = self->settings_;
    // Commands wait for the disk most of their time, and share its waits: more of them than processors.
    self->workers_ = std::make_unique<net::Workers>(
        threads_or(s.integer("server.commandThreads"), std::max<std::size_t>(16, processors * 4)),
        threads_or(s.integer("server.longThreads"), std::max<std::size_t>(2, processors)));
    self->net_ =
        std::make_unique<net::Server>(threads_or(s.integer("server.networkThreads"), processors), *self->workers_);
    self->core_->store->tell();
    MALLARD_TRY(self->load_certificate(s));
    MALLARD_TRY(self->make_admin_token());
    MALLARD_TRY(self->listen_all());
    MALLARD_TRY(self->start_control());
    metrics::gauge("wildduck_info", {{"version", MALLARD_VERSION}}).set(1);
    self->net_->start();
    self->upkeep_ =
        std::make_unique<tasks::Upkeep>(*self->core_->accounts, *self->core_->mailboxes, self->core_->store->state(),
                                        tasks::UpkeepConfig{.retention = !s.flag("imap.disableRetention")});
    self->upkeep_->start();
    return self;
}

Server::~Server() {
    upkeep_.reset();
    control_.reset();
    if (net_) net_->drain(std::chrono::milliseconds(0));
    net_.reset();
    workers_.reset();
    core_.reset();
}

Result<void> Server::load_certificate(config::Settings const& settings) {
    net::TlsConfig config;
    config.certificate_file = settings.text("tls.cert");
    config.key_file = settings.text("tls.key");
    config.ciphers = settings.text("tls.ciphers");
    config.minimum = settings.text("tls.minVersion");
    if (config.certificate_file.empty()) {
        config.certificate_file = directory_.file("tls/cert.pem");
        config.key_file = directory_.file("tls/key.pem");
        MALLARD_TRY(make_certificate(config.certificate_file, config.key_file));
    }
    MALLARD_TRY_ASSIGN(auto context, net::load_tls(config));
    net_->set_tls(std::move(context));
    return {};
}

// Several processes of one data directory may start at once: what is missing in it, one of them makes.
Result<void> Server::make_certificate(std::string const& certificate, std::string const& key) {
    MALLARD_TRY_ASSIGN(auto const alone, directory_.alone());
    if (std::filesystem::exists(certificate) && std::filesystem::exists(key)) return {};
    std::filesystem::create_directories(directory_.path() / "tls");
    return net::make_self_signed(certificate, key, {host_name(), "localhost", "127.0.0.1", "::1"});
}

Result<void> Server::make_admin_token() {
    MALLARD_TRY_ASSIGN(auto const alone, directory_.alone());
    if (auto const kept = directory_.read("admin-token")) {
        MALLARD_TRY_ASSIGN(auto const known, core_->accounts->verify_token(*kept));
        if (known) return {};
    }
    if (core_->store->is_shared()) {
        // One for the installation, where it was founded: a node that comes and goes leaves no token behind.
        MALLARD_TRY_ASSIGN(bool const founded, core_->accounts->has_tokens("admin"));
        if (founded) return {};
        MALLARD_TRY_ASSIGN(auto const turn, core_->store->state().count("mallard:founding", 1, 1, founding_time));
        if (!turn.allowed) return {};  // another node is at it
    }
    MALLARD_TRY_ASSIGN(auto const token,
                       core_->accounts->create_token("admin", "root", 0, "made at first start: DIR/admin-token"));
    return directory_.write_private("admin-token", token + "\n");
}

Result<void> Server::start_control() {
    std::string const path = directory_.file(control_socket_name);
    int socket = inherited_ ? inherited_->control : -1;
    if (!inherited_) {
        MALLARD_TRY_ASSIGN(socket, open_control_socket(path));
        MALLARD_TRY(write_listening(directory_, listening_));
    }
    control_ = ControlServer::start(*core_, socket, inherited_ ? "" : path);
    return {};
}

Result<void> Server::listen(std::string_view port_key, std::string refusal, net::Handler handler) {
    auto const option = std::ranges::find(port_options(), port_key, &PortOption::key);
    auto chosen = listener_of(*option, settings_);
    if (!chosen) return {};
    net::ListenerConfig& config = *chosen;
    if (inherited_) {
        auto const given = inherited_->sockets.find(port_key);
        if (given != inherited_->sockets.end()) config.socket = given->second;
    }
    if (config.service != "api" && settings_.flag(config.service + ".useProxy")) config.proxy_from = {"*"};
    config.connections_max = static_cast<std::size_t>(settings_.integer("server.connectionsMax"));
    config.connections_per_address_max = static_cast<std::size_t>(settings_.integer("server.connectionsPerAddressMax"));
    config.handshake_timeout = std::chrono::seconds(settings_.integer("server.handshakeTimeout"));
    config.refusal = std::move(refusal);
    MALLARD_TRY(net_->listen(config, std::move(handler)));
    metrics::gauge("wildduck_service_up", {{"service", config.service}}).set(1);
    listening_.push_back({config.service, config.host, net_->port_of(config.service, config.secure), config.secure});
    return {};
}

Result<void> Server::listen_all() {
    MALLARD_TRY(listen_imap());
    MALLARD_TRY(listen_pop3());
    MALLARD_TRY(listen_lmtp());
    return listen_api();
}

Result<void> Server::listen_imap() {
    auto const& s = settings_;
    if (!s.flag("imap.enabled")) return {};
    imap::ImapConfig config;
    config.max_mb = static_cast<std::uint64_t>(s.integer("imap.maxMB"));
    config.max_line_length = static_cast<std::size_t>(s.integer("imap.maxLineLength"));
    config.disable_starttls = s.flag("imap.disableSTARTTLS");
    config.name = s.text("imap.name");
    config.vendor = s.text("imap.vendor");
    config.login_timeout = std::chrono::seconds(s.integer("imap.loginTimeout"));
    config.idle_timeout = std::chrono::seconds(s.integer("imap.idleTimeout"));
    config.command_timeout = std::chrono::seconds(s.integer("imap.commandTimeout"));
    config.allow_plaintext = s.flag("auth.allow_plaintext");
    auto const handler =
        imap::make_handler(config, *core_->mailboxes, *core_->accounts, core_->store->events(), core_->clock, *net_);
    MALLARD_TRY(listen("imap.port", imap::refusal, handler));
    return listen("imap.starttlsPort", imap::refusal, handler);
}

Result<void> Server::listen_pop3() {
    auto const& s = settings_;
    if (!s.flag("pop3.enabled")) return {};
    pop3::Pop3Config config;
    config.stls = !s.flag("pop3.disableSTARTTLS");
    config.name = s.text("pop3.name");
    if (!s.flag("pop3.disableVersionString")) config.implementation = "Mallard-v" MALLARD_VERSION;
    config.plaintext_allowed = s.flag("auth.allow_plaintext");
    config.messages_max = static_cast<std::size_t>(s.integer("pop3.maxMessages"));
    config.login_timeout = std::chrono::seconds(s.integer("pop3.loginTimeout"));
    config.idle_timeout = std::chrono::seconds(s.integer("pop3.idleTimeout"));
    auto const handler = pop3::make_pop3_handler(config, *core_->accounts, *core_->mailboxes, core_->store->state(),
                                                 core_->store->events(), *net_);
    std::string const refusal = "-ERR [SYS/TEMP] Too many connections\r\n";
    MALLARD_TRY(listen("pop3.port", refusal, handler));
    return listen("pop3.starttlsPort", refusal, handler);
}

Result<void> Server::listen_lmtp() {
    auto const& s = settings_;
    if (!s.flag("lmtp.enabled")) return {};
    lmtp::LmtpConfig config;
    config.name = s.text("lmtp.name");
    config.banner = s.text("lmtp.banner");
    config.starttls = !s.flag("lmtp.disableSTARTTLS");
    config.message_bytes_max = megabytes(s, "lmtp.maxMB");
    config.idle_timeout = std::chrono::seconds(s.integer("lmtp.idleTimeout"));
    config.data_timeout = std::chrono::seconds(s.integer("lmtp.dataTimeout"));
    return listen("lmtp.port", "421 4.3.2 Too many connections\r\n",
                  lmtp::make_lmtp_handler(config, *core_->delivery, *net_));
}

Result<void> Server::listen_api() {
    auto const& s = settings_;
    if (!s.flag("api.enabled")) return {};
    api::ApiConfig config;
    config.access_token = s.text("api.accessToken");
    config.access_control = s.flag("api.accessControl.enabled");
    config.metrics = s.flag("api.metrics.enabled");
    config.cors = s.list("api.cors.origins");
    config.token_ttl = s.integer("api.accessControl.tokenTTL");
    config.pop3_max_messages = s.integer("pop3.maxMessages");
    config.imap_max_connections = s.integer("imap.maxConnections");
    http_.pool_of = pool_of;
    http_.header_timeout = std::chrono::seconds(s.integer("api.headerTimeout"));
    http_.body_timeout = http_.write_timeout = std::chrono::seconds(s.integer("api.bodyTimeout"));
    http_.idle_timeout = std::chrono::seconds(s.integer("api.idleTimeout"));
    // An upload as JSON carries the message as base64.
    http_.limits.body_bytes_max = megabytes(s, "imap.maxMB") * 3 / 2 + http_.limits.header_bytes_max;
    api_ = api::make_handler(
        {*core_->accounts, *core_->mailboxes, core_->store->state(), core_->store->events(), core_->clock}, config);
    return listen("api.port", "", [this](std::shared_ptr<net::Connection> connection) {
        return http::serve(std::move(connection), *workers_, api_, http_);
    });
}

Result<void> Server::reload(config::Settings const& settings) {
    MALLARD_TRY(log_start(log_config(settings)));
    MALLARD_TRY(load_certificate(settings));
    for (std::string const& key : config::need_restart(settings_, settings))
        log(LogLevel::warning, {"app"}, "a changed option waits for a restart", {{"option", key}});
    return {};
}

void Server::stop_accepting() {
    net_->stop_accepting();
    control_->stop_accepting();
}

void Server::drain(std::chrono::milliseconds grace) { net_->drain(grace); }

}  // namespace mallard::app
