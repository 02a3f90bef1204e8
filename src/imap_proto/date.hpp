#pragma once
// IMAP's dates: `date` of SEARCH ("1-Feb-1994"), `date-time` of APPEND and INTERNALDATE (RFC 9051 §9).

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace mallard::imap_proto {

inline constexpr TimeMs day_ms = 86'400'000;

std::optional<TimeMs> parse_date(std::string_view text);  // that day's first moment, UTC

struct DateTimeResult {
    bool well_formed = false;    // false: not a date-time at all
    std::optional<TimeMs> when;  // none: no such moment (31-Feb, 25:00)
};
DateTimeResult parse_date_time(std::string_view text);  // "17-Jul-1996 02:44:25 -0700", day also " 7" and "7"

void append_date_time(std::string& out, TimeMs when);  // 26 characters, UTC, without quotes

}  // namespace mallard::imap_proto
