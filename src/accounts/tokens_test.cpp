#include "accounts/entities.hpp"
#include "accounts/test_backend.hpp"
#include "base/encoding.hpp"

namespace mallard::accounts {
namespace {

// storage.md §15.4: the vector of WildDuck's own code.
TEST(Tokens, AcceptTheSignatureOfWildDuck) {
    TestBackend backend;
    std::string const token(40, '0');
    auto const user = *UserId::from_hex("609d201236d1d936948f23b1");
    std::string const key = "tn:token:9692e67b8378a6f6753f97782d458aa757e947eab2fbdf6b5c187b74561eb78f";
    store::SharedState::Hash hash{{"user", user.hex()},
                                  {"role", "user"},
                                  {"created", std::to_string(backend.clock.now())},
                                  {"ttl", "1209600"},
                                  {"authVersion", "1"},
                                  {"s", "bdf2ce5ad969b8f1e3a7b1c9688cd245e81aba22ec556136922c210ab90823f0"}};
    ASSERT_TRUE(backend.state.set_hash(key, hash));
    EXPECT_FALSE(*backend.accounts.verify_token(token));  // no such user
    ASSERT_TRUE(backend.documents.insert(users_collection(), {{"_id", user}, {"authVersion", 1}}));
    auto const found = *backend.accounts.verify_token(token);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->user, user.hex());
    EXPECT_EQ(found->role, "user");
    EXPECT_EQ(found->ttl, 1209600);
    for (auto const& [field, value] :
         {std::pair<std::string, std::string>{"role", "root"}, {"authVersion", "2"}, {"s", ""}}) {
        auto forged = hash;
        forged[field] = value;
        ASSERT_TRUE(backend.state.set_hash(key, forged));
        EXPECT_FALSE(*backend.accounts.verify_token(token)) << field;
    }
}

TEST(Tokens, LiveUntilTheyAreRevoked) {
    TestBackend backend;
    auto const token = backend.accounts.create_token("admin \"x\"", "root", 0, "for tests");
    ASSERT_TRUE(token);
    EXPECT_EQ(token->size(), 40u);
    auto const found = *backend.accounts.verify_token(*token);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->user, "admin \"x\"");
    EXPECT_EQ(found->description, "for tests");
    backend.clock.advance(365LL * 24 * 3600 * 1000);
    EXPECT_TRUE(*backend.accounts.verify_token(*token));
    auto const second = *backend.accounts.create_token("admin", "root", 0);
    auto const listed = *backend.accounts.list_tokens();
    ASSERT_EQ(listed.size(), 2u);
    EXPECT_EQ(listed[0].id, found->id);
    EXPECT_EQ(backend.accounts.revoke_token(*token), true);
    EXPECT_EQ(backend.accounts.revoke_token(*token), false);
    EXPECT_FALSE(*backend.accounts.verify_token(*token));
    EXPECT_EQ(backend.accounts.revoke_token(listed[1].id), true);
    EXPECT_FALSE(*backend.accounts.verify_token(second));
}

TEST(Tokens, RefuseWhatIsNone) {
    TestBackend backend;
    for (std::string_view bad :
         {"", "x", "0000000000000000000000000000000000000000", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
          "00000000000000000000000000000000000000000"})
        EXPECT_FALSE(*backend.accounts.verify_token(bad)) << bad;
    EXPECT_EQ(kind_of(backend.accounts.create_token("", "root", 0)), ErrorKind::invalid);
    EXPECT_EQ(kind_of(backend.accounts.create_token(UserId::generate().hex(), "user", 0)), ErrorKind::not_found);
}

TEST(Tokens, AreProlongedByUseUpToTheirLifetime) {
    TestBackend backend;
    auto const token = *backend.accounts.create_token("admin", "root", 1000);
    for (int i = 0; i < 10; ++i) {
        backend.clock.advance(900'000);
        EXPECT_TRUE(*backend.accounts.verify_token(token)) << i;
    }
    backend.clock.advance(1000'000);
    EXPECT_FALSE(*backend.accounts.verify_token(token));

    auto const old = *backend.accounts.create_token("admin", "root", 15'552'000);
    backend.clock.advance(15'551'999'000);
    EXPECT_TRUE(*backend.accounts.verify_token(old));
    backend.clock.advance(1'000);
    EXPECT_FALSE(*backend.accounts.verify_token(old));
}

TEST(Tokens, OfAUserDieWithThePassword) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    auto const token = *backend.accounts.create_token(user.id.hex(), "user", 1000);
    EXPECT_TRUE(*backend.accounts.verify_token(token));
    ASSERT_TRUE(backend.accounts.update(user.id, {.password = "new"}));
    EXPECT_FALSE(*backend.accounts.verify_token(token));
    auto const fresh = *backend.accounts.create_token(user.id.hex(), "user", 1000);
    EXPECT_TRUE(*backend.accounts.verify_token(fresh));
    ASSERT_TRUE(backend.accounts.erase(user.id));
    EXPECT_FALSE(*backend.accounts.verify_token(fresh));
}

}  // namespace
}  // namespace mallard::accounts
