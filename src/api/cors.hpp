#pragma once
// Cross-origin requests (api.md §1).

#include <optional>
#include <string>
#include <vector>

#include "http/http.hpp"

namespace mallard::api {

// The answer to a preflight; none: this is no preflight.
std::optional<http::Response> preflight(http::Request const& request, std::vector<std::string> const& origins);
void add_cors_headers(http::Request const& request, std::vector<std::string> const& origins, http::Response& response);

}  // namespace mallard::api
