#pragma once
// The API over a store in memory, called in-process. Every successful reply is compared with the reply its operation
// declares, so that the OpenAPI document cannot say what is not so.

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoint.hpp"
#include "base/log.hpp"
#include "engines/test_engine.hpp"
#include "http/router.hpp"

namespace mallard::api {

struct TestReply {
    unsigned status = 0;
    std::string body;
    OrderedJson json;
    http::Headers headers;

    std::string code() const { return json.is_object() ? json.value("code", "") : ""; }
    std::string error() const { return json.is_object() ? json.value("error", "") : ""; }
};

using TestHeaders = std::vector<std::pair<std::string, std::string>>;

class TestApi : public testing::Test {
protected:
    TestApi() {
        EXPECT_TRUE(log_start({.level = LogLevel::error}));
        start({});
    }

    void start(ApiConfig config) {
        handler_ =
            make_handler({*accounts_, *mailboxes_, store_->state(), store_->events(), clock_}, std::move(config));
        token_ = *accounts_->create_token("admin", "root", 0);
    }

    // With the root token unless `headers` bring one.
    TestReply call(std::string const& method, std::string const& target, Json const& body = nullptr,
                   TestHeaders headers = {}) {
        if (!body.is_null()) headers.emplace_back("Content-Type", "application/json");
        return send(method, target, body.is_null() ? std::string() : body.dump(), std::move(headers));
    }
    TestReply call_as(std::string const& token, std::string const& method, std::string const& target,
                      Json const& body = nullptr) {
        return call(method, target, body, {{"X-Access-Token", token}});
    }
    TestReply send(std::string const& method, std::string const& target, std::string const& body, TestHeaders headers);

    std::string create_user(std::string const& username, Json more = Json::object()) {
        more["username"] = username;
        if (!more.contains("password")) more["password"] = "secretvalue";
        auto const reply = call("POST", "/users", more);
        EXPECT_EQ(reply.status, 200u) << reply.body;
        return reply.json.value("id", "");
    }
    std::string mailbox_id(std::string const& user, std::string const& path) {
        return call("GET", "/users/" + user + "/mailboxes/resolve?path=" + path).json.value("id", "");
    }
    std::string token_of(std::string const& user, std::string const& role) {
        return *accounts_->create_token(user, role, 0);
    }

    ManualClock clock_{1'704'103'200'000};
    std::unique_ptr<engines::TestEngine> store_ = engines::open_test_engine(clock_);
    std::unique_ptr<accounts::Accounts> accounts_ = [this] {
        accounts::AccountsConfig config;
        config.email_domain = "example.com";
        config.pbkdf2_iterations = 100;
        auto made = std::make_unique<accounts::Accounts>(store_->documents(), store_->state(), store_->mail(),
                                                         store_->events(), clock_, config);
        EXPECT_TRUE(made->open());
        return made;
    }();
    std::unique_ptr<mailboxes::Mailboxes> mailboxes_ =
        std::make_unique<mailboxes::Mailboxes>(store_->mail(), *accounts_, clock_);
    http::Handler handler_;
    std::string token_;
};

// What of `value` the schema does not say, or says otherwise; empty: nothing.
std::string mismatch(http::Schema const& schema, OrderedJson const& value, std::string const& where);

}  // namespace mallard::api
