// Dates as clients send them: ISO 8601 and what looks like RFC 5322. A date without zone is taken as UTC.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>

#include "base/encoding.hpp"
#include "http/schema.hpp"

namespace mallard::http {
namespace {

using namespace std::chrono;

struct Reader {
    std::string_view rest;

    bool take(char c) {
        if (rest.empty() || ascii_lower(rest.front()) != ascii_lower(c)) return false;
        rest.remove_prefix(1);
        return true;
    }
    void blanks() {
        while (take(' ')) {}
    }
    // Between `least` and `most` digits.
    std::optional<int> digits(std::size_t least, std::size_t most) {
        std::size_t n = 0;
        while (n < rest.size() && n < most && rest[n] >= '0' && rest[n] <= '9') ++n;
        if (n < least) return std::nullopt;
        int value = 0;
        std::from_chars(rest.data(), rest.data() + n, value);
        rest.remove_prefix(n);
        return value;
    }
    std::string_view letters() {
        std::size_t n = 0;
        while (n < rest.size() && ascii_lower(rest[n]) >= 'a' && ascii_lower(rest[n]) <= 'z') ++n;
        auto const word = rest.substr(0, n);
        rest.remove_prefix(n);
        return word;
    }
};

struct Clock {
    int hour = 0, minute = 0, second = 0, ms = 0;
};

// hh:mm[:ss[.fff]]
std::optional<Clock> read_clock(Reader& in) {
    Clock clock;
    auto const hour = in.digits(1, 2);
    if (!hour || !in.take(':')) return std::nullopt;
    auto const minute = in.digits(2, 2);
    if (!minute) return std::nullopt;
    clock.hour = *hour;
    clock.minute = *minute;
    if (in.take(':')) {
        auto const second = in.digits(2, 2);
        if (!second) return std::nullopt;
        clock.second = *second;
        if (in.take('.')) {
            auto const before = in.rest.size();
            auto const fraction = in.digits(1, 9);
            if (!fraction) return std::nullopt;
            auto digits = before - in.rest.size();
            double value = *fraction;
            for (; digits > 3; --digits) value /= 10;
            for (; digits < 3; ++digits) value *= 10;
            clock.ms = static_cast<int>(value);
        }
    }
    if (clock.hour > 24 || clock.minute > 59 || clock.second > 60) return std::nullopt;
    return clock;
}

// "", Z, GMT, UTC, +hh:mm, +hhmm: minutes east.
std::optional<int> read_zone(Reader& in) {
    if (in.rest.empty()) return 0;
    bool const minus = in.rest.front() == '-';
    if (in.take('+') || in.take('-')) {
        auto const hours = in.digits(2, 2);
        in.take(':');
        auto const minutes = in.digits(2, 2);
        if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
        int const east = *hours * 60 + *minutes;
        return minus ? -east : east;
    }
    auto const word = in.letters();
    if (iequals(word, "Z") || iequals(word, "GMT") || iequals(word, "UTC") || iequals(word, "UT")) return 0;
    return std::nullopt;
}

std::optional<std::int64_t> assemble(int y, int m, int d, Clock const& clock, int zone_minutes) {
    year_month_day const day{year(y), month(static_cast<unsigned>(m)), std::chrono::day(static_cast<unsigned>(d))};
    if (!day.ok()) return std::nullopt;
    auto const at =
        sys_days(day) + hours(clock.hour) + minutes(clock.minute) + seconds(clock.second) - minutes(zone_minutes);
    return duration_cast<milliseconds>(at.time_since_epoch()).count() + clock.ms;
}

std::optional<std::int64_t> parse_iso(Reader in) {
    auto const y = in.digits(4, 4);
    if (!y || !in.take('-')) return std::nullopt;
    auto const m = in.digits(2, 2);
    if (!m) return std::nullopt;
    int d = 1;
    if (in.take('-')) {
        auto const day = in.digits(2, 2);
        if (!day) return std::nullopt;
        d = *day;
    }
    Clock clock;
    int zone = 0;
    if (in.take('T') || in.take(' ')) {
        auto const time = read_clock(in);
        if (!time) return std::nullopt;
        clock = *time;
        in.blanks();
        auto const east = read_zone(in);
        if (!east) return std::nullopt;
        zone = *east;
    }
    if (!in.rest.empty()) return std::nullopt;
    return assemble(*y, *m, d, clock, zone);
}

int month_number(std::string_view word) {
    constexpr std::array<std::string_view, 12> names{"jan", "feb", "mar", "apr", "may", "jun",
                                                     "jul", "aug", "sep", "oct", "nov", "dec"};
    if (word.size() < 3) return 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (iequals(word.substr(0, 3), names[i])) return static_cast<int>(i) + 1;
    }
    return 0;
}

// [Mon,] 1 Jan 2024 [10:00[:00] [zone]], and JavaScript's Mon Jan 01 2024 10:00:00 GMT+0000 (...)
std::optional<std::int64_t> parse_rfc(Reader in) {
    auto word = in.letters();
    if (!word.empty() && month_number(word) == 0) {
        in.take(',');
        in.blanks();
        word = in.letters();
    }
    int m = month_number(word);
    in.blanks();
    auto const d = in.digits(1, 2);
    if (!d) return std::nullopt;
    in.take(',');
    in.blanks();
    if (m == 0) m = month_number(in.letters());
    in.blanks();
    auto const y = in.digits(4, 4);
    if (m == 0 || !y) return std::nullopt;
    in.blanks();
    Clock clock;
    int zone = 0;
    if (!in.rest.empty()) {
        auto const time = read_clock(in);
        if (!time) return std::nullopt;
        clock = *time;
        in.blanks();
        if (in.rest.starts_with("GMT+") || in.rest.starts_with("GMT-")) in.rest.remove_prefix(3);
        auto const east = read_zone(in);
        if (!east) return std::nullopt;
        zone = *east;
        in.blanks();
        if (in.rest.starts_with('(') && in.rest.ends_with(')')) in.rest = {};
    }
    if (!in.rest.empty()) return std::nullopt;
    return assemble(*y, m, *d, clock, zone);
}

}  // namespace

std::optional<std::int64_t> parse_any_date(std::string_view text) {
    text = trim(text);
    if (auto const iso = parse_iso(Reader{text})) return iso;
    return parse_rfc(Reader{text});
}

std::string iso_date(std::int64_t ms) {
    sys_time<milliseconds> const at{milliseconds(ms)};
    auto const midnight = floor<days>(at);
    year_month_day const day(midnight);
    hh_mm_ss const time(at - midnight);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(day.year()),
                       static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

}  // namespace mallard::http
