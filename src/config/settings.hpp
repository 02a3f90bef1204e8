#pragma once
// Settings: a value for every option, and where it came from. Later sources win: defaults, file, environment, --set.
//
// - Reading never stops at the first mistake: all of them are reported, each with its place and what to do.
// - An unknown name is a mistake. One of WildDuck's that has no effect is a notice.
// Not thread-safe while being read; immutable afterwards.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "config/options.hpp"

namespace mallard::config {

struct Mistake {
    std::string where;  // "mallard.toml:3", "MALLARD_IMAP_PORT", "--set imap.port"
    std::string what;
    std::string text() const { return where + ": " + what; }
};
using Mistakes = std::vector<Mistake>;

using Value = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;

class Settings {
public:
    Settings();  // the defaults

    // The value of a known key of that type; another key is a bug of the caller (std::logic_error).
    bool flag(std::string_view key) const;
    std::int64_t integer(std::string_view key) const;
    std::string const& text(std::string_view key) const;
    std::vector<std::string> const& list(std::string_view key) const;
    Value const& value(std::string_view key) const;
    std::string const& origin(std::string_view key) const;  // "default", "mallard.toml:3", ...

    // TOML 1.0. A syntax error ends reading; everything else is collected.
    Mistakes read_toml(std::string_view toml, std::string const& file_name) { return read_toml(toml, file_name, ""); }
    // The same of a file, and of those that it includes (include.hpp).
    Mistakes read_file(std::string const& path) { return read_file(path, "", {}); }
    // Names that start with MALLARD_, except MALLARD_TEST_…, which are the tests' own.
    Mistakes read_environment(std::vector<std::pair<std::string, std::string>> const& variables);
    Mistakes set(std::string_view assignment, std::string const& where);  // key=value

    // What contradicts itself though each value is right.
    Mistakes contradictions() const;
    // What was set and has no effect, in the order of reading.
    Mistakes notices() const;

private:
    struct Entry {
        Option const* option;
        Value value;
        std::string origin;
    };
    Entry const& entry(std::string_view key) const;
    Mistakes read_toml(std::string_view toml, std::string const& file_name, std::string const& section);
    // `around`: the files that include this one, the outermost first.
    Mistakes read_file(std::string const& path, std::string const& section, std::vector<std::string> around);
    Mistakes read_included(std::string_view toml, std::string const& path, std::string const& section,
                           std::vector<std::string> const& around);
    Mistakes assign_text(Option const& option, std::string_view text, std::string const& where);
    Mistakes assign(Option const& option, Value value, std::string const& where);

    std::map<std::string, Entry, std::less<>> entries_;
    Mistakes notices_;
};

std::vector<std::pair<std::string, std::string>> environment();  // of this process

// The settings as a TOML file; each value that is not the default says where it came from. Secrets are left out.
std::string print(Settings const& settings);
std::string to_toml(Value const& value);
// Reads back (read_toml) to the same values, secrets included, origins aside: for a process of our own.
std::string serialize(Settings const& settings);
// docs/configuration.md.
std::string documentation();
// Keys whose values differ, and which SIGHUP cannot apply.
std::vector<std::string> need_restart(Settings const& before, Settings const& after);

}  // namespace mallard::config
