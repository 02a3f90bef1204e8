#pragma once
// What a handler of an operation gets and gives. Seen inside this module only.

#include <expected>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/api_server.hpp"
#include "api/failure.hpp"
#include "http/body.hpp"
#include "http/operation.hpp"

namespace mallard::api {

using http::Json;
using http::OrderedJson;

struct Principal {
    std::string user;   // 24 hex, or a name; "root" without a token
    std::string role;   // of the role table
    std::string token;  // as presented; empty: none
    bool ends = false;  // the token has a time to live: logging out deletes it
};

struct Call {
    Services& services;
    ApiConfig const& config;
    http::Operation const& operation;
    http::Request& request;
    Principal who;
    http::BodyKind body = http::BodyKind::none;
    Json params = Json::object();  // validated and converted
    bool own_only = false;         // the role sees nothing but its own user's things

    bool has(std::string_view name) const { return params.contains(name); }
    std::string text(std::string_view name) const;  // empty: not given
    std::optional<std::string> optional_text(std::string_view name) const;
    bool flag(std::string_view name, bool fallback = false) const;
    std::int64_t integer(std::string_view name, std::int64_t fallback = 0) const;
    std::vector<std::string> texts(std::string_view name) const;
    UserId user() const;  // of the path parameter `user`; precondition: validated
    MailboxId mailbox() const;
};

using Success = std::variant<OrderedJson, http::Response>;
using Answer = std::expected<Success, Failure>;

struct Endpoint {
    http::Operation operation;
    std::function<Answer(Call&)> handle;
};

using Endpoints = std::vector<Endpoint>;

// One function per resource, in its file.
Endpoints user_endpoints();
Endpoints authentication_endpoints();
Endpoints authlog_endpoints();
Endpoints address_endpoints();
Endpoints forwarded_address_endpoints();
Endpoints domain_endpoints();
Endpoints mailbox_endpoints();
Endpoints message_endpoints();
Endpoints upload_endpoints();
Endpoints service_endpoints();  // health, metrics, openapi.json

// All of them; the map of this module.
Endpoints const& all_endpoints();

// Fields of nearly every operation, for the log only.
http::Field session_field();
http::Field ip_field();
http::Field user_field();
http::Field mailbox_field();
// A failure if there is no user of the path parameter.
std::optional<Failure> check_user(Call& call);
// {success: true, ...}
OrderedJson success();
http::Schema success_with(std::vector<http::Field> fields);

}  // namespace mallard::api
