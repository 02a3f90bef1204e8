#pragma once
// Small conversions between stored values and JSON, shared by the resources.

#include <string>
#include <string_view>
#include <vector>

#include "accounts/user.hpp"
#include "api/endpoint.hpp"
#include "store/bson.hpp"

namespace mallard::api {

OrderedJson parsed_object(std::string const& json_text);  // {} for an empty or damaged text
OrderedJson to_json(bson::Value const& value);
std::vector<accounts::Target> targets_of(std::vector<std::string> const& values);
OrderedJson target_values(std::vector<accounts::Target> const& targets);
// Trimmed, without duplicates in any case, sorted without case (api.md §7).
std::vector<std::string> clean_tags(std::vector<std::string> tags);

// {allowed, used, ttl} of a counter of SharedState.
OrderedJson counter_limit(store::SharedState& state, std::string const& key, std::int64_t allowed);

}  // namespace mallard::api
