#pragma once
// The commands: name, states, arguments, function. The one place where a command is known by its name.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/metrics.hpp"
#include "imap/session.hpp"

namespace mallard::imap {

// Untagged lines are appended to `out`.
using Simple = Outcome (*)(Session&, Request&, std::string& out);
// Yields untagged data; sets request.outcome.
using Streaming = Reply (*)(Session&, Request&);

enum class Notices : std::uint8_t {
    none,
    all,
    without_expunge,  // RFC 9051 §7.5.1: sequence numbers must keep their meaning
};

struct CommandSpec {
    std::string_view name;
    unsigned states;  // State bits
    std::size_t arguments_min, arguments_max;
    Notices notices;
    Place place;
    Simple simple = nullptr;
    Streaming streaming = nullptr;  // neither: the edge's business (IDLE)
};

CommandSpec const* find_command(std::string_view name);

struct CommandMetrics {
    metrics::Counter* count;
    metrics::Histogram* seconds;
};
// Of a command (nullptr: an unknown one) and its result.
CommandMetrics& metrics_of(CommandSpec const* spec, Status status);

Outcome cmd_capability(Session&, Request&, std::string&);
Outcome cmd_noop(Session&, Request&, std::string&);
Outcome cmd_logout(Session&, Request&, std::string&);
Outcome cmd_id(Session&, Request&, std::string&);
Outcome cmd_starttls(Session&, Request&, std::string&);
Outcome cmd_login(Session&, Request&, std::string&);
Outcome cmd_authenticate(Session&, Request&, std::string&);
Outcome cmd_enable(Session&, Request&, std::string&);
Outcome cmd_namespace(Session&, Request&, std::string&);
Outcome cmd_list(Session&, Request&, std::string&);
Outcome cmd_lsub(Session&, Request&, std::string&);
Outcome cmd_create(Session&, Request&, std::string&);
Outcome cmd_delete(Session&, Request&, std::string&);
Outcome cmd_rename(Session&, Request&, std::string&);
Outcome cmd_subscribe(Session&, Request&, std::string&);
Outcome cmd_status(Session&, Request&, std::string&);
Outcome cmd_getquota(Session&, Request&, std::string&);
Outcome cmd_getquotaroot(Session&, Request&, std::string&);
Outcome cmd_setquota(Session&, Request&, std::string&);
Outcome cmd_select(Session&, Request&, std::string&);
Outcome cmd_check(Session&, Request&, std::string&);
Outcome cmd_close(Session&, Request&, std::string&);
Outcome cmd_append(Session&, Request&, std::string&);
Outcome cmd_expunge(Session&, Request&, std::string&);
Outcome cmd_copy(Session&, Request&, std::string&);
Outcome cmd_move(Session&, Request&, std::string&);
Outcome cmd_search(Session&, Request&, std::string&);
Reply cmd_fetch(Session&, Request&);
Reply cmd_store(Session&, Request&);

// Of LOGIN and AUTHENTICATE: name and password, when the arguments are well-formed.
std::optional<accounts::Credentials> credentials_of(Session const& session, imap_proto::Command const& command);

}  // namespace mallard::imap
