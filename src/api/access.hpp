#pragma once
// Access tokens (api.md §2): which token a request presents, and whose it is.

#include <string>

#include "api/endpoint.hpp"
#include "base/error.hpp"

namespace mallard::api {

// The first of: query accessToken, X-Access-Token, Authorization. Removed from `query`.
std::string presented_token(http::Request const& request, Json& query);

// auth_failed: the token is missing or not good; any other error: it could not be checked.
Result<Principal> principal_of(std::string const& token, Services& services, ApiConfig const& config);

}  // namespace mallard::api
