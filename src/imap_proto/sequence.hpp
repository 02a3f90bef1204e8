#pragma once
// Sequence sets (RFC 9051 §9 `sequence-set`): "1:3,7,9:*". What `*` is, the mailbox decides.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/range_set.hpp"

namespace mallard::imap_proto {

struct SequenceSet {
    static constexpr std::uint32_t star = 0;  // no sequence number and no UID is 0
    struct Range {
        std::uint32_t first, last;  // as written: may be reversed, may be star
        bool operator==(Range const&) const = default;
    };
    std::vector<Range> ranges;

    // The numbers, with `*` = largest. Numbers above `cut` are left out (sequence numbers beyond the end).
    // largest 0: the mailbox is empty, and `*` names nothing.
    RangeSet resolve(std::uint32_t largest, std::uint32_t cut = 0xffff'ffff) const;
    bool operator==(SequenceSet const&) const = default;
};

Result<SequenceSet> parse_sequence_set(std::string_view text);

// Digits only, no sign, no leading zero except "0" itself; at most `max`.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max);

}  // namespace mallard::imap_proto
