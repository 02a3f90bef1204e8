#include "config/processes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/encoding.hpp"

namespace mallard::config {

namespace {

constexpr std::size_t processes_max = 256;
constexpr std::string_view cpus = "cpus";
constexpr std::string_view service_list[] = {"imap", "pop3", "lmtp", "api"};

struct Role {
    std::vector<std::string> services;
    std::size_t count = 1;
};

// "imap+pop3=3", "lmtp=cpus", "api"
std::optional<Role> parse_role(std::string_view text, std::size_t processors) {
    Role out;
    if (auto const equals = text.find('='); equals != std::string_view::npos) {
        std::string_view const count = trim(text.substr(equals + 1));
        auto const [end, error] = std::from_chars(count.data(), count.data() + count.size(), out.count);
        if (count == cpus)
            out.count = processors;
        else if (error != std::errc() || end != count.data() + count.size())
            return std::nullopt;
        if (out.count < 1 || out.count > processes_max) return std::nullopt;
        text = text.substr(0, equals);
    }
    auto const known = service_names();
    for (;;) {
        auto const plus = std::min(text.find('+'), text.size());
        std::string const service(trim(text.substr(0, plus)));
        if (std::ranges::find(known, service) == known.end()) return std::nullopt;
        out.services.push_back(service);
        if (plus == text.size()) return out;
        text.remove_prefix(plus + 1);
    }
}

std::string join(std::vector<std::string> const& words, std::string_view between) {
    std::string out;
    for (std::string const& word : words) {
        if (!out.empty()) out += between;
        out += word;
    }
    return out;
}

std::vector<std::string> enabled(std::vector<std::string> services, Settings const& settings) {
    std::erase_if(services, [&](std::string const& service) { return !settings.flag(service + ".enabled"); });
    return services;
}

}  // namespace

std::vector<std::string> service_names() { return {std::begin(service_list), std::end(service_list)}; }

std::vector<Process> processes(Settings const& settings, std::size_t processors) {
    std::vector<Process> out;
    for (std::string const& text : settings.list("roles")) {
        auto const role = parse_role(text, processors);
        if (!role) continue;  // a mistake: told by process_mistakes
        out.insert(out.end(), role->count, {join(role->services, "+"), enabled(role->services, settings)});
    }
    if (!out.empty()) return out;
    auto const* number = std::get_if<std::int64_t>(&settings.value("processes"));
    std::size_t const count = number != nullptr ? static_cast<std::size_t>(*number) : processors;
    out.assign(std::max<std::size_t>(count, 1), {"", enabled(service_names(), settings)});
    return out;
}

Mistakes role_mistakes(Settings const& settings) {
    Mistakes mistakes;
    auto const& roles = settings.list("roles");
    if (roles.empty()) return mistakes;
    std::string const& where = settings.origin("roles");
    auto const mistake = [&](std::string what) { mistakes.push_back({where, std::move(what)}); };
    if (settings.origin("processes") != "default") mistake("processes and roles are both given: roles say how many");
    std::set<std::string> served;
    std::size_t count = 0;
    for (std::string const& text : roles) {
        auto const role = parse_role(text, 1);
        if (!role) {
            mistake(fmt::format("roles: \"{}\" is no \"SERVICE+SERVICE=COUNT\"; services are {}", text,
                                join(service_names(), ", ")));
            continue;
        }
        served.insert(role->services.begin(), role->services.end());
        count += role->count;
        if (enabled(role->services, settings).empty())
            mistake(fmt::format("roles: \"{}\" would run nothing: its services are not enabled", text));
    }
    if (count > processes_max) mistake(fmt::format("roles: more than {} processes", processes_max));
    if (!mistakes.empty()) return mistakes;
    for (std::string const& service : enabled(service_names(), settings))
        if (!served.contains(service))
            mistake(
                fmt::format("roles: {0} is enabled, but no role runs it (add it, or {0}.enabled = false)", service));
    return mistakes;
}

Mistakes process_mistakes(Settings const& settings) {
    auto mistakes = role_mistakes(settings);
    if (!mistakes.empty() || settings.text("store") != "embedded") return mistakes;
    // `cpus` may be one here, and is more on the next machine.
    bool const more =
        std::holds_alternative<std::string>(settings.value("processes")) || processes(settings, 2).size() > 1;
    std::string const key = settings.list("roles").empty() ? "processes" : "roles";
    if (more)
        mistakes.push_back({settings.origin(key), key + ": the embedded store is one process with threads; for more, "
                                                        "set store = \"mongodb\""});
    return mistakes;
}

Settings settings_of(Process const& process, Settings const& settings) {
    Settings out = settings;
    for (std::string const& service : service_names())
        if (std::ranges::find(process.services, service) == process.services.end())
            (void)out.set(service + ".enabled=false", "the role of this process");
    return out;
}

}  // namespace mallard::config
