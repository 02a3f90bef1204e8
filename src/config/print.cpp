#include <fmt/format.h>

#include "config/settings.hpp"

namespace mallard::config {

namespace {

std::string quoted(std::string_view text) {  // a TOML basic string
    std::string out = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
            out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        else
            out += c;
    }
    return out + "\"";
}

std::string_view section_of(std::string_view key) {
    auto const dot = key.find('.');
    return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view within_section(std::string_view key) {
    auto const dot = key.find('.');
    return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

std::string fallback_of(Option const& option) {
    if (option.type == Type::text) return option.fallback.empty() ? "empty" : "`" + quoted(option.fallback) + "`";
    if (option.type == Type::text_list && option.fallback.empty()) return "`[]`";
    return fmt::format("`{}`", option.fallback);
}

std::string type_of(Option const& option) {
    switch (option.type) {
        case Type::boolean: return "boolean";
        case Type::integer: return expected(option).substr(sizeof("a whole ") - 1);
        case Type::text_list: return "list";
        case Type::text: return option.choices.empty() ? "text" : expected(option);
    }
    return "text";
}

}  // namespace

std::string to_toml(Value const& value) {
    if (auto const* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (auto const* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    if (auto const* text = std::get_if<std::string>(&value)) return quoted(*text);
    std::string out = "[";
    for (std::string const& text : std::get<std::vector<std::string>>(value))
        out += (out.size() > 1 ? ", " : "") + quoted(text);
    return out + "]";
}

std::string print(Settings const& settings) {
    std::string out;
    for (Section const& section : sections()) {
        if (!section.name.empty()) out += fmt::format("\n[{}]\n", section.name);
        for (Option const& option : options()) {
            if (section_of(option.key) != section.name) continue;
            std::string const& origin = settings.origin(option.key);
            if (option.secret) {
                out += fmt::format("# {} = (secret, {})\n", within_section(option.key),
                                   origin == "default" ? "not set" : "set by " + origin);
                continue;
            }
            out += fmt::format("{} = {}", within_section(option.key), to_toml(settings.value(option.key)));
            if (origin != "default") out += fmt::format("  # {}", origin);
            out += '\n';
        }
    }
    return out;
}

std::string serialize(Settings const& settings) {
    std::string out;
    for (Option const& option : options())
        out += fmt::format("{} = {}\n", option.key, to_toml(settings.value(option.key)));
    return out;
}

std::string documentation() {
    std::string out =
        "# Configuration\n\n"
        "Every option has a default: `mallard serve` works without a file. A file is given with `--config FILE` "
        "(TOML);\n"
        "the environment (`MALLARD_SECTION_KEY`, e.g. `MALLARD_IMAP_PORT=10143`) overrides it, and\n"
        "`--set section.key=value` overrides both. `mallard config check` names the file, line and reason of each "
        "mistake;\n"
        "unknown names are mistakes. `mallard config print` shows what is in force, and why.\n\n"
        "SIGHUP reads the file again. Options marked *live* take effect at once, for new connections; a change of any\n"
        "other is logged and waits for a restart.\n\n"
        "This page is made from the table in `src/config/options.cpp` (`mallard config docs`); a test compares them.\n";
    for (Section const& section : sections()) {
        out += fmt::format("\n## {}\n\n{}\n\n",
                           section.name.empty() ? "Top of the file" : fmt::format("[{}]", section.name), section.doc);
        out += "| option | default | values | meaning |\n| --- | --- | --- | --- |\n";
        for (Option const& option : options())
            if (section_of(option.key) == section.name)
                out += fmt::format("| `{}` | {} | {} | {}{} |\n", option.key, fallback_of(option), type_of(option),
                                   option.doc, option.live ? " *live*" : "");
    }
    return out;
}

}  // namespace mallard::config
