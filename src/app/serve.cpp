#include "app/serve.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "app/command_support.hpp"
#include "app/server.hpp"

namespace mallard::app {

namespace {

constexpr auto drain_time = std::chrono::seconds(8);
constexpr auto exit_time = std::chrono::seconds(10);

// A connection is a descriptor: as many as the system lets us have.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Signals are taken by sigwait in the main thread; threads made later inherit the mask.
sigset_t block_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (int const signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return set;
}

std::string ports_of(Server const& server, std::string_view service, std::string_view upgrade) {
    std::string out;
    for (Listening const& entry : server.listening()) {
        if (entry.service != service) continue;
        std::string const host = entry.host.find(':') == std::string::npos ? entry.host : "[" + entry.host + "]";
        out += fmt::format("{}{}:{} ({})", out.empty() ? "" : ", ", host, entry.port, entry.secure ? "TLS" : upgrade);
    }
    return out.empty() ? "off" : out;
}

std::string api_url(Server const& server) {
    for (Listening const& entry : server.listening()) {
        if (entry.service != "api") continue;
        std::string host = entry.host == "0.0.0.0" || entry.host == "::" ? "localhost" : entry.host;
        if (host.find(':') != std::string::npos) host = "[" + host + "]";
        return fmt::format("{}://{}:{}", entry.secure ? "https" : "http", host, entry.port);
    }
    return "off";
}

void announce(Server& server, CommonOptions const& options, char const* program) {
    std::string data;
    if (!options.config_file.empty()) data = fmt::format(" --config {}", options.config_file);
    if (server.settings().origin("dataDir") != "default")
        data += fmt::format(" --data {}", server.settings().text("dataDir"));
    fmt::print("Mallard {} serves {}\n", MALLARD_VERSION, server.core().store->description());
    fmt::print("  IMAP  {}\n", ports_of(server, "imap", "STARTTLS"));
    fmt::print("  POP3  {}\n", ports_of(server, "pop3", "STLS"));
    fmt::print("  LMTP  {}\n", ports_of(server, "lmtp", "STARTTLS"));
    fmt::print("  REST  {}  (also /health, /metrics)\n", api_url(server));
    if (server.directory().read("admin-token"))
        fmt::print("The administrator's access token is in {}\n", server.directory().file("admin-token"));
    else
        fmt::print(
            "The administrator's access token lies where this installation was founded; another:  {} token "
            "create{}\n",
            program, data);
    fmt::print("Create an account:  {} user add you@example.com{}\n", program, data);
    std::fflush(stdout);
}

void reload(Server& server, CommonOptions const& options) {
    auto const settings = load_settings(options);
    auto const done = settings ? server.reload(*settings) : Result<void>(std::unexpected(settings.error()));
    if (done)
        log(LogLevel::info, {"app"}, "configuration and certificates reloaded");
    else
        log(LogLevel::error, {"app"}, "reload failed, nothing that was wrong is in force",
            {{"error", done.error().message}});
}

// Whatever hangs, the process ends in time: everything acknowledged is on the disk already.
void exit_in_time() {
    std::thread([] {
        std::this_thread::sleep_for(exit_time);
        log(LogLevel::warning, {"app"}, "not everything ended in time; leaving");
        std::_Exit(0);
    }).detach();
}

}  // namespace

int serve(CommonOptions const& options, char const* program) {
    auto const settings = load_settings(options);
    if (!settings) return report(settings.error());
    if (auto const started = log_start(log_config(*settings)); !started) return report(started.error());
    raise_descriptor_limit();
    sigset_t const signals = block_signals();
    auto server = Server::start(*settings);
    if (!server) return report(server.error());
    announce(**server, options, program);
    log(LogLevel::info, {"app"}, "started", {{"version", MALLARD_VERSION}});
    for (;;) {
        int signal = 0;
        if (::sigwait(&signals, &signal) != 0) continue;
        if (signal != SIGHUP) break;
        reload(**server, options);
    }
    log(LogLevel::info, {"app"}, "stopping: no new connections, commands in flight finish");
    exit_in_time();
    (*server)->drain(drain_time);
    server->reset();
    log(LogLevel::info, {"app"}, "stopped");
    return 0;
}

}  // namespace mallard::app
