#pragma once
// APPEND arguments (RFC 9051 §6.3.12; UTF8 (~{n}) of RFC 6855 §4).

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/store.hpp"

namespace mallard::imap_proto {

struct AppendRequest {
    std::string mailbox;  // as it came: not decoded
    FlagNames flags;
    std::optional<TimeMs> date;
    Argument const* message = nullptr;  // the literal; points into the arguments
};

// `now` bounds the date: at most a day ahead, and later than 1970-01-01T00:00:01Z (protocols.md §1.14).
Result<AppendRequest> parse_append(std::vector<Argument> const& arguments, TimeMs now, Limits const& limits);

}  // namespace mallard::imap_proto
