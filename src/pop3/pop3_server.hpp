#pragma once
// POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034). The handler serves one connection: it reads lines, asks the session on
// the worker pool, and writes what it says.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "accounts/accounts.hpp"
#include "mailboxes/mailboxes.hpp"
#include "net/server.hpp"
#include "store/events.hpp"
#include "store/shared_state.hpp"

namespace mallard::pop3 {

struct Pop3Config {
    std::string name = "Mallard POP3 Server";
    bool stls = true;                   // not pop3.disableSTARTTLS; needs a certificate too
    bool plaintext_allowed = false;     // auth.allow_plaintext: passwords without TLS
    std::string implementation;         // CAPA IMPLEMENTATION; empty: not said (pop3.disableVersionString)
    std::size_t messages_max = 250;     // pop3.maxMessages, unless the user has another limit
    std::size_t bad_commands_max = 10;  // unknown commands; the last one closes
    std::chrono::milliseconds idle_timeout{600'000};  // RFC 1939 §3: at least 10 minutes (WildDuck: 60 seconds)
    // Deviation: RFC 1939 §3 means every state; who has not logged in has one minute (WildDuck's limit), so that
    // strangers cannot hold connections for nothing.
    std::chrono::milliseconds login_timeout{60'000};
};

// Everything that is passed in must outlive the server.
net::Handler make_pop3_handler(Pop3Config config, accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes,
                               store::SharedState& state, store::Events& events, net::Server& server);

}  // namespace mallard::pop3
