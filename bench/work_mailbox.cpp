#include <fmt/format.h>

#include "message.hpp"
#include "report.hpp"
#include "work.hpp"

namespace bench {

int fill(Options const& options) {
    auto run = run_threads("fill", options.connections, [&](unsigned number, auto const& ready, auto& latencies) {
        Client client(options.target);
        client.line();
        auto const user = options.name(0);
        client.login(user, options.password);
        ready();
        for (std::uint64_t i = 0; i < options.operations / options.connections; ++i) {
            auto const message = text_message(options.seed + i * options.connections + number, options.size, user);
            client.append(options.mailbox, message, false);
            latencies.push_back(0);
        }
        return std::uint64_t{0};
    });
    print(run);
    return run.errors == 0 ? 0 : 1;
}

int mailbox(Options const& options) {
    Client client(options.target);
    client.line();
    client.login(options.name(0), options.password);
    bool ok = true;
    auto const timed = [&](std::string const& work, std::string const& text) {
        Run run;
        run.work = work;
        run.connections = 1;
        run.operations = 1;
        auto const before = client.received();
        auto const start = now();
        try {
            client.command(text);
        } catch (std::exception const& e) {
            run.errors = 1;
            run.first_error = e.what();
            ok = false;
        }
        run.seconds = since(start);
        run.bytes = client.received() - before;
        print(run);
    };
    timed("select", "SELECT " + options.mailbox);
    timed("fetch_flags", "FETCH 1:* (UID FLAGS)");
    timed("fetch_envelopes", "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)");
    timed("fetch_bodies", "UID FETCH 1:* BODY.PEEK[]");
    if (options.operations == 0) return ok ? 0 : 1;  // reading only: a cold run
    timed("store_flags", "UID STORE 1:* +FLAGS (\\Flagged)");
    timed("unflag", "UID STORE 1:* -FLAGS.SILENT (\\Flagged)");
    client.command("CREATE copies");
    timed("copy", "COPY 1:* copies");
    client.command("SELECT copies");
    client.command("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    timed("expunge", "EXPUNGE");
    client.command("SELECT " + options.mailbox);
    client.command("DELETE copies");
    return ok ? 0 : 1;
}

}  // namespace bench
