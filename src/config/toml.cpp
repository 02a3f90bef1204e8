// The only place that sees toml++.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>

// toml++ 3.3 asserts that a section's name begins well ("[;]"), and with NDEBUG tells the compiler to assume it, though
// the code behind reports the mistake. So its assertions are off, in both builds.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <fstream>
#include <iterator>

#include "config/settings.hpp"
#include "config/toml_text.hpp"

namespace mallard::config {

namespace {

constexpr std::size_t file_bytes_max = 1024 * 1024;

std::string place(std::string const& file, toml::node const& node) {
    return fmt::format("{}:{}", file, node.source().begin.line);
}

bool is_section(std::string_view path) {
    for (Option const& option : options())
        if (option.key.size() > path.size() && option.key.starts_with(path) && option.key[path.size()] == '.')
            return true;
    return false;
}

std::string_view kind_of(toml::node const& node) {
    switch (node.type()) {
        case toml::node_type::table: return "a section";
        case toml::node_type::array: return "a list";
        case toml::node_type::string: return "a text";
        case toml::node_type::integer: return "a whole number";
        case toml::node_type::floating_point: return "a number with a fraction";
        case toml::node_type::boolean: return "true or false";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time: return "a date";
        case toml::node_type::none: break;
    }
    return "nothing";
}

std::optional<Value> value_of(Type type, toml::node const& node) {
    switch (type) {
        case Type::boolean:
            if (auto const* v = node.as_boolean()) return Value(v->get());
            return std::nullopt;
        case Type::integer:
            if (auto const* v = node.as_integer()) return Value(v->get());
            return std::nullopt;
        case Type::text:
            if (auto const* v = node.as_string()) return Value(v->get());
            return std::nullopt;
        case Type::text_list: break;
    }
    auto const* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<std::string> texts;
    for (toml::node const& element : *array) {
        auto const* text = element.as_string();
        if (text == nullptr) return std::nullopt;
        texts.push_back(text->get());
    }
    return Value(std::move(texts));
}

// Calls leaf(path, node) for every value, and for every section that no option lives in.
template <class Leaf>
void walk(toml::table const& table, std::string const& prefix, Leaf const& leaf) {
    for (auto const& [key, node] : table) {
        std::string const path = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
        auto const* section = node.as_table();
        if (section != nullptr && is_section(path))
            walk(*section, path, leaf);
        else
            leaf(path, node);
    }
}

}  // namespace

Mistakes Settings::read_toml(std::string_view toml_text, std::string const& file_name) {
    if (toml_text.size() > file_bytes_max) return {{file_name, "is larger than 1 MiB: this is no configuration"}};
    // toml++ 3.3 runs into undefined behaviour on some of these ("5U" and U+036A).
    if (auto const fault = find_fault(toml_text))
        return {{fmt::format("{}:{}", file_name, fault->line), std::string(fault->what)}};
    auto const parsed = toml::parse(toml_text);
    if (!parsed) {
        auto const& error = parsed.error();
        return {{fmt::format("{}:{}", file_name, error.source().begin.line), std::string(error.description())}};
    }
    Mistakes mistakes;
    auto const report = [&](Mistakes found) { mistakes.insert(mistakes.end(), found.begin(), found.end()); };
    walk(parsed.table(), "", [&](std::string const& path, toml::node const& node) {
        std::string const where = place(file_name, node);
        Option const* const option = find_option(path);
        if (option == nullptr) {
            if (is_section(path)) return report({{where, fmt::format("\"{}\" is a section, not a value", path)}});
            std::string const near = nearest_key(path);
            return report({{where, fmt::format("there is no option \"{}\"{}", path,
                                               near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near))}});
        }
        auto value = value_of(option->type, node);
        if (!value)
            return report({{where, fmt::format("{} must be {}, not {}", path, expected(*option), kind_of(node))}});
        report(assign(*option, std::move(*value), where));
    });
    return mistakes;
}

Mistakes Settings::read_file(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return {{path, "cannot be read: check the name given to --config, and its permissions"}};
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    if (file.bad()) return {{path, "cannot be read: is it a file?"}};
    return read_toml(text, path);
}

}  // namespace mallard::config
