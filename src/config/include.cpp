#include "config/include.hpp"

#include <glob.h>

#include <cstdlib>
#include <filesystem>

#include "base/encoding.hpp"

namespace mallard::config {

namespace {

// The name of a section's line "[a.b]"; nullopt: it is none.
std::optional<std::string> section_of(std::string_view line) {
    if (!line.starts_with('[') || line.starts_with("[[")) return std::nullopt;
    auto const end = line.find(']');
    if (end == line.npos) return std::nullopt;
    return std::string(trim(line.substr(1, end - 1)));
}

// The path of `# @include "path"`; nullopt: it is none.
std::optional<std::string> path_of(std::string_view line) {
    if (!line.starts_with('#')) return std::nullopt;
    line = trim(line.substr(1));
    if (!line.starts_with("@include")) return std::nullopt;
    line = trim(line.substr(8));
    auto const end = line.size() < 2 || line[0] != '"' ? line.npos : line.find('"', 1);
    if (end == line.npos) return std::nullopt;
    return std::string(line.substr(1, end - 1));
}

Result<std::string> with_environment(std::string_view path) {
    std::string out;
    while (!path.empty()) {
        auto const open = path.find('{'), close = path.find('}', open);
        if (close == path.npos) break;
        std::string const name(path.substr(open + 1, close - open - 1));
        char const* value = std::getenv(name.c_str());
        if (value == nullptr)
            return fail(ErrorKind::invalid, "the environment has no " + name + ", which an included path names");
        out.append(path, 0, open).append(value);
        path.remove_prefix(close + 1);
    }
    return out.append(path);
}

}  // namespace

std::vector<Include> includes_of(std::string_view toml) {
    std::vector<Include> found;
    std::string section;
    for (std::size_t line = 1; !toml.empty(); ++line) {
        auto const end = std::min(toml.find('\n'), toml.size());
        auto const text = trim(toml.substr(0, end));
        if (auto name = section_of(text)) section = std::move(*name);
        if (auto path = path_of(text)) found.push_back({section, std::move(*path), line});
        toml.remove_prefix(std::min(end + 1, toml.size()));
    }
    return found;
}

Result<std::vector<std::string>> files_of(std::string_view path, std::string const& from) {
    MALLARD_TRY_ASSIGN(auto const named, with_environment(path));
    auto const whole = (std::filesystem::path(from).parent_path() / named).string();
    if (whole.find_first_of("*?") == whole.npos) {
        std::error_code error;
        if (std::filesystem::is_regular_file(whole, error)) return std::vector{whole};
        return fail(ErrorKind::invalid, "the included file " + whole + " cannot be found");
    }
    std::vector<std::string> files;
    glob_t matches{};
    if (::glob(whole.c_str(), 0, nullptr, &matches) == 0)
        files.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    ::globfree(&matches);
    return files;
}

}  // namespace mallard::config
