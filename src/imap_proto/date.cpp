#include "imap_proto/date.hpp"

#include <array>
#include <chrono>

#include "base/encoding.hpp"

namespace mallard::imap_proto {

namespace {

constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Exactly `count` digits at the front, taken off. -1: not there.
int take_digits(std::string_view& text, std::size_t count) {
    if (text.size() < count) return -1;
    int n = 0;
    for (char c : text.substr(0, count)) {
        if (!is_digit(c)) return -1;
        n = n * 10 + (c - '0');
    }
    text.remove_prefix(count);
    return n;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

struct Date {
    int day = 0, month = 0, year = 0;
};

// d-Mon-yyyy off the front; the numbers may name no day.
std::optional<Date> take_date(std::string_view& text) {
    Date out;
    out.day = take_digits(text, text.size() > 1 && is_digit(text[1]) ? 2 : 1);
    if (out.day < 0 || !take(text, '-') || text.size() < 3) return std::nullopt;
    for (std::size_t i = 0; i < months.size(); ++i)
        if (iequals(text.substr(0, 3), months[i])) out.month = static_cast<int>(i) + 1;
    text.remove_prefix(3);
    if (out.month == 0 || !take(text, '-')) return std::nullopt;
    out.year = take_digits(text, 4);
    if (out.year < 0) return std::nullopt;
    return out;
}

std::optional<TimeMs> to_ms(Date const& date) {
    namespace c = std::chrono;
    c::year_month_day const ymd{c::year(date.year), c::month(static_cast<unsigned>(date.month)),
                                c::day(static_cast<unsigned>(date.day))};
    if (!ymd.ok()) return std::nullopt;
    return TimeMs{c::sys_days(ymd).time_since_epoch().count()} * day_ms;
}

}  // namespace

std::optional<TimeMs> parse_date(std::string_view text) {
    auto const date = take_date(text);
    if (!date || !text.empty()) return std::nullopt;
    return to_ms(*date);
}

DateTimeResult parse_date_time(std::string_view text) {
    take(text, ' ');  // RFC 9051 §9 date-day-fixed: SP DIGIT
    auto const date = take_date(text);
    if (!date || !take(text, ' ')) return {};
    int const hour = take_digits(text, 2);
    if (hour < 0 || !take(text, ':')) return {};
    int const minute = take_digits(text, 2);
    if (minute < 0 || !take(text, ':')) return {};
    int const second = take_digits(text, 2);
    if (second < 0 || !take(text, ' ')) return {};
    bool const west = text.starts_with('-');
    if (!west && !text.starts_with('+')) return {};
    text.remove_prefix(1);
    int const zone_hour = take_digits(text, 2);
    int const zone_minute = take_digits(text, 2);
    if (zone_hour < 0 || zone_minute < 0 || !text.empty()) return {};

    DateTimeResult out;
    out.well_formed = true;
    auto const day = to_ms(*date);
    if (!day || hour > 23 || minute > 59 || second > 60 || zone_minute > 59) return out;
    TimeMs const zone = (zone_hour * 60 + zone_minute) * 60'000 * (west ? -1 : 1);
    out.when = *day + ((hour * 60 + minute) * 60 + second) * TimeMs{1000} - zone;
    return out;
}

void append_date_time(std::string& out, TimeMs when) {
    namespace c = std::chrono;
    TimeMs const seconds = (when - ((when % 1000) + 1000) % 1000) / 1000;
    TimeMs const of_day = ((seconds % 86'400) + 86'400) % 86'400;
    c::year_month_day const ymd{c::sys_days(c::days((seconds - of_day) / 86'400))};
    auto two = [](char* at, unsigned n) {
        at[0] = static_cast<char>('0' + n / 10 % 10);
        at[1] = static_cast<char>('0' + n % 10);
    };
    std::array<char, 26> text;
    std::string_view const form = "00-Jan-0000 00:00:00 +0000";
    std::copy(form.begin(), form.end(), text.begin());
    two(&text[0], static_cast<unsigned>(ymd.day()));
    std::string_view const month = months[static_cast<unsigned>(ymd.month()) - 1];
    std::copy(month.begin(), month.end(), &text[3]);
    int const year = static_cast<int>(ymd.year());
    two(&text[7], static_cast<unsigned>(year / 100));
    two(&text[9], static_cast<unsigned>(year % 100));
    two(&text[12], static_cast<unsigned>(of_day / 3600));
    two(&text[15], static_cast<unsigned>(of_day / 60 % 60));
    two(&text[18], static_cast<unsigned>(of_day % 60));
    out.append(text.data(), text.size());
}

}  // namespace mallard::imap_proto
