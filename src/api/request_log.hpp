#pragma once
// The line and the metrics of a request (api.md §8.1). Secrets are masked; values are cut at 128 characters.

#include <string>
#include <string_view>

#include "api/endpoint.hpp"

namespace mallard::api {

struct RequestOutcome {
    std::string_view route;  // "/users/{user}"; empty: no route
    std::string_view method;
    Principal const* who = nullptr;
    std::vector<std::pair<std::string, std::string>> params;  // see shown_params
    unsigned status = 200;
    std::string code, error;  // of a refusal
    std::string cause;        // what the client is not told of it
    std::string result_id;    // `id` of the reply
    std::size_t size = 0;     // of the body; 0: a stream
    std::string_view peer;    // the address the connection came from, or what X-Forwarded-For says
    double seconds = 0;
};

// The parameters as the log shows them: as they came, secrets masked, cut; empty when nobody listens.
std::vector<std::pair<std::string, std::string>> shown_params(Json const& params);
void log_request(RequestOutcome const& outcome);
void count_request(RequestOutcome const& outcome);

}  // namespace mallard::api
