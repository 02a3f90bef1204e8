#include <fmt/format.h>

#include "message.hpp"
#include "report.hpp"
#include "work.hpp"

namespace bench {

// MAIL, RCPT and DATA go out together, as RFC 2920 (PIPELINING) lets a client do.
int lmtp(Options const& options) {
    auto run = run_threads("lmtp", options.connections, [&](unsigned number, auto const& ready, auto& latencies) {
        Client client(options.target);
        client.reply('2');
        client.send("LHLO bench.example.com\r\n");
        client.reply('2');
        std::uint64_t const mine = options.operations / options.connections;
        unsigned const users = options.users == 0 ? options.connections : options.users;
        // Made beforehand: the generator must not compete with the server.
        std::vector<std::string> messages;
        for (std::uint64_t i = 0; i < mine; ++i) {
            auto const to = options.name(static_cast<unsigned>((number + i * options.connections) % users));
            auto const seed = options.seed + i * options.connections + number;
            auto const body =
                options.attachment ? attachment_message(seed, options.size, to) : text_message(seed, options.size, to);
            messages.push_back(fmt::format("MAIL FROM:<sender@example.com>\r\nRCPT TO:<{}>\r\nDATA\r\n", to) + '\0' +
                               body + ".\r\n");
        }
        latencies.reserve(mine);
        std::uint64_t bytes = 0;
        ready();
        for (auto const& message : messages) {
            auto const start = now();
            auto const cut = message.find('\0');
            client.send(std::string_view(message).substr(0, cut));
            client.reply('2');
            client.reply('2');
            client.reply('3');
            client.send(std::string_view(message).substr(cut + 1));
            client.reply('2');
            latencies.push_back(static_cast<float>(since(start) * 1000));
            bytes += message.size() - cut - 4;
        }
        client.send("QUIT\r\n");
        return bytes;
    });
    print(run);
    return run.errors == 0 ? 0 : 1;
}

}  // namespace bench
