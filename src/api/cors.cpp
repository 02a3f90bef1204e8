#include "api/cors.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::api {
namespace {

// "*" anywhere in the pattern stands for any text.
bool origin_matches(std::string_view pattern, std::string_view origin) {
    auto const star = pattern.find('*');
    if (star == pattern.npos) return pattern == origin;
    auto const before = pattern.substr(0, star), after = pattern.substr(star + 1);
    return origin.size() >= before.size() + after.size() && origin.starts_with(before) && origin.ends_with(after);
}

bool is_allowed(std::string_view origin, std::vector<std::string> const& origins) {
    return !origin.empty() && std::ranges::any_of(origins, [&](auto const& p) { return origin_matches(p, origin); });
}

}  // namespace

std::optional<http::Response> preflight(http::Request const& request, std::vector<std::string> const& origins) {
    if (request.method != "OPTIONS") return std::nullopt;
    auto const origin = request.headers.get("Origin");
    auto const method = request.headers.get("Access-Control-Request-Method");
    if (!is_allowed(origin, origins) || method.empty()) return std::nullopt;
    http::Response response;
    response.status = 204;
    response.headers.add("access-control-allow-origin", std::string(origin));
    response.headers.add("access-control-allow-credentials", "true");
    response.headers.add("access-control-allow-methods", std::string(method) + ",OPTIONS");
    response.headers.add("access-control-allow-headers",
                         "X-Access-Token,Authorization,accept,accept-version,content-type,request-id,origin,"
                         "x-api-version,x-request-id,x-requested-with");
    return response;
}

void add_cors_headers(http::Request const& request, std::vector<std::string> const& origins, http::Response& response) {
    response.headers.set("vary", "origin,access-control-request-method,access-control-request-headers");
    auto const origin = request.headers.get("Origin");
    if (!is_allowed(origin, origins) || response.headers.has("access-control-allow-origin")) return;
    response.headers.add("access-control-allow-origin", std::string(origin));
    response.headers.add("access-control-expose-headers",
                         "api-version, content-length, content-md5, content-type, date, request-id, response-time");
}

}  // namespace mallard::api
