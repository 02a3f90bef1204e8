#include <fmt/format.h>

#include <cstdio>

#include "app/commands.hpp"
#include "app/console.hpp"

namespace mallard::app {

Result<config::Settings> load_settings(CommonOptions const& options) {
    config::Settings settings;
    config::Mistakes mistakes;
    auto const collect = [&](config::Mistakes found) { mistakes.insert(mistakes.end(), found.begin(), found.end()); };
    if (!options.config_file.empty()) collect(settings.read_file(options.config_file));
    collect(settings.read_environment(config::environment()));
    for (std::string const& assignment : options.assignments) collect(settings.set(assignment, "--set"));
    if (!options.data.empty()) collect(settings.set("dataDir=" + options.data, "--data"));
    if (mistakes.empty()) collect(settings.contradictions());
    if (mistakes.empty()) return settings;
    std::string message;
    for (config::Mistake const& mistake : mistakes) message += (message.empty() ? "" : "\n") + mistake.text();
    return fail(ErrorKind::invalid, message);
}

int command_config_check(CommonOptions const& options) {
    auto const settings = load_settings(options);
    if (!settings) {
        fmt::print(stderr, "{}\n", settings.error().message);
        return 1;
    }
    for (auto const& notice : settings->notices()) fmt::print("{}\n", notice.text());
    fmt::print("{} is in order\n", options.config_file.empty() ? "the configuration" : options.config_file);
    return 0;
}

int command_config_print(CommonOptions const& options) {
    auto const settings = load_settings(options);
    if (!settings) {
        fmt::print(stderr, "{}\n", settings.error().message);
        return 1;
    }
    fmt::print("{}", config::print(*settings));
    return 0;
}

int command_config_docs() {
    fmt::print("{}", config::documentation());
    return 0;
}

}  // namespace mallard::app
