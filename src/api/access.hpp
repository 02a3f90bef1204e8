#pragma once
// Access tokens (api.md §2): which token a request presents, and whose it is.

#include <expected>
#include <string>

#include "api/endpoint.hpp"

namespace mallard::api {

// The first of: query accessToken, X-Access-Token, Authorization. Removed from `query`.
std::string presented_token(http::Request const& request, Json& query);

// The error is the sentence of a 403 InvalidToken.
std::expected<Principal, std::string> principal_of(std::string const& token, Services& services,
                                                   ApiConfig const& config);

}  // namespace mallard::api
