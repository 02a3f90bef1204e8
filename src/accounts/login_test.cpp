#include <thread>

#include "accounts/entities.hpp"
#include "accounts/password.hpp"
#include "accounts/test_backend.hpp"

namespace mallard::accounts {
namespace {

using bson::Array;
using bson::Date;
using bson::Document;

class LoginTest : public testing::Test {
protected:
    void set(std::string const& field, bson::Value value) {
        ASSERT_TRUE(backend.documents.update(users_collection(), ada.id, {.set = {{field, std::move(value)}}}));
        backend.clock.advance(61'000);  // past what is cached
    }
    ObjectId add_asp(std::string const& password, Array scopes, std::string const& selector) {
        auto const id = ObjectId::generate();
        EXPECT_TRUE(backend.documents.insert(asps_collection(), {{"_id", id},
                                                                 {"user", ada.id},
                                                                 {"description", "phone"},
                                                                 {"scopes", std::move(scopes)},
                                                                 {"password", hash_password(password, 1000)},
                                                                 {"selector", selector},
                                                                 {"used", false}}));
        return id;
    }
    std::vector<Document> log_rows() {
        return *backend.documents.find(authlog_collection(), {.index = "user", .equals = {ada.id}});
    }
    TestBackend backend;
    User ada = backend.add_user("ada.l");
};

TEST_F(LoginTest, FindsTheUserByNameAndByAddress) {
    for (auto name : {"ada.l", "ADAL", "a.d.a.l", "ada.l@example.com", "AdaL+label@Example.com"}) {
        auto const login = backend.log_in(name, "secret");
        ASSERT_TRUE(login) << name << ": " << login.error().message;
        EXPECT_EQ(login->user, ada.id);
        EXPECT_EQ(login->username, "ada.l");
        EXPECT_EQ(login->source, "master");
    }
    for (auto [name, password] : {std::pair{"ada.l", "Secret"},
                                  {"ada.l", ""},
                                  {"bob", "secret"},
                                  {"", "secret"},
                                  {"ada.l@example.org", "secret"},
                                  {"@", "x"}})
        EXPECT_EQ(kind_of(backend.log_in(name, password)), ErrorKind::auth_failed) << name;
}

TEST_F(LoginTest, FindsAUserWhoseNameIsAnAddressThatDoesNotExist) {
    ASSERT_TRUE(backend.accounts.create({.username = "e.v@x.example", .password = "secret", .empty_address = true}));
    EXPECT_TRUE(backend.log_in("ev+x@x.example", "secret"));
}

TEST_F(LoginTest, RefusesDisabledAndSuspendedUsersAndDisabledServices) {
    struct Case {
        UserPatch off, on;
        ErrorKind kind;
    };
    for (auto const& [off, on, kind] :
         {Case{{.disabled = true}, {.disabled = false}, ErrorKind::auth_failed},
          Case{{.suspended = true}, {.suspended = false}, ErrorKind::auth_failed},
          Case{{.disabled_scopes = {{"pop3", "imap"}}}, {.disabled_scopes = {{}}}, ErrorKind::scope_denied}}) {
        EXPECT_TRUE(backend.log_in("ada.l", "secret"));
        ASSERT_TRUE(backend.accounts.update(ada.id, off));
        EXPECT_EQ(kind_of(backend.log_in("ada.l", "secret")), kind);
        ASSERT_TRUE(backend.accounts.update(ada.id, on));
    }
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
}

TEST_F(LoginTest, LimitsFailuresPerUserUntilTheWindowEnds) {
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
    for (int i = 0; i < 12; ++i) EXPECT_EQ(kind_of(backend.log_in("ada.l", "wrong")), ErrorKind::auth_failed);
    auto const limited = backend.log_in("ada.l", "secret");
    ASSERT_EQ(kind_of(limited), ErrorKind::rate_limited);
    EXPECT_EQ(limited.error().message, "Authentication was rate limited. Try again in 2 minutes.");
    backend.clock.advance(120'000);
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
}

TEST_F(LoginTest, ClearsTheFailuresOnSuccess) {
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 11; ++i) EXPECT_FALSE(backend.log_in("ada.l", "wrong"));
        backend.clock.advance(1000);
        auto const login = backend.log_in("ada.l" + std::string(static_cast<std::size_t>(round), '.'), "secret");
        EXPECT_TRUE(login) << round;
    }
}

TEST_F(LoginTest, LimitsGuessesOfNamesThatDoNotExist) {
    for (int i = 0; i < 12; ++i) EXPECT_EQ(kind_of(backend.log_in("no.body", "x")), ErrorKind::auth_failed);
    EXPECT_EQ(kind_of(backend.log_in("nobody", "x")), ErrorKind::rate_limited);
}

TEST_F(LoginTest, SparesAddressesOfTheWhiteList) {
    ASSERT_TRUE(backend.state.add_member("rl-wl", "192.0.2.1"));
    for (int i = 0; i < 14; ++i) EXPECT_EQ(kind_of(backend.log_in("ada.l", "wrong")), ErrorKind::auth_failed);
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
}

TEST(LoginByAddress, IsLimitedWhenConfigured) {
    auto config = TestBackend::quick();
    config.address_failures_max = 3;
    TestBackend backend(config);
    backend.add_user("ada");
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(backend.log_in("user" + std::to_string(i), "x"));
    EXPECT_EQ(kind_of(backend.log_in("ada", "secret")), ErrorKind::rate_limited);
    backend.clock.advance(300'000);
    EXPECT_TRUE(backend.log_in("ada", "secret"));
}

TEST_F(LoginTest, RemembersAVerifiedPasswordForAShortTime) {
    Credentials const credentials{.username = "ada.l", .password = "secret", .scope = Scope::imap};
    EXPECT_FALSE(backend.accounts.try_cached(credentials));
    ASSERT_TRUE(backend.accounts.authenticate(credentials));
    EXPECT_EQ(backend.accounts.try_cached(credentials)->user, ada.id);
    auto other = credentials;
    other.scope = Scope::pop3;
    EXPECT_FALSE(backend.accounts.try_cached(other));
    other = credentials;
    other.password = "secre";
    other.username = "ada.lt";
    EXPECT_FALSE(backend.accounts.try_cached(other));
    backend.clock.advance(60'000);
    EXPECT_FALSE(backend.accounts.try_cached(credentials));
}

TEST_F(LoginTest, ForgetsAVerifiedPasswordWhenTheUserChanges) {
    Credentials const credentials{.username = "ada.l", .password = "secret"};
    for (UserPatch const& patch :
         {UserPatch{.disabled = true}, UserPatch{.disabled = false, .suspended = true},
          UserPatch{.disabled_scopes = {{"imap"}}, .suspended = false}, UserPatch{.password = "other"}}) {
        ASSERT_TRUE(backend.accounts.update(
            ada.id, {.password = "secret", .disabled_scopes = {{}}, .disabled = false, .suspended = false}));
        ASSERT_TRUE(backend.accounts.authenticate(credentials));
        ASSERT_TRUE(backend.accounts.try_cached(credentials));
        ASSERT_TRUE(backend.accounts.update(ada.id, patch));
        EXPECT_FALSE(backend.accounts.try_cached(credentials));
        EXPECT_FALSE(backend.accounts.authenticate(credentials));
    }
    ASSERT_TRUE(backend.accounts.update(ada.id, {.password = "secret"}));
    ASSERT_TRUE(backend.accounts.authenticate(credentials));
    ASSERT_TRUE(backend.accounts.erase(ada.id));
    EXPECT_FALSE(backend.accounts.try_cached(credentials));
}

TEST_F(LoginTest, RefusesTheMainPasswordWithASecondFactorExceptForTheApi) {
    set("enabled2fa", Array{"totp", "u2f"});
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "secret")), ErrorKind::scope_denied);
    auto const login = backend.log_in("ada.l", "secret", Scope::master);
    ASSERT_TRUE(login);
    EXPECT_EQ(login->require_2fa, (std::vector<std::string>{"totp", "webauthn"}));
    set("enabled2fa", true);
    EXPECT_EQ(backend.log_in("ada.l", "secret", Scope::master)->require_2fa, std::vector<std::string>{"totp"});
    ASSERT_TRUE(backend.accounts.update(ada.id, {.disable_2fa = true}));
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
}

TEST_F(LoginTest, TakesApplicationPasswordsForTheirScopes) {
    add_asp("abcdefghijklmnop", {"imap"}, "c");
    auto const any = add_asp("aaaaaaaaaaaaaaaa", {"*"}, "1b");
    set("enabled2fa", Array{"totp"});
    auto const login = backend.log_in("ada.l", "ABCD efgh ijkl mnop");
    ASSERT_TRUE(login) << login.error().message;
    EXPECT_EQ(login->source, "asp");
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "abcdefghijklmnop", Scope::pop3)), ErrorKind::scope_denied);
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "abcdefghijklmnop", Scope::master)), ErrorKind::auth_failed);
    EXPECT_TRUE(backend.log_in("ada.l", "aaaaaaaaaaaaaaaa", Scope::pop3));
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "aaaaaaaaaaaaaaab")), ErrorKind::auth_failed);
    auto const row = *backend.documents.get(asps_collection(), any);
    EXPECT_TRUE(row->date("used"));
    EXPECT_TRUE(row->id("authEvent"));
    EXPECT_EQ(row->text("authIp"), "192.0.2.1");
}

