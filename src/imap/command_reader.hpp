#pragma once
// Reads one command with its literals from a connection (protocols.md §1.2). Refuses what is too large before it is
// sent (synchronising literals), or reads and drops it (RFC 7888: non-synchronising ones), up to a bound.

#include <optional>
#include <string>

#include "imap/session.hpp"
#include "imap_proto/command.hpp"
#include "net/line_server.hpp"

namespace mallard::imap {

struct Incoming {
    imap_proto::Head head;
    imap_proto::RawCommand raw;
    std::optional<Outcome> refused;  // no command came of it; head.tag may be empty
    bool counts = true;              // the refusal is an error of the client's (not a mere long line)
    bool close = false;              // what follows cannot be understood any more
};

// Replies not yet written go out before a continuation request. Errors end the connection.
net::Async<Result<Incoming>> read_command(net::Dialogue& dialogue, Session const& session, ImapConfig const& config);

}  // namespace mallard::imap
