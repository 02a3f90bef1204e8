#include "app/serve.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "app/command_support.hpp"
#include "app/server.hpp"
#include "config/processes.hpp"

namespace mallard::app {

namespace {

constexpr auto exit_time = std::chrono::milliseconds(9'500);
constexpr unsigned last_resort_seconds = 10;

// Signals are taken by sigwait in the main thread; threads made later inherit the mask.
sigset_t block_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (int const signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return set;
}

// In one line: a whole configuration of WildDuck's has dozens of them.
void warn_of_notices(config::Settings const& settings) {
    std::string names;
    for (auto const& notice : settings.notices())
        names.append(names.empty() ? "" : ", ").append(notice.what, 0, notice.what.find(' '));
    if (!names.empty())
        log(LogLevel::warning, {"app"}, "these options have no effect, `mallard config check` says why",
            {{"options", names}});
}

void reload(Server& server, CommonOptions const& options) {
    auto const settings = load_settings(options);
    auto const done = settings ? server.reload(*settings) : Result<void>(std::unexpected(settings.error()));
    if (done) {
        log(LogLevel::info, {"app"}, "configuration and certificates reloaded");
        warn_of_notices(*settings);
    } else
        log(LogLevel::error, {"app"}, "reload failed, nothing that was wrong is in force",
            {{"error", done.error().message}});
}

}  // namespace

std::size_t processors() { return std::max(1u, std::thread::hardware_concurrency()); }

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

void exit_in_time() {
    std::signal(SIGALRM, SIG_DFL);
    ::alarm(last_resort_seconds);  // by the kernel's hand: what hangs may hold the log's lock, or the allocator's
    std::thread([] {
        std::this_thread::sleep_for(exit_time);
        log(LogLevel::warning, {"app"}, "not everything ended in time; leaving");
        std::_Exit(0);
    }).detach();
}

int serve(CommonOptions const& options, char const* program) {
    auto const settings = load_settings(options);
    if (!settings) return report(settings.error());
    if (auto const started = log_start(log_config(*settings)); !started) return report(started.error());
    warn_of_notices(*settings);
    raise_descriptor_limit();
    if (config::processes(*settings, processors()).size() > 1) return serve_processes(options, program, *settings);
    sigset_t const signals = block_signals();
    auto server = Server::start(*settings);
    if (!server) return report(server.error());
    announce((*server)->listening(), (*server)->directory(), (*server)->settings(), options, program);
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
