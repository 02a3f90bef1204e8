// What is about the server itself: health, metrics, the OpenAPI document (api.md §29).

#include "api/endpoint.hpp"
#include "base/metrics.hpp"

namespace mallard::api {
namespace {

using namespace http;

// Writes, reads and deletes a hash, and reads a document that is not there.
Result<void> check_health(Services& services) {
    std::string const key = "health:" + ObjectId::generate().hex();
    MALLARD_TRY(services.state.set_hash(key, {{"check", "1"}}, std::chrono::seconds(10)));
    MALLARD_TRY_ASSIGN(auto const fields, services.state.hash(key));
    MALLARD_TRY(services.state.erase(key));
    if (!fields.contains("check")) return fail(ErrorKind::io, "What was written could not be read back");
    MALLARD_TRY(services.accounts.get(UserId::generate()));
    return {};
}

Answer get_health(Call& call) {
    auto const healthy = check_health(call.services);
    if (healthy) return OrderedJson{{"success", true}, {"version", MALLARD_VERSION}};
    Response response;
    response.status = 500;
    response.headers.add("Content-Type", "application/json; charset=utf-8");
    response.body =
        print_json({{"success", false}, {"version", MALLARD_VERSION}, {"message", healthy.error().message}});
    return response;
}

Answer get_metrics(Call&) {
    Response response;
    response.headers.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics::collect();
    return response;
}

Answer get_openapi(Call&) {
    Response response;
    response.headers.add("Content-Type", "application/json; charset=utf-8");
    response.body = openapi_json();
    return response;
}

}  // namespace

Endpoints service_endpoints() {
    return {{{.id = "getHealth",
              .method = "GET",
              .path = "/health",
              .tag = "Health",
              .summary = "Is the server well?",
              .reply = success_with({required("version", text())}),
              .validates = false},
             get_health},
            {{.id = "metrics",
              .method = "GET",
              .path = "/metrics",
              .tag = "Health",
              .summary = "Metrics for Prometheus",
              .reply = text(),
              .reply_type = "text/plain",
              .needs_token = false,
              .validates = false},
             get_metrics},
            {{.id = "openapi",
              .method = "GET",
              .path = "/openapi.json",
              .tag = "Health",
              .summary = "This document",
              .reply = open_object(),
              .needs_token = false,
              .validates = false},
             get_openapi}};
}

}  // namespace mallard::api
