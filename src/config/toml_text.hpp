#pragma once
// What must hold of a TOML text before a parser may see it.

#include <cstddef>
#include <optional>
#include <string_view>

namespace mallard::config {

struct TomlTextFault {
    std::size_t line;  // from 1
    std::string_view what;
};

// TOML 1.0 is UTF-8, and has other characters than ASCII only in strings and comments. The first place where either
// does not hold. Syntax is not judged: after a syntax error, which ends the parser's reading too, the answer means
// nothing.
std::optional<TomlTextFault> find_fault(std::string_view toml);

}  // namespace mallard::config
