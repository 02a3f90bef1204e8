// mallard-bench: a load generator for mail servers. Speaks to any of them by host and port; prints a JSON line per
// figure.

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "work.hpp"

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    CLI::App app{"mallard-bench: load for IMAP and LMTP servers. One JSON line per figure on standard output."};
    app.require_subcommand(1);
    app.fallthrough();
    bench::Options options;
    app.add_option("--host", options.target.host, "IPv4 address of the server")->capture_default_str();
    app.add_option("--port", options.target.port, "its port")->required();
    app.add_flag("--tls", options.target.tls, "TLS from the first byte");
    app.add_option("--connections", options.connections, "at once")->capture_default_str()->check(CLI::Range(1, 10000));
    app.add_option("--users", options.users, "over how many users; 0: one per connection")->capture_default_str();
    app.add_option("--operations", options.operations, "in all")->capture_default_str();
    app.add_option("--size", options.size, "octets of a message")->capture_default_str();
    app.add_option("--user", options.user, "user name; {} is the number")->capture_default_str();
    app.add_option("--password", options.password, "password of all users")->capture_default_str();
    app.add_option("--mailbox", options.mailbox, "mailbox")->capture_default_str();
    app.add_option("--seed", options.seed, "first message's number")->capture_default_str();
    app.add_flag("--attachment", options.attachment, "lmtp: --size octets of an attachment that all messages share");
    app.add_flag("--connect-only{false}", options.idle_command, "idle: only connect, do not log in");
    app.add_option(
        "--hold", options.hold_seconds,
        "idle: seconds; 0: until a line comes on standard input; \"noop\" asks each connection for one first");
    app.add_option("--first-source", options.first_source, "idle: connect from 127.0.0.N and the following")
        ->check(CLI::Range(1, 250));

    int (*work)(bench::Options const&) = nullptr;
    auto const add = [&](char const* name, char const* what, int (*function)(bench::Options const&)) {
        app.add_subcommand(name, what)->callback([&work, function] { work = function; });
    };
    add("lmtp", "deliver text messages by LMTP", bench::lmtp);
    add("append", "IMAP APPEND", bench::append);
    add("logins", "connect, LOGIN, LOGOUT", bench::logins);
    add("mixed", "a mix of IMAP commands on a small mailbox", bench::mixed);
    add("fill", "append many messages to one mailbox of user 0", bench::fill);
    add("mailbox", "one connection over a large mailbox (operations 0: reading only)", bench::mailbox);
    add("idle", "hold --operations connections in IDLE", bench::idle);
    CLI11_PARSE(app, argc, argv);
    try {
        return work(options);
    } catch (std::exception const& e) {
        std::cerr << "mallard-bench: " << e.what() << '\n';
        return 1;
    }
}
