#include "api/api_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "api/access.hpp"
#include "api/cors.hpp"
#include "api/endpoint.hpp"
#include "api/request_log.hpp"
#include "api/roles.hpp"
#include "base/encoding.hpp"
#include "http/openapi.hpp"
#include "http/query.hpp"
#include "http/router.hpp"

namespace mallard::api {

// The table of all operations; the map of this module.
Endpoints const& all_endpoints() {
    static Endpoints const endpoints = [] {
        Endpoints all;
        for (auto const make : {authentication_endpoints, authlog_endpoints, user_endpoints, address_endpoints,
                                forwarded_address_endpoints, domain_endpoints, mailbox_endpoints, message_endpoints,
                                upload_endpoints, service_endpoints}) {
            for (Endpoint& endpoint : make()) all.push_back(std::move(endpoint));
        }
        return all;
    }();
    return endpoints;
}

static std::vector<http::Operation const*> all_operations() {
    std::vector<http::Operation const*> operations;
    for (Endpoint const& endpoint : all_endpoints()) operations.push_back(&endpoint.operation);
    return operations;
}

namespace {

http::Response json_response(unsigned status, OrderedJson const& body) {
    http::Response response;
    response.status = status;
    response.headers.add("Content-Type", "application/json; charset=utf-8");
    response.body = http::print_json(body);
    return response;
}

// api.md §4: all problems together; details hold the first of each path.
// curl -d '{...}' without a header: a form whose one field is the whole text.
bool is_json_sent_as_form(std::vector<http::Problem> const& problems) {
    return std::ranges::any_of(problems, [](auto const& problem) { return problem.path.starts_with('{'); });
}

Failure say_content_type() {
    return invalid_input(
        "The body looks like JSON but was sent as a form: send the header Content-Type: application/json");
}

Failure validation_failure(std::vector<http::Problem> const& problems) {
    Failure failure{400, "InputValidationError", {}};
    OrderedJson details = OrderedJson::object();
    std::size_t constexpr shown_max = 100;
    for (std::size_t i = 0; i < problems.size() && i < shown_max; ++i) {
        if (i > 0) failure.message += ". ";
        failure.message += problems[i].message;
        if (!details.contains(problems[i].path)) details[problems[i].path] = problems[i].message;
    }
    if (problems.size() > shown_max) failure.message += fmt::format(". And {} more", problems.size() - shown_max);
    failure.extra["details"] = std::move(details);
    return failure;
}

// Path beats query, query beats body.
Json merge_params(std::vector<std::pair<std::string, std::string>> const& path, Json query, Json body) {
    body.erase("accessToken");
    body.update(query);
    for (auto const& [name, value] : path) body[name] = value;
    return body;
}

// What an operation ignores, its handler does not even see.
void drop_unknown(http::Operation const& operation, Json& params) {
    auto const fields = operation.fields();
    for (auto it = params.begin(); it != params.end();) {
        bool const known =
            std::ranges::any_of(fields, [&](http::Field const* field) { return field->name == it.key(); });
        it = known ? std::next(it) : params.erase(it);
    }
}

bool is_user_id(std::string_view text) { return text.size() == 24 && ObjectId::from_hex(text).has_value(); }

std::optional<Failure> check_permission(Call& call) {
    auto const& permission = call.operation.permission;
    if (permission.resource.empty()) return std::nullopt;
    Access const access = access_of(call.who.role, permission.resource, permission.action);
    if (access == Access::any) return std::nullopt;
    if (access == Access::own && permission.own) {
        // Asked of the declaration, not of the parameters: a listing also gets those that it does not know.
        auto const& path = call.operation.path_fields;
        if (std::ranges::find(path, "user", &http::Field::name) == path.end()) {
            call.own_only = true;
            return std::nullopt;
        }
        if (is_user_id(call.who.user) && to_lower(call.who.user) == call.text("user")) return std::nullopt;
    }
    return missing_privileges(
        fmt::format("Role {} may not {} {} here", call.who.role, permission.action, permission.resource));
}

class Pipeline {
public:
    Pipeline(Services services, ApiConfig config)
        : services_(services), config_(std::move(config)), router_(all_operations()) {}

    http::Response operator()(http::Request& request) {
        auto const start = std::chrono::steady_clock::now();
        Trace trace;
        trace.outcome.method = request.method;
        auto const forwarded = request.headers.get("X-Forwarded-For");
        std::string const peer(forwarded.empty() ? std::string_view(request.peer_address)
                                                 : trim(forwarded.substr(0, forwarded.find(','))));
        trace.outcome.peer = peer;

        http::Response response = answer(request, trace);
        response.headers.set("Server", "WildDuck API");
        add_cors_headers(request, config_.cors, response);

        trace.outcome.status = response.status;
        trace.outcome.size = response.body.size();
        trace.outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        trace.outcome.who = trace.who ? &*trace.who : nullptr;
        if (!trace.is_quiet) {
            log_request(trace.outcome);
            count_request(trace.outcome);
        }
        return response;
    }

private:
    struct Trace {
        RequestOutcome outcome;
        std::optional<Principal> who;
        bool is_quiet = false;  // /metrics is not counted
    };

