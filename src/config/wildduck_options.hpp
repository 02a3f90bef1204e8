#pragma once
// Options of WildDuck's (protocols.md §6) that have no effect here. Its files are read as they are; what such an option
// would have done is said, so that nobody relies on it.

#include <string_view>

namespace mallard::config {

struct WildduckOption {
    std::string_view name;     // "imap.aps": with all that is in it
    std::string_view instead;  // why, or what to do instead
};

// The row of the option, or of a section that it is in; null: WildDuck has no such option either.
WildduckOption const* find_wildduck_option(std::string_view key);

}  // namespace mallard::config
