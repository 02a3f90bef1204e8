#pragma once
// JSON's names without its 25,000 lines: files that handle values include <nlohmann/json.hpp> themselves.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::http {

using Json = nlohmann::json;                 // what comes in: keys sorted, so that a million keys cost n log n
using OrderedJson = nlohmann::ordered_json;  // what goes out: keys in the order they were written

inline constexpr std::size_t json_depth_max = 64;

// invalid: not JSON, or nested deeper than json_depth_max.
Result<Json> parse_json(std::string_view text);
// Two blanks of indentation and one final newline (api.md §1); what is not UTF-8 becomes U+FFFD.
std::string print_json(OrderedJson const& value);

}  // namespace mallard::http
