#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "report.hpp"
#include "work.hpp"

namespace bench {

// A source address has some 28,000 ports to connect from, and servers limit the connections of one.
constexpr std::uint64_t per_source = 9'000;

namespace {

void begin_idle(Client& client) {
    client.send("i IDLE\r\n");
    if (!client.line().starts_with("+")) throw std::runtime_error("IDLE was refused");
}

// Every connection leaves IDLE, answers a NOOP and idles again.
Run ask_all(std::vector<std::unique_ptr<Client>> const& clients, bool idling) {
    Run run;
    run.work = "idle_noop";
    run.connections = static_cast<unsigned>(clients.size());
    auto const start = now();
    for (auto const& client : clients) {
        try {
            if (idling) {
                client->send("DONE\r\n");
                client->finish("i");
            }
            client->command("NOOP");
            if (idling) begin_idle(*client);
            ++run.operations;
        } catch (std::exception const& e) {
            if (run.errors++ == 0) run.first_error = e.what();
        }
    }
    run.seconds = since(start);
    return run;
}

}  // namespace

// Holds `operations` connections that are logged in, have INBOX selected and sit in IDLE; prints when all are there,
// then waits: whoever measures the server's memory does so now.
int idle(Options const& options) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);

    Run run;
    run.work = "idle";
    std::vector<std::unique_ptr<Client>> clients;
    unsigned const users = options.users == 0 ? 100 : options.users;
    auto const start = now();
    try {
        for (std::uint64_t i = 0; i < options.operations; ++i) {
            auto target = options.target;
            target.source = fmt::format("127.0.0.{}", options.first_source + i / per_source);
            auto client = std::make_unique<Client>(target);
            client->line();
            if (options.idle_command) {
                client->login(options.name(static_cast<unsigned>(i % users)), options.password);
                client->command("SELECT " + options.mailbox);
                begin_idle(*client);
            }
            clients.push_back(std::move(client));
        }
    } catch (std::exception const& e) {
        run.errors = 1;
        run.first_error = fmt::format("after {} connections: {}", clients.size(), e.what());
    }
    run.connections = static_cast<unsigned>(clients.size());
    run.operations = clients.size();
    run.seconds = since(start);
    print(run);
    if (options.hold_seconds > 0) {
        std::this_thread::sleep_for(Seconds(options.hold_seconds));
    } else {
        for (std::string line; std::getline(std::cin, line) && line == "noop";)
            print(ask_all(clients, options.idle_command));
    }
    return run.errors == 0 ? 0 : 1;
}

}  // namespace bench
