#include "http/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mallard::http {
namespace {

// How deep the brackets nest. Counted before parsing: values are copied and printed by recursion.
std::size_t nesting(std::string_view text) {
    std::size_t depth = 0, deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
    if (nesting(text) > json_depth_max) {
        return fail(ErrorKind::invalid,
                    "Invalid JSON: nested deeper than " + std::to_string(json_depth_max) + " levels");
    }
    Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) return fail(ErrorKind::invalid, "Invalid JSON: the text could not be parsed");
    return value;
}

std::string print_json(OrderedJson const& value) {
    std::string text = value.dump(2, ' ', false, OrderedJson::error_handler_t::replace);
    text += '\n';
    return text;
}

}  // namespace mallard::http
