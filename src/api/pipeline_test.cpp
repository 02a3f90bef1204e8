#include <fstream>
#include <set>

#include "api/request_log.hpp"
#include "api/roles.hpp"
#include "api/test_api.hpp"

namespace mallard::api {
namespace {

using Pipeline = TestApi;

TEST_F(Pipeline, AnswersUnknownPathsAndMethodsInTheFrameworksWords) {
    auto const missing = call("GET", "/nothing");
    EXPECT_EQ(missing.status, 404u);
    EXPECT_EQ(missing.code(), "ResourceNotFound");
    EXPECT_TRUE(missing.json.contains("message"));
    EXPECT_FALSE(missing.json.contains("error"));
    EXPECT_EQ(missing.headers.get("Content-Type"), "application/json");

    auto const refused = call("PATCH", "/users");
    EXPECT_EQ(refused.status, 405u);
    EXPECT_EQ(refused.code(), "MethodNotAllowed");
    EXPECT_EQ(refused.headers.get("Allow"), "GET, POST");
    EXPECT_EQ(call("GET", "/users/").status, 404u);
    EXPECT_EQ(call("HEAD", "/users").status, 405u);
    EXPECT_EQ(send("GET", "/nothing", "", {{"X-Access-Token", "wrong"}}).status, 404u);  // routes come before tokens
}

TEST_F(Pipeline, PrintsRepliesWithTwoBlanksAndOneNewline) {
    auto const reply = call("GET", "/health");
    EXPECT_EQ(reply.status, 200u);
    EXPECT_TRUE(reply.body.starts_with("{\n  \"success\": true,\n"));
    EXPECT_TRUE(reply.body.ends_with("\n}\n"));
    EXPECT_EQ(reply.headers.get("Content-Type"), "application/json; charset=utf-8");
    EXPECT_EQ(reply.headers.get("Server"), "WildDuck API");
    EXPECT_EQ(reply.headers.get("vary"), "origin,access-control-request-method,access-control-request-headers");
}

TEST_F(Pipeline, TakesTokensFromQueryHeadersAndBearer) {
    EXPECT_EQ(send("GET", "/users?accessToken=" + token_, "", {}).status, 200u);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", token_}}).status, 200u);
    EXPECT_EQ(send("GET", "/users", "", {{"Authorization", "bearer " + token_}}).status, 200u);
    EXPECT_EQ(send("GET", "/users", "", {{"Authorization", token_}}).status, 200u);
    std::string const wrong(40, 'a');
    for (TestHeaders const& headers :
         {TestHeaders{{"X-Access-Token", wrong}}, TestHeaders{{"Authorization", "Basic x"}},
          TestHeaders{{"X-Access-Token", ""}}}) {
        auto const reply = send("GET", "/users", "", headers);
        EXPECT_EQ(reply.status, 403u);
        EXPECT_EQ(reply.code(), "InvalidToken");
        EXPECT_TRUE(reply.json.contains("message"));
    }
    // A token in a body neither authenticates nor is an unknown field.
    auto const in_body = call("POST", "/users", {{"accessToken", token_}, {"username", "a"}, {"password", "b"}},
                              {{"X-Access-Token", ""}});
    EXPECT_EQ(in_body.code(), "InvalidToken");
    EXPECT_EQ(call("POST", "/users", {{"accessToken", "x"}, {"username", "tok"}, {"password", "b"}}).status, 200u);
}

TEST_F(Pipeline, LetsEverybodyInWithoutAccessControlButRefusesWrongTokens) {
    ApiConfig config;
    config.access_control = false;
    start(config);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", ""}}).status, 200u);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", "wrong"}}).status, 403u);
    config.access_token = "fixed";
    start(config);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", ""}}).status, 403u);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", "fixed"}}).status, 200u);
    EXPECT_EQ(send("GET", "/users", "", {{"X-Access-Token", token_}}).status, 200u);
}

