#include <fmt/format.h>

#include <random>

#include "message.hpp"
#include "report.hpp"
#include "work.hpp"

namespace bench {

std::string Options::name(unsigned number) const {
    auto out = user;
    if (auto const at = out.find("{}"); at != std::string::npos) out.replace(at, 2, std::to_string(number));
    return out;
}

namespace {

unsigned user_of(Options const& options, unsigned connection) {
    return options.users == 0 ? connection : connection % options.users;
}

}  // namespace

int append(Options const& options) {
    auto run = run_threads("append", options.connections, [&](unsigned number, auto const& ready, auto& latencies) {
        Client client(options.target);
        client.line();
        auto const user = options.name(user_of(options, number));
        client.login(user, options.password);
        std::vector<std::string> messages;
        for (std::uint64_t i = 0; i < options.operations / options.connections; ++i)
            messages.push_back(text_message(options.seed + i * options.connections + number, options.size, user));
        std::uint64_t bytes = 0;
        ready();
        for (auto const& message : messages) {
            auto const start = now();
            client.append(options.mailbox, message, true);
            latencies.push_back(static_cast<float>(since(start) * 1000));
            bytes += message.size();
        }
        client.send("z LOGOUT\r\n");
        return bytes;
    });
    print(run);
    return run.errors == 0 ? 0 : 1;
}

int logins(Options const& options) {
    auto run = run_threads("logins", options.connections, [&](unsigned number, auto const& ready, auto& latencies) {
        auto const user = options.name(user_of(options, number));
        auto const once = [&] {
            Client client(options.target);
            client.line();
            client.login(user, options.password);
            client.send("z LOGOUT\r\n");
        };
        once();  // the credential has been seen
        ready();
        for (std::uint64_t i = 0; i < options.operations / options.connections; ++i) {
            auto const start = now();
            once();
            latencies.push_back(static_cast<float>(since(start) * 1000));
        }
        return std::uint64_t{0};
    });
    print(run);
    return run.errors == 0 ? 0 : 1;
}

int mixed(Options const& options) {
    constexpr unsigned messages_each = 100;
    auto run = run_threads("mixed", options.connections, [&](unsigned number, auto const& ready, auto& latencies) {
        Client client(options.target);
        client.line();
        auto const user = options.name(user_of(options, number));
        client.login(user, options.password);
        for (unsigned i = 0; i < messages_each; ++i)
            client.append(options.mailbox, text_message(i, options.size, user), true);
        client.command("SELECT " + options.mailbox);
        std::minstd_rand random(number + 1);
        ready();
        for (std::uint64_t i = 0; i < options.operations / options.connections; ++i) {
            unsigned const n = 1 + random() % messages_each;
            std::string text;
            switch (random() % 10) {
                case 0: text = "NOOP"; break;
                case 1: text = fmt::format("STORE {} +FLAGS (\\Flagged)", n); break;
                case 2: text = fmt::format("STORE {} -FLAGS (\\Flagged)", n); break;
                case 3: text = fmt::format("FETCH {} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", n); break;
                case 4: text = fmt::format("FETCH {} BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)]", n); break;
                case 5: text = fmt::format("FETCH {} BODY.PEEK[]", n); break;
                case 6: text = "FETCH 1:* (UID FLAGS)"; break;
                case 7: text = "SEARCH UNSEEN"; break;
                case 8: text = "STATUS " + options.mailbox + " (MESSAGES UNSEEN UIDNEXT)"; break;
                default: text = fmt::format("UID SEARCH UID {}:*", n); break;
            }
            auto const start = now();
            client.command(text);
            latencies.push_back(static_cast<float>(since(start) * 1000));
        }
        client.send("z LOGOUT\r\n");
        return client.received();
    });
    print(run);
    return run.errors == 0 ? 0 : 1;
}

}  // namespace bench
