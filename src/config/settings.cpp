#include "config/settings.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <stdexcept>

#include "base/encoding.hpp"
#include "config/processes.hpp"

namespace mallard::config {

namespace {

std::optional<bool> parse_boolean(std::string_view text) {
    for (std::string_view yes : {"true", "yes", "on", "1"})
        if (iequals(text, yes)) return true;
    for (std::string_view no : {"false", "no", "off", "0"})
        if (iequals(text, no)) return false;
    return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::vector<std::string> parse_list(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
        auto const comma = std::min(text.find(','), text.size());
        out.emplace_back(trim(text.substr(0, comma)));
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return out;
}

bool is_choice(std::string_view choices, std::string_view value) {
    while (!choices.empty()) {
        auto const bar = std::min(choices.find('|'), choices.size());
        if (choices.substr(0, bar) == value) return true;
        choices.remove_prefix(std::min(bar + 1, choices.size()));
    }
    return false;
}

std::optional<Value> parse_value(Option const& option, std::string_view text) {
    switch (option.type) {
        case Type::boolean:
            if (auto const value = parse_boolean(trim(text))) return Value(*value);
            return std::nullopt;
        case Type::integer:
            if (auto const value = parse_integer(trim(text))) return Value(*value);
            if (is_choice(option.choices, trim(text))) return Value(std::string(trim(text)));
            return std::nullopt;
        case Type::text: return Value(std::string(text));
        case Type::text_list: return Value(parse_list(text));
    }
    return std::nullopt;
}

bool is_allowed(Option const& option, Value const& value) {
    if (auto const* number = std::get_if<std::int64_t>(&value)) return *number >= option.min && *number <= option.max;
    if (auto const* text = std::get_if<std::string>(&value))
        return option.choices.empty() || is_choice(option.choices, *text);
    return true;
}

Mistake unknown(std::string where, std::string_view key) {
    std::string what = fmt::format("there is no option \"{}\"", key);
    if (std::string const near = nearest_key(key); !near.empty()) what += fmt::format("; did you mean \"{}\"?", near);
    return {std::move(where), std::move(what)};
}

}  // namespace

Settings::Settings() {
    for (Option const& option : options()) {
        auto value = parse_value(option, option.fallback);
        if (!value || !is_allowed(option, *value))
            throw std::logic_error("bad default of option " + std::string(option.key));
        entries_.try_emplace(std::string(option.key), Entry{&option, std::move(*value), "default"});
    }
}

Settings::Entry const& Settings::entry(std::string_view key) const {
    auto const it = entries_.find(key);
    if (it == entries_.end()) throw std::logic_error("no such option: " + std::string(key));
    return it->second;
}

bool Settings::flag(std::string_view key) const { return std::get<bool>(entry(key).value); }
std::int64_t Settings::integer(std::string_view key) const { return std::get<std::int64_t>(entry(key).value); }
std::string const& Settings::text(std::string_view key) const { return std::get<std::string>(entry(key).value); }
std::vector<std::string> const& Settings::list(std::string_view key) const {
    return std::get<std::vector<std::string>>(entry(key).value);
}
Value const& Settings::value(std::string_view key) const { return entry(key).value; }
std::string const& Settings::origin(std::string_view key) const { return entry(key).origin; }

Mistakes Settings::assign(Option const& option, Value value, std::string const& where) {
    if (!is_allowed(option, value))
        return {{where, fmt::format("{} must be {}, not {}", option.key, expected(option),
                                    option.secret ? "this" : to_toml(value))}};
    auto& entry = entries_.find(option.key)->second;
    entry.value = std::move(value);
    entry.origin = where;
    return {};
}

Mistakes Settings::assign_text(Option const& option, std::string_view text, std::string const& where) {
    auto value = parse_value(option, text);
    if (!value) return {{where, fmt::format("{} must be {}, not \"{}\"", option.key, expected(option), text)}};
    return assign(option, std::move(*value), where);
}

Mistakes Settings::set(std::string_view assignment, std::string const& where) {
    auto const equals = assignment.find('=');
    if (equals == std::string_view::npos) return {{where, fmt::format("\"{}\" is no section.key=value", assignment)}};
    std::string_view const key = trim(assignment.substr(0, equals));
    Option const* const option = find_option(key);
    if (option == nullptr) return {unknown(where, key)};
    return assign_text(*option, assignment.substr(equals + 1), where);
}

Mistakes Settings::read_environment(std::vector<std::pair<std::string, std::string>> const& variables) {
    Mistakes mistakes;
    for (auto const& [name, value] : variables) {
        if (!name.starts_with("MALLARD_") || name.starts_with("MALLARD_TEST_")) continue;
        auto const option = std::find_if(options().begin(), options().end(),
                                         [&](Option const& o) { return environment_name(o.key) == name; });
        Mistakes found;
        if (option != options().end()) {
            found = assign_text(*option, value, name);
        } else {
            std::string key = to_lower(std::string_view(name).substr(8));
            std::replace(key.begin(), key.end(), '_', '.');
            std::string const near = nearest_key(key);
            found = {{name, near.empty() ? "names no option"
                                         : fmt::format("names no option; did you mean {}?", environment_name(near))}};
        }
        mistakes.insert(mistakes.end(), found.begin(), found.end());
    }
    return mistakes;
}

Mistakes Settings::notices() const {
    Mistakes all = notices_;
    for (std::string_view const key : {"dbs.mongo", "dbs.redis"})
        if (text("store") == "embedded" && origin(key) != "default")
            all.push_back({origin(key), fmt::format("{} has no effect: store is \"embedded\", not \"mongodb\"", key)});
    return all;
}

Mistakes Settings::contradictions() const {
    Mistakes mistakes;
    if (text("tls.cert").empty() != text("tls.key").empty()) {
        std::string_view const given = text("tls.cert").empty() ? "tls.key" : "tls.cert";
        std::string_view const other = text("tls.cert").empty() ? "tls.cert" : "tls.key";
        mistakes.push_back({origin(given), fmt::format("{} is set but {} is not: give both or none", given, other)});
    }
    std::map<std::pair<std::string, std::int64_t>, std::string_view> taken;
    auto const take = [&](std::string_view service, std::string_view host_key, std::string_view port_key) {
        std::int64_t const port = integer(port_key);
        if (!flag(service) || port <= 0) return;
        auto const [it, fresh] = taken.try_emplace({text(host_key), port}, port_key);
        if (!fresh)
            mistakes.push_back(
                {origin(port_key), fmt::format("{} and {} are both {}: each service needs a port of its own",
                                               it->second, port_key, port)});
    };
    take("imap.enabled", "imap.host", "imap.port");
    take("imap.enabled", "imap.host", "imap.starttlsPort");
    take("pop3.enabled", "pop3.host", "pop3.port");
    take("pop3.enabled", "pop3.host", "pop3.starttlsPort");
    take("lmtp.enabled", "lmtp.host", "lmtp.port");
    take("api.enabled", "api.host", "api.port");
    auto const found = process_mistakes(*this);
    mistakes.insert(mistakes.end(), found.begin(), found.end());
    return mistakes;
}

std::vector<std::pair<std::string, std::string>> environment() {
    std::vector<std::pair<std::string, std::string>> out;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        std::string_view const text = *entry;
        auto const equals = text.find('=');
        if (equals != std::string_view::npos) out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return out;
}

std::vector<std::string> need_restart(Settings const& before, Settings const& after) {
    std::vector<std::string> out;
    for (Option const& option : options())
        if (!option.live && before.value(option.key) != after.value(option.key)) out.emplace_back(option.key);
    return out;
}

}  // namespace mallard::config