TEST_F(Pipeline, ReportsAllProblemsOfTheParametersAtOnce) {
    auto const reply = call("POST", "/users", {{"username", "a..b"}, {"quota", -1}, {"nonsense", 1}});
    EXPECT_EQ(reply.status, 400u);
    EXPECT_EQ(reply.code(), "InputValidationError");
    ASSERT_TRUE(reply.json.contains("details")) << reply.body;
    EXPECT_EQ(reply.json["details"]["nonsense"], "\"nonsense\" is not allowed");
    EXPECT_EQ(reply.json["details"]["password"], "\"password\" is required");
    EXPECT_EQ(reply.json["details"]["quota"], "\"quota\" must be greater than or equal to 0");
    EXPECT_TRUE(reply.json["details"].contains("username"));
    EXPECT_NE(reply.error().find(". "), std::string::npos);
    EXPECT_FALSE(reply.json.contains("success"));
}

TEST_F(Pipeline, MergesParametersPathFirstThenQueryThenBody) {
    auto const user = create_user("merge");
    auto const other = create_user("other");
    EXPECT_EQ(call("PUT", "/users/" + user + "?name=Query", {{"name", "Body"}, {"user", other}}).status, 200u);
    EXPECT_EQ(call("GET", "/users/" + user).json["name"], "Query");
    EXPECT_EQ(call("GET", "/users/" + user, {{"zzz", 1}}).status, 200u);  // the body of a GET is not looked at
    EXPECT_EQ(call("GET", "/users/" + user + "?zzz=1").status, 400u);
    EXPECT_EQ(call("GET", "/users?zzz=1&page=7").status, 200u);
}

TEST_F(Pipeline, RefusesBodiesItCannotRead) {
    auto const broken = send("POST", "/users", "{", {{"Content-Type", "application/json"}});
    EXPECT_EQ(broken.status, 400u);
    EXPECT_EQ(broken.code(), "InvalidContent");
    EXPECT_EQ(send("POST", "/users", "[]", {{"Content-Type", "application/json"}}).code(), "InternalServer");
    EXPECT_EQ(send("POST", "/users", "{}", {{"Content-Type", "application/json"}, {"Content-Encoding", "br"}}).status,
              415u);
    EXPECT_EQ(
        send("POST", "/users", "username=form&password=x", {{"Content-Type", "application/x-www-form-urlencoded"}})
            .status,
        200u);
}

TEST_F(Pipeline, AnswersPreflightsAndMarksCrossOriginReplies) {
    auto const preflight = send("OPTIONS", "/any/path", "",
                                {{"Origin", "https://web.example.com"}, {"Access-Control-Request-Method", "PUT"}});
    EXPECT_EQ(preflight.status, 204u);
    EXPECT_EQ(preflight.headers.get("access-control-allow-origin"), "https://web.example.com");
    EXPECT_EQ(preflight.headers.get("access-control-allow-credentials"), "true");
    EXPECT_EQ(preflight.headers.get("access-control-allow-methods"), "PUT,OPTIONS");
    EXPECT_EQ(send("OPTIONS", "/users", "", {{"Origin", "https://x"}}).status, 405u);
    auto const reply = call("GET", "/users", nullptr, {{"Origin", "https://web.example.com"}});
    EXPECT_EQ(reply.headers.get("access-control-allow-origin"), "https://web.example.com");
    EXPECT_TRUE(reply.headers.has("access-control-expose-headers"));
    EXPECT_FALSE(call("GET", "/users").headers.has("access-control-allow-origin"));
    ApiConfig config;
    config.cors = {"https://*.example.com"};
    start(config);
    EXPECT_TRUE(call("GET", "/users", nullptr, {{"Origin", "https://a.example.com"}})
                    .headers.has("access-control-allow-origin"));
    EXPECT_FALSE(
        call("GET", "/users", nullptr, {{"Origin", "https://evil.com"}}).headers.has("access-control-allow-origin"));
}

