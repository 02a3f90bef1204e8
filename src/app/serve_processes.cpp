// `mallard serve` with several processes: what their supervisor holds for them (the data directory, the listening
// sockets, the configuration that is in force), and how it is asked to stop or roll.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/command_support.hpp"
#include "app/control_server.hpp"
#include "app/serve.hpp"
#include "app/server.hpp"
#include "app/supervisor.hpp"
#include "config/processes.hpp"

namespace mallard::app {

namespace {

using namespace std::chrono_literals;

// Workers whose supervisor was killed leave their ports at once, but not before they notice.
constexpr auto port_patience = 1s;

int request_pipe[2] = {-1, -1};

void ask(Supervisor::Request request) {
    char const byte = static_cast<char>(request);
    [[maybe_unused]] auto const written = ::write(request_pipe[1], &byte, 1);
}

Result<void> take_signals() {
    if (::pipe2(request_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return fail(ErrorKind::io, "cannot make a pipe", std::strerror(errno));
    struct sigaction stop{}, roll{};
    stop.sa_handler = [](int) { ask(Supervisor::Request::stop); };
    roll.sa_handler = [](int) { ask(Supervisor::Request::roll); };
    ::sigaction(SIGTERM, &stop, nullptr);
    ::sigaction(SIGINT, &stop, nullptr);
    ::sigaction(SIGHUP, &roll, nullptr);
    return {};
}

class Fleet {
public:
    static Result<std::unique_ptr<Fleet>> open(config::Settings const& settings);

    Result<Plan> plan(config::Settings const& settings);
    std::vector<Listening> const& listening() const { return listening_; }
    DataDirectory const& directory() const { return directory_; }

private:
    explicit Fleet(DataDirectory directory, config::Settings settings)
        : directory_(std::move(directory)), first_(std::move(settings)) {}
    Result<std::shared_ptr<Descriptor const>> socket_for(std::string_view key, net::ListenerConfig const& config);

    DataDirectory directory_;
    config::Settings first_;
    std::unique_ptr<DataDirectory::Lock> lock_;
    std::shared_ptr<Descriptor const> control_;
    std::map<std::string, std::weak_ptr<Descriptor const>> sockets_;  // by address: the plans own them
    std::vector<Listening> listening_;
};

Result<std::unique_ptr<Fleet>> Fleet::open(config::Settings const& settings) {
    MALLARD_TRY_ASSIGN(DataDirectory directory, DataDirectory::open(settings.text("dataDir")));
    std::unique_ptr<Fleet> self(new Fleet(std::move(directory), settings));
    MALLARD_TRY_ASSIGN(self->lock_, self->directory_.lock("serve"));
    MALLARD_TRY_ASSIGN(int const control, open_control_socket(self->directory_.file(control_socket_name)));
    self->control_ = std::make_shared<Descriptor>(control);
    return self;
}

Result<std::shared_ptr<Descriptor const>> Fleet::socket_for(std::string_view key, net::ListenerConfig const& config) {
    std::string const address = fmt::format("{} {}{}", config.host, config.port, config.port == 0 ? key : "");
    if (auto const open = sockets_[address].lock()) return open;
    auto const give_up = std::chrono::steady_clock::now() + port_patience;
    for (;;) {
        auto const socket = net::open_listener(config);
        if (!socket && socket.error().kind == ErrorKind::conflict && std::chrono::steady_clock::now() < give_up) {
            std::this_thread::sleep_for(20ms);
            continue;
        }
        if (!socket) return std::unexpected(socket.error());
        auto const made = std::make_shared<Descriptor const>(*socket);
        sockets_[address] = made;
        return made;
    }
}

Result<Plan> Fleet::plan(config::Settings const& settings) {
    for (std::string_view key : {"dataDir", "store"})
        if (settings.value(key) != first_.value(key))
            return fail(ErrorKind::conflict, fmt::format("{} cannot change while the server runs", key));
    Json sockets = Json::object();
    std::vector<std::shared_ptr<Descriptor const>> files{control_};
    std::vector<Listening> listening;
    for (PortOption const& option : port_options()) {
        auto const config = listener_of(option, settings);
        if (!config) continue;
        MALLARD_TRY_ASSIGN(auto const socket, socket_for(option.key, *config));
        sockets[std::string(option.key)] = socket->fd();
        files.push_back(socket);
        listening.push_back({config->service, config->host, port_of_socket(socket->fd()), config->secure});
    }
    MALLARD_TRY(write_listening(directory_, listening));
    listening_ = std::move(listening);
    Plan out;
    for (config::Process const& process : config::processes(settings, processors())) {
        Json const start = {{"settings", config::serialize(config::settings_of(process, settings))},
                            {"sockets", sockets},
                            {"control", control_->fd()}};
        out.workers.push_back({process.role, start.dump(), files});
    }
    return out;
}

Result<Plan> plan_again(Fleet& fleet, CommonOptions const& options) {
    MALLARD_TRY_ASSIGN(auto const settings, load_settings(options));
    MALLARD_TRY(log_start(log_config(settings)));
    return fleet.plan(settings);
}

}  // namespace

int serve_processes(CommonOptions const& options, char const* program, config::Settings const& settings) {
    if (auto const taken = take_signals(); !taken) return report(taken.error());
    auto fleet = Fleet::open(settings);
    if (!fleet) return report(fleet.error());
    auto plan = (*fleet)->plan(settings);
    if (!plan) return report(plan.error());
    std::size_t const count = plan->workers.size();
    Supervisor supervisor({"/proc/self/exe", program, "worker"}, request_pipe[0]);
    auto const ended = supervisor.run(
        *std::move(plan), [&] { return plan_again(**fleet, options); },
        [&] {
            announce((*fleet)->listening(), (*fleet)->directory(), settings, options, program);
            log(LogLevel::info, {"supervisor"}, "started",
                {{"version", MALLARD_VERSION}, {"processes", std::to_string(count)}});
        });
    if (!ended) return report(ended.error());
    ::unlink((*fleet)->directory().file(control_socket_name).c_str());
    log(LogLevel::info, {"supervisor"}, "stopped");
    return 0;
}

}  // namespace mallard::app
