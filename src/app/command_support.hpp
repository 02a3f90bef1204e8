#pragma once
// What every command does: read the settings, keep the log quiet, reach the store, tell the error.

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/control_client.hpp"
#include "base/log.hpp"

namespace mallard::app {

inline int report(Error const& error) {
    std::string_view rest = error.message;
    while (!rest.empty()) {  // a configuration may have several mistakes
        auto const end = std::min(rest.find('\n'), rest.size());
        complain(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!error.context.empty()) complain(fmt::format("({})", error.context));
    return 1;
}

inline Result<std::unique_ptr<Administration>> open_administration(CommonOptions const& common, std::string_view role) {
    MALLARD_TRY_ASSIGN(auto const settings, load_settings(common));
    LogConfig quiet;
    quiet.level = LogLevel::warning;
    MALLARD_TRY(log_start(quiet));
    return Administration::open(settings, role);
}

}  // namespace mallard::app
