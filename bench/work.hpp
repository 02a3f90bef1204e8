#pragma once
// The kinds of work; each prints one JSON line per figure.

#include <string>

#include "client.hpp"

namespace bench {

struct Options {
    Target target;
    unsigned connections = 10;
    unsigned users = 0;               // 0: one per connection
    std::uint64_t operations = 1000;  // in all
    std::size_t size = 10 * 1024;
    std::string user = "bench{}@example.com";  // {} is the user's number
    std::string password = "secret";
    std::string mailbox = "INBOX";
    bool attachment = false;    // LMTP: the same attachment for all
    bool idle_command = true;   // idle: log in, SELECT and IDLE
    double hold_seconds = 0;    // idle: wait for a line on standard input when 0
    unsigned first_source = 1;  // idle: of the addresses 127.0.0.N to connect from
    std::uint64_t seed = 0;

    std::string name(unsigned number) const;
};

int lmtp(Options const& options);
int append(Options const& options);
int logins(Options const& options);
int mixed(Options const& options);
int fill(Options const& options);     // many messages into one mailbox of user 0, quickly
int mailbox(Options const& options);  // one connection over a large mailbox: SELECT, FETCHes, STORE, COPY, EXPUNGE
int idle(Options const& options);

}  // namespace bench
