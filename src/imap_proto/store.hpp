#pragma once
// STORE arguments and flag lists (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/sequence.hpp"

namespace mallard::imap_proto {

// Flags as written, each valid: one of the five system flags, or a keyword (an atom).
using FlagNames = std::vector<std::string>;

// `command` stands in the errors.
Result<FlagNames> parse_flags(std::vector<Argument> const& items, std::string_view command, Limits const& limits);

struct StoreRequest {
    enum class Mode { set, add, remove };
    SequenceSet set;
    Mode mode = Mode::set;
    bool silent = false;
    FlagNames flags;
    std::optional<std::uint64_t> unchanged_since;
};

Result<StoreRequest> parse_store(std::vector<Argument> const& arguments, std::string_view name, Limits const& limits);

}  // namespace mallard::imap_proto
