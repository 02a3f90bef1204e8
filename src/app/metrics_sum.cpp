#include "app/metrics_sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace mallard::app {

namespace {

enum class Rule { sum, first, least };

struct Exception {
    std::string_view name;
    Rule rule;
};
constexpr Exception exceptions[] = {
    {"wildduck_info", Rule::first},
    {"wildduck_service_up", Rule::least},
    {"wildduck_tasks", Rule::first},  // counted in the database
    {"wildduck_bullmq_jobs", Rule::first},
};

Rule rule_of(std::string_view name) {
    for (Exception const& exception : exceptions)
        if (exception.name == name) return exception.rule;
    return Rule::sum;
}

std::string_view next_line(std::string_view& text) {
    auto const end = std::min(text.find('\n'), text.size());
    std::string_view const line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

std::optional<double> parse_number(std::string_view text) {
    if (text == "+Inf") return HUGE_VAL;
    if (text == "-Inf") return -HUGE_VAL;
    double value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string print_number(double value) {
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return fmt::format("{}", value);
}

double combine(Rule rule, double before, double now) {
    switch (rule) {
        case Rule::first: return before;
        case Rule::least: return std::min(before, now);
        case Rule::sum: break;
    }
    return before + now;
}

}  // namespace

void MetricsSum::add(std::string_view text) { add(text, false); }
void MetricsSum::add_counters(std::string_view text) { add(text, true); }

// Lines of a family follow its "# TYPE name type"; what follows none is not ours.
void MetricsSum::add(std::string_view text, bool counters_only) {
    constexpr std::string_view type_mark = "# TYPE ";
    Family* family = nullptr;
    std::string_view name;
    while (!text.empty()) {
        std::string_view line = next_line(text);
        if (line.starts_with(type_mark)) {
            line.remove_prefix(type_mark.size());
            auto const blank = std::min(line.find(' '), line.size());
            name = line.substr(0, blank);
            std::string_view const type = line.substr(std::min(blank + 1, line.size()));
            bool const counts = type == "counter" || type == "histogram";
            family = counts || !counters_only ? &families_[std::string(name)] : nullptr;
            if (family != nullptr) family->type = type;
            continue;
        }
        auto const blank = line.rfind(' ');  // a label's value may hold blanks
        if (family == nullptr || blank == std::string_view::npos || !line.starts_with(name)) continue;
        auto const value = parse_number(line.substr(blank + 1));
        if (!value) continue;
        std::string key(line.substr(name.size(), blank - name.size()));
        if (auto const it = family->series.find(key); it != family->series.end()) {
            Series& series = family->list[it->second];
            series.value = combine(rule_of(name), series.value, *value);
        } else {
            family->series.emplace(key, family->list.size());
            family->list.push_back({std::move(key), *value});
        }
    }
}

std::string MetricsSum::render() const {
    std::string out;
    for (auto const& [name, family] : families_) {
        out += fmt::format("# TYPE {} {}\n", name, family.type);
        for (Series const& series : family.list)
            out += fmt::format("{}{} {}\n", name, series.key, print_number(series.value));
    }
    return out;
}

}  // namespace mallard::app
