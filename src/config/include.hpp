#pragma once
// WildDuck's way to split its configuration (protocols.md §6.1): a comment `# @include "path"` stands for the options
// of another file, in the section in which it stands. They win over those beside it. Pure, but for files_of().

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mallard::config {

struct Include {
    std::string section;  // "dbs"; empty: the top
    std::string path;     // as it is written
    std::size_t line = 0;
};
std::vector<Include> includes_of(std::string_view toml);

// The files that an include of the file `from` names: {NAME} is taken from the environment, * and ? match names, in
// their order. invalid: there is no such file, or no such variable.
Result<std::vector<std::string>> files_of(std::string_view path, std::string const& from);

}  // namespace mallard::config