TEST_F(LoginTest, TakesAnApplicationPasswordWhileTheMainOneIsLimited) {
    add_asp("abcdefghijklmnop", {"*"}, "");
    for (int i = 0; i < 13; ++i) EXPECT_FALSE(backend.log_in("ada.l", "wrong"));
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "secret")), ErrorKind::rate_limited);
    EXPECT_TRUE(backend.log_in("ada.l", "abcdefghijklmnop"));
}

TEST_F(LoginTest, SkipsApplicationPasswordsWithAnotherSelector) {
    add_asp("abcdefghijklmnop", {"*"}, "1f");
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "abcdefghijklmnop")), ErrorKind::auth_failed);
}

TEST_F(LoginTest, TakesATemporaryPasswordForADayAndTheApiOnly) {
    TimeMs const made = backend.clock.now();
    set("tempPassword",
        Document{
            {"validAfter", Date{made + 3600'000}}, {"password", hash_password("temp", 1000)}, {"created", Date{made}}});
    auto const early = backend.log_in("ada.l", "temp", Scope::master);
    ASSERT_EQ(kind_of(early), ErrorKind::auth_failed);
    EXPECT_EQ(early.error().message, "Temporary password is not yet activated");
    backend.clock.advance(3600'000);
    EXPECT_EQ(backend.log_in("ada.l", "temp", Scope::master)->source, "temporary");
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "temp", Scope::imap)), ErrorKind::scope_denied);
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
    backend.clock.advance(24 * 3600'000);
    EXPECT_EQ(kind_of(backend.log_in("ada.l", "temp", Scope::master)), ErrorKind::auth_failed);
    EXPECT_TRUE(backend.log_in("ada.l", "secret"));
}

TEST_F(LoginTest, MakesAnOldHashNewWhenItsPasswordIsSeen) {
    auto config = TestBackend::quick();
    config.pbkdf2_iterations = 100'000;
    TestBackend strong(config);
    auto const user = strong.accounts.create(
        {.username = "eve", .password = "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", .hashed_password = true});
    ASSERT_TRUE(user);
    EXPECT_FALSE(strong.log_in("eve", "wrong"));
    EXPECT_TRUE((*strong.accounts.get(user->id))->password_hash.starts_with("$1$"));
    ASSERT_TRUE(strong.log_in("eve", "secret"));
    auto const hash = (*strong.accounts.get(user->id))->password_hash;
    EXPECT_TRUE(hash.starts_with("$pbkdf2-sha256$i=100000$"));
    EXPECT_EQ(verify_password("secret", hash), true);
}

TEST_F(LoginTest, WritesEventsAndMergesLikeOnes) {
    ASSERT_TRUE(backend.log_in("ada.l", "secret"));
    ASSERT_TRUE(backend.log_in("ada.l", "secret"));  // cached: counted with the next
    backend.clock.advance(60'000);
    ASSERT_TRUE(backend.log_in("ada.l", "secret"));
    ASSERT_FALSE(backend.log_in("ada.l", "wrong"));
    auto const rows = log_rows();
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0].text("action"), "account created");
    EXPECT_EQ(rows[1].text("result"), "success");
    EXPECT_EQ(rows[1].text("protocol"), "IMAP");
    EXPECT_EQ(rows[1].text("source"), "master");
    EXPECT_EQ(rows[1].text("requiredScope"), "imap");
    EXPECT_EQ(rows[1].integer("events"), 3);
    EXPECT_EQ(rows[1].find("key")->as<bson::Binary>()->bytes.size(), 16u);
    EXPECT_EQ(rows[2].text("result"), "fail");
    auto const user = *backend.documents.get(users_collection(), ada.id);
    EXPECT_EQ(user->find_path("lastLogin.authEvent")->as<ObjectId>()->hex(), rows[1].id("_id")->hex());
    EXPECT_EQ((*backend.accounts.get(ada.id))->last_login, backend.clock.now());
    backend.clock.advance(7LL * 3600 * 1000);
    ASSERT_TRUE(backend.log_in("ada.l", "secret"));
    EXPECT_EQ(log_rows().size(), 4u);
}

TEST_F(LoginTest, SucceedsForManyAtOnceWhoNeverLoggedInBefore) {
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 5; ++i) {
                auto const login = backend.log_in("ada.l", "secret");
                if (login && login->user == ada.id) ++good;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, 40);
}

}  // namespace
}  // namespace mallard::accounts
