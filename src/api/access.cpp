#include "api/access.hpp"

#include "api/roles.hpp"
#include "base/encoding.hpp"

namespace mallard::api {

std::string presented_token(http::Request const& request, Json& query) {
    std::string token;
    if (auto const found = query.find("accessToken"); found != query.end()) {
        if (found->is_string()) token = found->get<std::string>();
        query.erase(found);
    }
    if (token.empty()) token = std::string(trim(request.headers.get("X-Access-Token")));
    if (token.empty()) {
        auto value = trim(request.headers.get("Authorization"));
        constexpr std::string_view bearer = "bearer ";
        if (iequals(value.substr(0, bearer.size()), bearer)) value = trim(value.substr(bearer.size()));
        token = std::string(value);
    }
    return token;
}

Result<Principal> principal_of(std::string const& token, Services& services, ApiConfig const& config) {
    bool const fixed = !config.access_token.empty();
    if (fixed && equal_constant_time(token, config.access_token)) return Principal{"root", "root", token, false};
    if (config.access_control || !token.empty()) {
        if (token.empty())
            return fail(ErrorKind::auth_failed, "Access token is required. Send it in the X-Access-Token header");
        MALLARD_TRY_ASSIGN(auto const verified, services.accounts.verify_token(token));
        if (!verified || !is_role(verified->role))
            return fail(ErrorKind::auth_failed, "Invalid access token. Ask for a new one by POST /authenticate");
        return Principal{verified->user, verified->role, token, verified->ttl > 0};
    }
    if (fixed) return fail(ErrorKind::auth_failed, "Invalid access token");
    return Principal{"root", "root", "", false};
}

}  // namespace mallard::api
