// What a good token is told when what it is checked against cannot be reached.

#include "api/test_api.hpp"

namespace mallard::api {
namespace {

// A state that can go away, as Redis does.
class AwayState final : public store::SharedState {
public:
    explicit AwayState(SharedState& inner) : inner_(inner) {}
    bool away = false;

    Result<store::CounterState> count(std::string_view key, std::int64_t by, std::int64_t limit,
                                      std::chrono::seconds window) override {
        return unless_away([&] { return inner_.count(key, by, limit, window); });
    }
    Result<store::CounterState> count_limited(std::string_view key, std::string_view field, std::int64_t by,
                                              std::int64_t limit) override {
        return unless_away([&] { return inner_.count_limited(key, field, by, limit); });
    }
    Result<void> erase(std::string_view key) override {
        return unless_away([&] { return inner_.erase(key); });
    }
    Result<Hash> hash(std::string_view key) const override {
        return unless_away([&] { return inner_.hash(key); });
    }
    Result<void> set_hash(std::string_view key, Hash const& fields, std::optional<std::chrono::seconds> ttl) override {
        return unless_away([&] { return inner_.set_hash(key, fields, ttl); });
    }
    Result<void> erase_field(std::string_view key, std::string_view field) override {
        return unless_away([&] { return inner_.erase_field(key, field); });
    }
    Result<void> expire(std::string_view key, std::chrono::seconds ttl) override {
        return unless_away([&] { return inner_.expire(key, ttl); });
    }
    Result<std::vector<std::string>> keys(std::string_view prefix) const override {
        return unless_away([&] { return inner_.keys(prefix); });
    }
    Result<std::vector<store::StateEntry>> entries(std::string_view prefix) const override {
        return unless_away([&] { return inner_.entries(prefix); });
    }
    Result<void> add_member(std::string_view key, std::string_view member) override {
        return unless_away([&] { return inner_.add_member(key, member); });
    }
    Result<void> erase_member(std::string_view key, std::string_view member) override {
        return unless_away([&] { return inner_.erase_member(key, member); });
    }
    Result<std::vector<std::string>> members(std::string_view key) const override {
        return unless_away([&] { return inner_.members(key); });
    }
    Result<bool> is_member(std::string_view key, std::string_view member) const override {
        return unless_away([&] { return inner_.is_member(key, member); });
    }

private:
    template <class Do>
    auto unless_away(Do const& act) const -> decltype(act()) {
        if (away) return fail(ErrorKind::unavailable, "The state cannot be reached, try again later");
        return act();
    }

    SharedState& inner_;
};

class Access : public TestApi {
protected:
    Access() {
        accounts::AccountsConfig config;
        config.pbkdf2_iterations = 100;
        accounts_ = std::make_unique<accounts::Accounts>(store_->documents(), state_, store_->mail(), store_->events(),
                                                         clock_, config);
        EXPECT_TRUE(accounts_->open());
        start({});
    }

    AwayState state_{store_->state()};
};

TEST_F(Access, AGoodTokenIsAskedToComeBackWhenItCannotBeChecked) {
    state_.away = true;
    auto const refused = call("GET", "/users");
    EXPECT_EQ(refused.status, 503u);
    EXPECT_EQ(refused.code(), "TemporarilyUnavailable");
    EXPECT_EQ(refused.error(), "The state cannot be reached, try again later");
    state_.away = false;
    EXPECT_EQ(call("GET", "/users").status, 200u);
}

TEST_F(Access, WhatCannotBeATokenIsRefusedWithoutAsking) {
    state_.away = true;
    for (char const* wrong : {"", "wrong"}) {
        auto const refused = call_as(wrong, "GET", "/users");
        EXPECT_EQ(refused.status, 403u);
        EXPECT_EQ(refused.code(), "InvalidToken");
    }
}

}  // namespace
}  // namespace mallard::api
