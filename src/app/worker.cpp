// `mallard worker`: one of the processes of a server. Its supervisor tells it everything (worker_process.hpp).

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/control_protocol.hpp"
#include "app/serve.hpp"
#include "app/server.hpp"
#include "base/log_worker.hpp"
#include "base/metrics.hpp"

namespace mallard::app {

namespace {

using namespace std::chrono_literals;

constexpr auto metrics_patience = 3s;
// Who connected just before we retired says first what it wants.
constexpr timespec last_comers{1, 0};
constexpr auto retire_time = 7s;
constexpr int retire_signal = SIGUSR1;  // of this process to itself

// Speaks to the supervisor. Thread-safe; frames that come are taken by a thread of its own.
class SupervisorLink {
public:
    explicit SupervisorLink(Channel& channel) : channel_(channel), thread_([this] { listen(); }) {}
    ~SupervisorLink() {
        ::shutdown(channel_.fd(), SHUT_RDWR);
        thread_.join();
    }

    void send(Json const& object) {
        std::lock_guard const lock(sending_);
        (void)channel_.send(object);  // who does not hear us has ended: listen() sees it
    }

    // The metrics of all workers; our own when the supervisor does not answer.
    std::string collect() {
        std::lock_guard const one_at_a_time(collecting_);
        std::unique_lock lock(mutex_);
        answer_.reset();
        send({{"collect", true}});
        if (!answered_.wait_for(lock, metrics_patience, [this] { return answer_.has_value(); }))
            return metrics::render();
        return *std::move(answer_);
    }

private:
    void listen() {
        while (auto const frame = channel_.receive_json()) {
            if (frame->contains("retire")) ::kill(::getpid(), retire_signal);
            if (frame->contains("report")) send({{"counted", metrics::render()}});
            if (auto const it = frame->find("metrics"); it != frame->end() && it->is_string()) {
                std::lock_guard const lock(mutex_);
                answer_ = it->get<std::string>();
                answered_.notify_all();
            }
        }
        ::kill(::getpid(), SIGTERM);  // the supervisor is gone
    }

    Channel& channel_;
    std::mutex sending_, collecting_, mutex_;
    std::condition_variable answered_;
    std::optional<std::string> answer_;
    std::thread thread_;
};

// The supervisor's socket numbers; nobody whom we start shall have them.
Inherited inherited_from(Json const& start) {
    Inherited out;
    out.control = start.at("control");
    for (auto const& [key, socket] : start.at("sockets").items()) out.sockets.emplace(key, socket.get<int>());
    ::fcntl(out.control, F_SETFD, FD_CLOEXEC);
    for (auto const& [key, socket] : out.sockets) ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    return out;
}

Result<std::unique_ptr<Server>> start_server(Json const& start) {
    config::Settings settings;
    if (auto const mistakes = settings.read_toml(start.at("settings").get<std::string>(), "supervisor");
        !mistakes.empty())
        return fail(ErrorKind::internal, mistakes.front().text());
    MALLARD_TRY(log_start(log_config(settings)));
    return Server::start(std::move(settings), inherited_from(start));
}

// Until we are to end.
void serve_until_told(Server& server, sigset_t const& signals) {
    int signal = 0;
    while (::sigwait(&signals, &signal) != 0) {}
    if (signal != retire_signal) return;
    server.stop_accepting();
    sigset_t only_term;
    ::sigemptyset(&only_term);
    ::sigaddset(&only_term, SIGTERM);
    ::sigtimedwait(&only_term, nullptr, &last_comers);
}

}  // namespace

int run_worker(std::string name, int channel_number) {
    log_as_worker(std::move(name));
    for (int const ignored : {SIGINT, SIGHUP}) std::signal(ignored, SIG_IGN);  // the supervisor's business
    sigset_t signals;
    ::sigemptyset(&signals);
    for (int const signal : {SIGTERM, retire_signal}) ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::fcntl(channel_number, F_SETFD, FD_CLOEXEC);
    Channel channel(channel_number);
    auto const start = channel.receive_json();
    if (!start) return 1;
    raise_descriptor_limit();
    auto server = start_server(*start);
    if (!server) {
        Error const& error = server.error();
        (void)channel.send({{"failed", error.message + (error.context.empty() ? "" : " (" + error.context + ")")}});
        return 1;
    }
    {
        SupervisorLink link(channel);
        metrics::collect_with([&link] { return link.collect(); });
        link.send({{"ready", true}});
        serve_until_told(**server, signals);
        exit_in_time();
        (*server)->stop_accepting();
        (*server)->drain(retire_time);
        link.send({{"counted", metrics::render()}});
        server->reset();
    }
    return 0;
}

}  // namespace mallard::app
