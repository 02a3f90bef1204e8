#pragma once
// The words of a mail store: UIDs, modseqs, flags, mailboxes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/range_set.hpp"

namespace mallard::store {

using Uid = std::uint32_t;     // RFC 9051 §2.3.1.1: 1..2^32-1
using ModSeq = std::uint64_t;  // RFC 7162 §3.1.1: 63 bits, per mailbox
using UidSet = RangeSet;

// The system flags (RFC 9051 §2.3.2), a bit each. \Recent is never stored.
enum SystemFlag : std::uint8_t { seen = 1, answered = 2, flagged = 4, deleted = 8, draft = 16 };

// Flags by name. Keywords keep the case they were first given in the mailbox; they compare without case.
struct Flags {
    std::uint8_t system = 0;            // SystemFlag bits
    std::vector<std::string> keywords;  // "$Forwarded", "NonJunk"; no duplicates
    bool operator==(Flags const&) const = default;
};

// "\Seen" -> seen (any case); 0 when it is none of the five.
std::uint8_t system_flag(std::string_view name);
// The names of the bits in the order \Seen \Answered \Flagged \Deleted \Draft.
std::vector<std::string_view> system_flag_names(std::uint8_t bits);

struct MailboxInfo {
    MailboxId id;
    UserId user;
    std::string path;         // full Unicode path, '/' between levels, first element "INBOX" upper case
    std::string special_use;  // "\\Sent", "\\Trash", "\\Drafts", "\\Junk", other; or empty
    std::uint32_t uid_validity = 0;
    bool subscribed = true;
    bool hidden = false;
    bool encrypt_messages = false;
    std::int64_t retention_ms = 0;  // 0: kept for ever
    std::string meta;               // reserved: JSON text or empty
};

struct MailboxCounts {
    std::uint32_t messages = 0;
    std::uint32_t unseen = 0;
    std::uint32_t deleted = 0;
    std::uint64_t bytes = 0;
    Uid uid_next = 1;
    ModSeq highest_modseq = 1;
};

}  // namespace mallard::store
