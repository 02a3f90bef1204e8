#pragma once
// Every option of mallard.toml, once. Parsing, `config check`, `config print`, environment names and
// docs/configuration.md all come from this table, so none of them can drift.
// WildDuck's names (protocols.md §6) are kept where the thing is the same.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mallard::config {

enum class Type { boolean, integer, text, text_list };

struct Option {
    std::string_view key;  // "imap.port"; no dot: top of the file
    Type type = Type::text;
    std::string_view fallback;      // its default as it is given to --set
    std::int64_t min = 0, max = 0;  // integers
    std::string_view choices = {};  // of a text: "text|json", empty: any; of an integer: words that may stand for it
    bool live = false;              // SIGHUP applies it; else a restart does
    bool secret = false;            // never printed
    std::string_view doc = {};
};

struct Section {
    std::string_view name;  // "imap"; empty: top of the file
    std::string_view doc;
};

std::span<Option const> options();
std::span<Section const> sections();  // in the order of the documentation
Option const* find_option(std::string_view key);
std::string environment_name(std::string_view key);  // "imap.maxMB" -> "MALLARD_IMAP_MAXMB"
// What `value` should look like: "true or false", "a whole number from 0 to 65535", ...
std::string expected(Option const& option);
// The known name nearest to a mistyped one; empty when none is near.
std::string nearest_key(std::string_view key);

}  // namespace mallard::config
