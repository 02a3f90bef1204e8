// The worker of supervisor_test.cpp: see README.md.
// Start frame: {"socket": fd, "generation": text, "behaviour": "serve" | "fail" | "crash" | "sleep"}.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "app/control_protocol.hpp"

namespace mallard::app {
namespace {

std::sig_atomic_t volatile terminated = 0;

struct Worker {
    Channel channel;
    std::string name;
    int listener = -1;
    std::string generation;
    double count = 0;
    int asking = -1;  // the client that wants metrics
    bool accepting = true;
    std::set<int> clients;

    std::string own_metrics() const { return fmt::format("# TYPE test_count counter\ntest_count {}\n", count); }

    void on_frame() {
        auto const frame = channel.receive_json();
        if (!frame) std::_Exit(0);  // the supervisor is gone
        if (frame->contains("retire")) accepting = false;
        if (frame->contains("report")) (void)channel.send({{"counted", own_metrics()}});
        if (auto const it = frame->find("metrics"); it != frame->end()) {
            std::string const text = it->get<std::string>() + "end\n";
            (void)::send(asking, text.data(), text.size(), MSG_NOSIGNAL);
        }
    }

    void on_command(int client, std::string const& line) {
        int const number = std::atoi(line.substr(std::min(line.find(' '), line.size() - 1) + 1).c_str());
        if (line.starts_with("die")) std::_Exit(number);
        if (line.starts_with("kill")) ::raise(number);
        if (line.starts_with("hang")) std::signal(SIGTERM, SIG_IGN);
        if (line.starts_with("count")) count += number;
        if (line.starts_with("metrics")) {
            asking = client;
            (void)channel.send({{"collect", true}});
            return;
        }
        (void)::send(client, "ok\n", 3, MSG_NOSIGNAL);
    }

    void greet() {
        int const client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;  // another worker was quicker
        std::string const hello = fmt::format("{} {} {}\n", name, generation, ::getpid());
        (void)::send(client, hello.data(), hello.size(), MSG_NOSIGNAL);
        clients.insert(client);
    }

    void turn() {
        std::vector<pollfd> polled{{channel.fd(), POLLIN, 0}};
        if (accepting) polled.push_back({listener, POLLIN, 0});
        for (int const client : clients) polled.push_back({client, POLLIN, 0});
        if (::poll(polled.data(), polled.size(), -1) < 0) return;
        for (pollfd const& entry : polled) {
            if (entry.revents == 0) continue;
            if (entry.fd == channel.fd()) {
                on_frame();
            } else if (entry.fd == listener) {
                greet();
            } else {
                char line[64];
                ssize_t const n = ::recv(entry.fd, line, sizeof line - 1, 0);
                if (n > 0) {
                    on_command(entry.fd, std::string(line, static_cast<std::size_t>(n)));
                } else {
                    ::close(entry.fd);
                    clients.erase(entry.fd);
                }
            }
        }
    }

    int run() {
        auto const start = channel.receive_json();
        if (!start) return 3;
        listener = start->at("socket");
        generation = start->at("generation");
        std::string const behaviour = start->at("behaviour");
        if (behaviour == "fail") {
            (void)channel.send({{"failed", "this configuration is bad"}});
            return 1;
        }
        if (behaviour == "crash") std::_Exit(7);
        if (behaviour != "sleep") (void)channel.send({{"ready", true}});
        while (terminated == 0 && (accepting || !clients.empty())) turn();
        (void)channel.send({{"counted", own_metrics()}});
        return 0;
    }
};

}  // namespace
}  // namespace mallard::app

int main(int argc, char** argv) {
    struct sigaction action{};  // without SA_RESTART: poll ends
    action.sa_handler = [](int) { mallard::app::terminated = 1; };
    ::sigaction(SIGTERM, &action, nullptr);
    if (argc < 5) return 2;  // --name NAME --channel FD
    return mallard::app::Worker{.channel = mallard::app::Channel(std::atoi(argv[4])), .name = argv[2]}.run();
}