TEST_F(Pipeline, ShowsMetricsWithoutTokenAndHealthWithOne) {
    (void)call("GET", "/users");
    auto const metrics = send("GET", "/metrics", "", {{"X-Access-Token", ""}});
    EXPECT_EQ(metrics.status, 200u);
    EXPECT_NE(metrics.body.find("wildduck_api_requests_total{"), std::string::npos);
    EXPECT_NE(metrics.body.find("route=\"/users\""), std::string::npos);
    EXPECT_EQ(metrics.body.find("route=\"/metrics\""), std::string::npos);
    EXPECT_EQ(send("GET", "/health", "", {{"X-Access-Token", ""}}).status, 403u);
    ApiConfig config;
    config.metrics = false;
    start(config);
    EXPECT_EQ(send("GET", "/metrics", "", {}).status, 404u);
}

TEST_F(Pipeline, ServesTheDocumentOfAllOperations) {
    auto const reply = send("GET", "/openapi.json", "", {{"X-Access-Token", ""}});
    EXPECT_EQ(reply.status, 200u);
    std::size_t documented = 0;
    for (auto const& [path, methods] : reply.json["paths"].items()) documented += methods.size();
    EXPECT_EQ(documented, all_endpoints().size());
}

TEST_F(Pipeline, RefusesEachRoleWhatTheTableSays) {
    auto const user = create_user("roleuser");
    struct Row {
        char const* method;
        std::string target;
        char const* allowed;  // roles, blanks around
    };
    std::string const base = "/users/" + user;
    auto const inbox = mailbox_id(user, "INBOX");
    for (Row const& row :
         {Row{"GET", "/users", " root manager user "}, Row{"GET", base, " root manager webmail audit "},
          Row{"GET", base + "/addresses", " root manager webmail "}, Row{"GET", base + "/mailboxes", " root webmail "},
          Row{"GET", base + "/mailboxes/" + inbox + "/messages", " root webmail downloader "},
          Row{"DELETE", base + "/mailboxes/" + inbox + "/messages", " root webmail "},
          Row{"GET", "/addresses", " root manager user "},
          Row{"GET", "/authenticated", " root manager webmail user "}}) {
        for (auto const* role : {"root", "manager", "webmail", "user", "auth", "attachments", "tokenAuth", "audit",
                                 "auditclient", "export", "settings", "downloader"}) {
            auto const reply = call_as(token_of("somebody", role), row.method, row.target);
            bool const allowed = std::string(row.allowed).find(" " + std::string(role) + " ") != std::string::npos;
            EXPECT_EQ(reply.status, allowed ? 200u : 403u) << role << " " << row.method << " " << row.target;
            if (!allowed) EXPECT_EQ(reply.code(), "MissingPrivileges");
        }
    }
    EXPECT_EQ(call_as(token_of("somebody", "nobody"), "GET", "/users").code(), "InvalidToken");
}

TEST(Roles, KnowsOwnAndAny) {
    EXPECT_EQ(access_of("root", "users", "delete"), Access::any);
    EXPECT_EQ(access_of("webmail", "users", "delete"), Access::none);
    EXPECT_EQ(access_of("user", "users", "update"), Access::own);
    EXPECT_EQ(access_of("user", "users", "delete"), Access::none);
    EXPECT_EQ(access_of("root", "audit", "read"), Access::none);
    EXPECT_EQ(access_of("nobody", "users", "read"), Access::none);
    EXPECT_EQ(access_of("root", "nothing", "read"), Access::none);
}

TEST(RequestLog, MasksSecretsAndContent) {
    ASSERT_TRUE(log_start({.level = LogLevel::info}));
    Json const params{{"password", "hush"},
                      {"existingPassword", "hush"},
                      {"raw", "Subject: hush"},
                      {"html", "hush"},
                      {"text", "hush"},
                      {"name", "shown"},
                      {"to", Json::array({"hush"})}};
    for (auto const& [name, value] : shown_params(params)) {
        EXPECT_EQ(value.find("hush"), std::string::npos) << name;
        if (name == "req_name") EXPECT_EQ(value, "shown");
    }
    auto const shown = shown_params({{"x", std::string(500, 'a')}});
    ASSERT_EQ(shown.size(), 1u);
    EXPECT_EQ(shown[0].second.size(), 128u);
}

}  // namespace
}  // namespace mallard::api
