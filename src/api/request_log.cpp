#include "api/request_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"

namespace mallard::api {
namespace {

constexpr std::size_t value_max = 128, name_max = 30, session_max = 40, params_max = 64;
constexpr std::array<std::string_view, 6> secret_names{"password", "existingPassword", "accessToken",
                                                       "token",    "totpNonce",        "twoFactorNonce"};
// What a message says is nobody's business but its reader's.
constexpr std::array<std::string_view, 4> content_names{"raw", "text", "html", "attachments"};

// "/users/{user}" -> "/users/:user".
std::string colon_route(std::string_view route) {
    std::string out;
    for (char const c : route) {
        if (c == '{') out += ':';
        if (c != '{' && c != '}') out += c;
    }
    return out;
}

std::string_view cut(std::string_view text, std::size_t max) {
    if (text.size() <= max) return text;
    while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
    return text.substr(0, max);
}

std::string shown(std::string_view name, Json const& value) {
    if (std::ranges::find(secret_names, name) != secret_names.end()) return "***";
    if (std::ranges::find(content_names, name) != content_names.end()) {
        return fmt::format("({} octets)",
                           value.is_string() ? value.get_ref<std::string const&>().size() : value.size());
    }
    if (value.is_string()) return std::string(cut(value.get_ref<std::string const&>(), value_max));
    if (value.is_structured()) return fmt::format("({} items)", value.size());
    return value.dump();
}

}  // namespace

std::vector<std::pair<std::string, std::string>> shown_params(Json const& params) {
    std::vector<std::pair<std::string, std::string>> list;
    if (!log_enabled(LogLevel::info)) return list;
    for (auto const& [name, value] : params.items()) {
        if (list.size() == params_max) break;
        list.emplace_back("req_" + std::string(cut(name, name_max)), shown(name, value));
    }
    return list;
}

void log_request(RequestOutcome const& outcome) {
    bool const failed = outcome.status >= 400;
    LogLevel const level = outcome.status >= 500 ? LogLevel::error : LogLevel::info;
    if (!log_enabled(level)) return;
    std::string const route = outcome.route.empty() ? "(unknown)" : colon_route(outcome.route);
    std::string session, ip;
    for (auto const& [name, value] : outcome.params) {
        if (name == "req_sess") session = std::string(cut(value, session_max));
        if (name == "req_ip") ip = value;
    }
    std::vector<LogField> fields;
    auto const add = [&](std::string_view key, std::string value) {
        if (!value.empty()) fields.push_back({key, std::move(value)});
    };
    add("http_route", route);
    add("http_method", std::string(outcome.method));
    add("ip", ip);
    add("req_remoteAddress", std::string(outcome.peer));
    if (outcome.who) {
        add("user", outcome.who->user);
        add("role", outcome.who->role);
    }
    add("api_response", failed ? "fail" : "success");
    add("failure_msg", std::string(cut(outcome.error, 1024)));
    add("failure_cause", std::string(cut(outcome.cause, 1024)));
    add("code", outcome.code);
    if (outcome.size != 0) add("size", std::to_string(outcome.size));
    add("res_id", outcome.result_id);
    for (auto const& [name, value] : outcome.params) add(name, value);
    log(level,
        {.component = "api", .session = session, .user = outcome.who ? outcome.who->user : "", .address = outcome.peer},
        fmt::format("HTTP [{} {}] {}", outcome.method, route, failed ? "FAILED" : "OK"), fields);
}

void count_request(RequestOutcome const& outcome) {
    std::string const route = outcome.route.empty() ? "other" : colon_route(outcome.route);
    constexpr std::array<std::string_view, 5> known{"GET", "POST", "PUT", "DELETE", "OPTIONS"};
    bool const is_known = std::ranges::find(known, outcome.method) != known.end();
    std::string const method = is_known ? to_lower(outcome.method) : "other";
    std::string const status = std::to_string(outcome.status);
    metrics::counter("wildduck_api_requests_total", {{"method", method}, {"route", route}, {"status", status}}).add();
    metrics::observe(metrics::histogram("wildduck_api_request_duration_seconds", metrics::Buckets::api,
                                        {{"method", method}, {"route", route}, {"status", status}}),
                     outcome.seconds);
    if (outcome.status < 400) return;
    std::string const code = outcome.code.empty() ? "none" : to_lower(outcome.code);
    metrics::counter("wildduck_api_errors_total", {{"method", method}, {"route", route}, {"code", code}}).add();
}

}  // namespace mallard::api
