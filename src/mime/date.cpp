// Dates (RFC 5322 §3.3, §4.3), and what senders write instead: ISO 8601, asctime, names of zones.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string>

#include "base/encoding.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

constexpr std::array<std::string_view, 12> months{"jan", "feb", "mar", "apr", "may", "jun",
                                                  "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> day_names{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr std::size_t date_bytes_max = 256;

struct Zone {
    std::string_view name;
    int minutes;
};
// RFC 5322 §4.3 and the ones met in mail. Unknown names are UTC.
constexpr std::array<Zone, 26> zones{
    {{"ut", 0},     {"utc", 0},    {"gmt", 0},    {"z", 0},      {"est", -300}, {"edt", -240},  {"cst", -360},
     {"cdt", -300}, {"mst", -420}, {"mdt", -360}, {"pst", -480}, {"pdt", -420}, {"akst", -540}, {"akdt", -480},
     {"hst", -600}, {"wet", 0},    {"west", 60},  {"bst", 60},   {"cet", 60},   {"cest", 120},  {"met", 60},
     {"eet", 120},  {"eest", 180}, {"msk", 180},  {"ist", 330},  {"jst", 540}}};

struct Fields {
    int year = -1, month = -1, day = -1;
    int hour = 0, minute = 0, second = 0, millisecond = 0;
    int zone_minutes = 0;
    bool has_time = false;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::optional<int> number(std::string_view digits) {
    int value = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

std::string without_comments(std::string_view text) {
    std::string out;
    int depth = 0;
    for (char c : text) {
        if (c == '(')
            ++depth;
        else if (c == ')' && depth > 0)
            --depth;
        else if (depth == 0)
            out.push_back(c == ',' ? ' ' : c);
    }
    return out;
}

std::string_view take_word(std::string_view& rest) {
    std::size_t const begin = std::min(rest.find_first_not_of(" \t\r\n"), rest.size());
    std::size_t const end = std::min(rest.find_first_of(" \t\r\n", begin), rest.size());
    std::string_view const word = rest.substr(begin, end - begin);
    rest = rest.substr(end);
    return word;
}

int full_year(int year, std::size_t digits) {  // RFC 5322 §4.3
    if (digits <= 2) return year < 50 ? year + 2000 : year + 1900;
    return digits == 3 ? year + 1900 : year;
}

// "+0100", "-05:30", "+1", with or without "GMT" or "UTC" in front.
bool read_offset(std::string_view word, Fields& out) {
    if (word.size() > 3 && (iequals(word.substr(0, 3), "gmt") || iequals(word.substr(0, 3), "utc")))
        word.remove_prefix(3);
    if (word.size() < 2 || (word[0] != '+' && word[0] != '-')) return false;
    int const sign = word[0] == '-' ? -1 : 1;
    std::string digits;
    for (char c : word.substr(1)) {
        if (is_digit(c))
            digits.push_back(c);
        else if (c != ':')
            return false;
    }
    if (digits.empty() || digits.size() > 4) return false;
    int const value = *number(digits);
    int const minutes = digits.size() <= 2 ? value * 60 : value / 100 * 60 + value % 100;
    if (minutes > 24 * 60) return false;
    out.zone_minutes = sign * minutes;
    return true;
}

// "10:00", "10:00:00", "10:00:00.123", and a zone that is glued to it.
bool read_time(std::string_view word, Fields& out) {
    std::size_t at = 0;
    auto take = [&](std::size_t most) -> std::optional<int> {
        std::size_t end = at;
        while (end < word.size() && end - at < most && is_digit(word[end])) ++end;
        auto const value = number(word.substr(at, end - at));
        at = end;
        return value;
    };
    auto const hour = take(2);
    if (!hour || at >= word.size() || (word[at] != ':' && word[at] != '.')) return false;
    char const separator = word[at++];
    auto const minute = take(2);
    if (!minute) return false;
    int second = 0;
    if (at < word.size() && word[at] == separator) {
        ++at;
        auto const value = take(2);
        if (!value) return false;
        second = *value;
        if (at < word.size() && word[at] == '.') {
            ++at;
            std::size_t const begin = at;
            while (at < word.size() && is_digit(word[at])) ++at;
            std::string digits(word.substr(begin, std::min<std::size_t>(3, at - begin)));
            digits.resize(3, '0');
            out.millisecond = number(digits).value_or(0);
        }
    }
    if (*hour > 24 || *minute > 59 || second > 60) return false;
    out.hour = *hour;
    out.minute = *minute;
    out.second = second;
    out.has_time = true;
    std::string_view const tail = word.substr(at);
    if (iequals(tail, "pm") && out.hour < 12) out.hour += 12;
    if (iequals(tail, "am") && out.hour == 12) out.hour = 0;
    read_offset(tail, out);
    return true;
}

// "2024-01-31", "2024/1/31", "31-Jan-2024", and "2024-01-31T10:00:00Z".
bool read_joined_date(std::string_view word, Fields& out) {
    std::size_t const first = word.find_first_of("-/");
    if (first == std::string_view::npos || first == 0 || !is_digit(word[0])) return false;
    std::size_t const second = word.find_first_of("-/", first + 1);
    if (second == std::string_view::npos) return false;
    std::size_t end = second + 1;
    while (end < word.size() && is_digit(word[end])) ++end;
    auto const a = number(word.substr(0, first)), c = number(word.substr(second + 1, end - second - 1));
    std::string_view const middle = word.substr(first + 1, second - first - 1);
    if (!a || !c) return false;
    if (first == 4) {
        auto const b = number(middle);
        if (!b) return false;
        out.year = *a;
        out.month = *b;
        out.day = *c;
    } else {
        std::string const name = to_lower(middle.substr(0, 3));
        for (std::size_t i = 0; i < months.size(); ++i)
            if (name == months[i]) out.month = static_cast<int>(i) + 1;
        if (out.month < 0) return false;
        out.day = *a;
        out.year = full_year(*c, end - second - 1);
    }
    if (end < word.size() && (word[end] == 'T' || word[end] == 't')) return read_time(word.substr(end + 1), out);
    return end == word.size();
}

bool read_name(std::string_view word, Fields& out) {
    std::string name = to_lower(word);
    while (name.ends_with('.')) name.pop_back();
    if (out.month < 0 && name.size() >= 3) {
        for (std::size_t i = 0; i < months.size(); ++i) {
            if (!name.starts_with(months[i])) continue;
            out.month = static_cast<int>(i) + 1;
            return true;
        }
    }
    if (out.has_time && name == "pm" && out.hour < 12) out.hour += 12;
    if (out.has_time && name == "am" && out.hour == 12) out.hour = 0;
    if (out.has_time)
        for (Zone const& zone : zones)
            if (name == zone.name) out.zone_minutes = zone.minutes;
    return true;  // names of days, unknown zones
}

bool read_number(std::string_view word, Fields& out) {
    std::size_t digits = 0;
    while (digits < word.size() && is_digit(word[digits])) ++digits;
    auto const value = number(word.substr(0, digits));
    if (!value) return false;
    if (out.day < 0 && digits <= 2)
        out.day = *value;
    else if (out.year < 0)
        out.year = full_year(*value, digits);
    return true;
}

// Howard Hinnant's days_from_civil: days since 1970-01-01.
std::int64_t days_since_epoch(std::int64_t year, int month, int day) {
    year -= month <= 2;
    std::int64_t const era = (year >= 0 ? year : year - 399) / 400;
    std::int64_t const year_of_era = year - era * 400;
    std::int64_t const day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

int days_in_month(int year, int month) {
    constexpr std::array<int, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool const leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

}  // namespace

std::optional<TimeMs> parse_date(std::string_view text) {
    std::string const clean = without_comments(text.substr(0, date_bytes_max));
    std::string_view rest = clean;
    Fields fields;
    for (std::string_view word = take_word(rest); !word.empty(); word = take_word(rest)) {
        if (fields.has_time && read_offset(word, fields)) continue;
        if (is_letter(word[0])) {
            read_name(word, fields);
        } else if (is_digit(word[0])) {
            bool const known = (fields.day < 0 && read_joined_date(word, fields)) ||
                               (!fields.has_time && read_time(word, fields)) || read_number(word, fields);
            if (!known) return std::nullopt;
        }
    }
    if (fields.year < 1 || fields.year > 9999 || fields.month < 1 || fields.month > 12 || fields.day < 1 ||
        fields.day > days_in_month(fields.year, fields.month))
        return std::nullopt;
    std::int64_t const minutes = (days_since_epoch(fields.year, fields.month, fields.day) * 24 + fields.hour) * 60 +
                                 fields.minute - fields.zone_minutes;
    return (minutes * 60 + fields.second) * 1000 + fields.millisecond;
}

std::string format_date(TimeMs when) {
    constexpr std::int64_t day_seconds = 86'400;
    std::int64_t const seconds = when >= 0 ? when / 1000 : (when - 999) / 1000;
    std::int64_t const days = seconds >= 0 ? seconds / day_seconds : (seconds - day_seconds + 1) / day_seconds;
    std::int64_t const of_day = seconds - days * day_seconds;
    // The inverse of days_since_epoch.
    std::int64_t const shifted = days + 719'468;
    std::int64_t const era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
    std::int64_t const day_of_era = shifted - era * 146'097;
    std::int64_t const year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    std::int64_t const day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    std::int64_t const shifted_month = (5 * day_of_year + 2) / 153;
    std::int64_t const day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    std::int64_t const month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    std::int64_t const year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    std::int64_t const weekday = ((days + 3) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", day_names[static_cast<std::size_t>(weekday)], day,
                       month_names[static_cast<std::size_t>(month - 1)], year, of_day / 3600, of_day / 60 % 60,
                       of_day % 60);
}

}  // namespace mallard::mime
