#pragma once
// The IMAP server: what app/ joins with the listeners. The same handler serves plain and TLS listeners.

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "imap/config.hpp"
#include "mailboxes/mailboxes.hpp"
#include "net/server.hpp"
#include "store/events.hpp"

namespace mallard::imap {

// What is sent to a connection that a listener refuses.
inline constexpr char const* refusal = "* BYE Too many connections\r\n";

// Everything that is passed by reference outlives the server.
net::Handler make_handler(ImapConfig config, mailboxes::Mailboxes& mailboxes, accounts::Accounts& accounts,
                          store::Events& events, Clock const& clock, net::Server& server);

}  // namespace mallard::imap