    http::Response refuse(Trace& trace, unsigned status, std::string code, std::string message) {
        trace.outcome.code = code;
        trace.outcome.error = message;
        return http::framework_error(status, code, message);
    }

    http::Response refuse(Trace& trace, Failure const& failure) {
        trace.outcome.code = failure.code;
        trace.outcome.error = failure.message;
        trace.outcome.cause = failure.cause;
        return json_response(failure.status, failure.body());
    }

    // A token that could not be checked may be good: its client is told what to do about the cause (503: come back).
    http::Response refuse_token(Trace& trace, Error const& error) {
        if (error.kind == ErrorKind::auth_failed) return refuse(trace, 403, "InvalidToken", error.message);
        return refuse(trace, failure_of(error, Subject::user));
    }

    http::Response answer(http::Request& request, Trace& trace) {
        if (auto allowed = preflight(request, config_.cors)) return std::move(*allowed);
        auto route = router_.find(request.method, request.path);
        if (route.outcome == http::Route::Outcome::no_such_path) {
            std::string_view const hint = request.path.size() > 1 && request.path.ends_with('/')
                                              ? ": paths do not end in /"
                                              : ": see /openapi.json for what does";
            return refuse(trace, 404, "ResourceNotFound", request.path + " does not exist" + std::string(hint));
        }
        if (route.outcome == http::Route::Outcome::method_not_allowed) {
            auto response = refuse(
                trace, 405, "MethodNotAllowed",
                fmt::format("{} is not allowed here, but {}", request.method, fmt::join(route.allowed, " and ")));
            response.headers.set("Allow", fmt::format("{}", fmt::join(route.allowed, ", ")));
            return response;
        }
        Endpoint const& endpoint = all_endpoints()[route.operation];
        trace.outcome.route = endpoint.operation.path;
        trace.is_quiet = endpoint.operation.id == "metrics";
        if (trace.is_quiet && !config_.metrics) {
            return refuse(trace, 404, "ResourceNotFound", request.path + " does not exist");
        }
        Json query = http::parse_query(request.query, true);
        Json fields = Json::object();
        auto body = http::read_body(request, {.inflated_max = config_.inflated_body_max}, fields);
        if (!body) {
            trace.outcome.code = "InvalidContent";
            return std::move(body.error());
        }
        std::string const token = presented_token(request, query);
        if (endpoint.operation.needs_token) {
            auto principal = principal_of(token, services_, config_);
            if (!principal) return refuse_token(trace, principal.error());
            trace.who = std::move(*principal);
        } else {
            trace.who = Principal{"", "", "", false};
        }
        Call call{.services = services_,
                  .config = config_,
                  .operation = endpoint.operation,
                  .request = request,
                  .who = *trace.who,
                  .body = *body,
                  .params = merge_params(route.parameters, std::move(query), std::move(fields))};
        if (auto const user = call.params.find("user");
            user != call.params.end() && *user == "me" && is_user_id(call.who.user)) {
            *user = call.who.user;
        }
        trace.outcome.params = shown_params(call.params);
        return execute(endpoint, call, trace);
    }

    http::Response execute(Endpoint const& endpoint, Call& call, Trace& trace) {
        Answer result = run(endpoint, call);
        if (!result) return refuse(trace, result.error());
        if (auto* response = std::get_if<http::Response>(&*result)) return std::move(*response);
        OrderedJson const& body = std::get<OrderedJson>(*result);
        if (auto const id = body.find("id"); id != body.end()) {
            trace.outcome.result_id = id->is_string() ? id->get<std::string>() : id->dump();
        }
        return json_response(200, body);
    }

    Answer run(Endpoint const& endpoint, Call& call) {
        auto const& operation = endpoint.operation;
        if (operation.validates) {
            auto const problems = http::validate(operation.fields(), call.params, operation.allow_unknown);
            if (!problems.empty() && is_json_sent_as_form(problems)) return std::unexpected(say_content_type());
            if (!problems.empty()) return std::unexpected(validation_failure(problems));
            drop_unknown(operation, call.params);
        }
        if (auto refused = check_permission(call)) return std::unexpected(std::move(*refused));
        filter_input(call.who.role, operation.id, call.params);
        return endpoint.handle(call);
    }

    Services services_;
    ApiConfig config_;
    http::Router router_;
};

}  // namespace

http::Handler make_handler(Services services, ApiConfig config) {
    auto pipeline = std::make_shared<Pipeline>(services, std::move(config));  // shared: std::function copies
    return [pipeline](http::Request& request) { return (*pipeline)(request); };
}

std::string openapi_json() {
    http::ApiInfo const info{"Mallard API", MALLARD_VERSION,
                             "Accounts, mailboxes and messages of a Mallard mail server, in WildDuck's shapes."};
    return http::print_json(http::openapi_document(info, all_operations()));
}

}  // namespace mallard::api
