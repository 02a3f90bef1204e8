// The documents of accounts, to the letter (storage.md §3), of a store whose documents are the same in every engine.
#include "accounts/entities.hpp"
#include "accounts/test_backend.hpp"
#include "base/encoding.hpp"
#include "store/bson_text.hpp"

namespace mallard::accounts {
namespace {

using bson::Document;

class GoldenAccounts : public testing::Test {
protected:
    // The documents of a collection by their ids; `new`: an id that the test does not know.
    std::string shown(store::Collection const& collection) {
        auto const found = backend.documents.find(collection, {});
        EXPECT_TRUE(found);
        std::string out;
        for (auto document : *found) {
            if (!names.contains(document.id("_id").value())) document.set("_id", "new");
            for (char const* random : {"password"})
                if (auto const* text = document.find(random); text && !document.text(random).empty())
                    document.set(random, document.text(random).substr(0, 16));
            out += bson::to_text(document, names) + "\n";
        }
        return out;
    }
    User add(NewUser const& user) {
        auto const made = backend.accounts.create(user);
        EXPECT_TRUE(made) << made.error().message;
        names[made->id] = "user";
        return *made;
    }

    TestBackend backend;
    bson::Names names;
    std::string const now = "Date(" + std::to_string(backend.clock.now()) + ")";
};

TEST_F(GoldenAccounts, WriteAUser) {  // §3.1
    add({.username = "Ada.L",
         .password = "secret",
         .tags = {"b", "A"},
         .limits = {.quota = 5'000'000'000, .recipients = 100},
         .spam_level = 33.5,
         .retention_ms = 86'400'000});
    EXPECT_EQ(shown(users_collection()),
              "{_id:user, username:\"ada.l\", unameview:\"adal\", name:null, password:\"$pbkdf2-sha256$i\", "
              "enabled2fa:[], seed:\"\", pendingSeed:\"\", pendingSeedChanged:false, webauthn:{credentials:[]}, "
              "authVersion:1, address:\"ada.l@example.com\", language:null, storageUsed:0, quota:5000000000.0, "
              "recipients:100, forwards:0, filters:0, imapMaxUpload:0, imapMaxDownload:0, pop3MaxDownload:0, "
              "pop3MaxMessages:0, imapMaxConnections:0, receivedMax:0, targets:[], autoreply:false, "
              "uploadSentMessages:false, pubKey:\"\", smimeCerts:[], smimeCipher:\"AES-CBC\", "
              "smimeKeyTransport:\"PKCS#1 v1.5\", encryptMessages:false, encryptForwarded:false, "
              "spamLevel:33.500000, retention:86400000, disabledScopes:[], require2faEnabled:false, "
              "lastLogin:{time:false, authEvent:false, ip:false}, metaData:\"\", internalData:\"\", activated:true, "
              "disabled:false, suspended:false, featureFlags:{}, created:" +
                  now + ", tags:[\"A\", \"b\"], tagsview:[\"a\", \"b\"]}\n");
}

TEST_F(GoldenAccounts, KeepTheTypesOfNumbersWhenAUserChanges) {  // §1
    auto const user = add({.username = "ada", .password = "secret"});
    ASSERT_TRUE(backend.accounts.update(user.id, {.quota = 3'000'000'000, .recipients = 7, .spam_level = 80.0}));
    auto const document = **backend.documents.get(users_collection(), user.id);
    EXPECT_EQ(bson::to_text(*document.find("quota")), "3000000000.0");
    EXPECT_EQ(bson::to_text(*document.find("recipients")), "7");
    EXPECT_EQ(bson::to_text(*document.find("spamLevel")), "80");
}

TEST_F(GoldenAccounts, WriteAddressesPlainAndWild) {  // §3.3, §16.5
    auto const user = add({.username = "ada", .password = "secret"});
    ASSERT_TRUE(
        backend.accounts.add_address(user.id, "A.Da@Other.example", "Ada", {"t"}, R"({"a":1})", "", false, false));
    ASSERT_TRUE(backend.accounts.add_address(user.id, "*@wild.example", "", {}, "", "", false, true));
    EXPECT_EQ(shown(addresses_collection()),
              "{_id:\"new\", user:user, address:\"ada@example.com\", addrview:\"ada@example.com\", created:" + now +
                  "}\n"
                  "{_id:\"new\", user:user, name:\"Ada\", address:\"a.da@other.example\", "
                  "addrview:\"ada@other.example\", created:" +
                  now +
                  ", tags:[\"t\"], tagsview:[\"t\"], metaData:\"{\\\"a\\\":1}\"}\n"
                  "{_id:\"new\", user:user, address:\"*@wild.example\", addrview:\"*@wild.example\", created:" +
                  now + "}\n");
    // Domains of wildcard addresses are remembered too, but for such as have the wildcard themselves (§3.4).
    EXPECT_EQ(shown(domain_cache_collection()),
              "{_id:\"new\", domain:\"example.com\"}\n{_id:\"new\", domain:\"other.example\"}\n"
              "{_id:\"new\", domain:\"wild.example\"}\n");
}

TEST_F(GoldenAccounts, WriteDomainAliases) {  // §3.4, §16.1
    ASSERT_TRUE(backend.accounts.add_domain_alias("XN--BCHER-KVA.example", "Example.com"));
    EXPECT_EQ(shown(domain_aliases_collection()),
              "{_id:\"new\", alias:\"b\\xc3\\xbccher.example\", domain:\"example.com\", created:" + now + "}\n");
}

TEST_F(GoldenAccounts, WriteTheLogOfLogins) {  // §3.6
    add({.username = "ada", .password = "secret"});
    EXPECT_TRUE(backend.log_in("ada", "secret"));
    EXPECT_FALSE(backend.log_in("ada", "wrong"));
    backend.clock.advance(60'000);
    EXPECT_FALSE(backend.log_in("ada", "wrong again"));
    auto const rows = backend.documents.find(authlog_collection(), {});
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), 3u);  // the failures are one event, counted twice
    auto const& failure = (*rows)[2];
    EXPECT_EQ(failure.text("action"), "authentication");
    EXPECT_EQ(failure.text("result"), "fail");
    EXPECT_EQ(bson::to_text(*failure.find("events")), "2");
    EXPECT_EQ(*failure.date("last") - *failure.date("created"), 60'000);
    EXPECT_EQ(*failure.date("expires") - *failure.date("created"), 30LL * 24 * 3'600'000);
    EXPECT_EQ(failure.text("protocol"), "IMAP");
    EXPECT_EQ(failure.text("ip"), "192.0.2.1");
    // MD5 of "IMAP^192.0.2.1^authentication^fail^".
    EXPECT_EQ(hex_encode(failure.find("key")->as<bson::Binary>()->bytes), "98e10a53189d205c6b05861f1920f1ac");
    EXPECT_EQ((*rows)[0].text("action"), "account created");
    EXPECT_TRUE((*rows)[0].find("ip")->is_null());
}

TEST_F(GoldenAccounts, NameTheirSharedKeysAsWildDuckDoes) {  // §14, §15.2
    auto const user = add({.username = "ada", .password = "secret", .indexing_feature = true});
    auto& state = backend.state;
    EXPECT_EQ(*state.members("feature:indexing"), std::vector{user.id.hex()});
    ASSERT_TRUE(backend.accounts.update(user.id, {.indexing_feature = false}));
    EXPECT_TRUE(state.members("feature:indexing")->empty());

    EXPECT_FALSE(backend.log_in("ada", "wrong"));
    EXPECT_FALSE(backend.log_in("No.Body", "wrong"));
    for (std::string const& name : {user.id.hex(), std::string("nobody")}) {
        auto const failures = state.count("auth_user:" + name, 0, 12, std::chrono::seconds(120));
        EXPECT_EQ(failures->value, 1) << name;
        EXPECT_EQ(failures->resets, std::chrono::seconds(120)) << name;
    }
    EXPECT_TRUE(backend.log_in("ada", "secret"));
    EXPECT_EQ(state.count("auth_user:" + user.id.hex(), 0, 12, std::chrono::seconds(120))->value, 0);

    for (char const* kind : {"iup", "idw", "pdw"}) {
        ASSERT_TRUE(backend.accounts.use_allowance(user, kind, 1'000));
        auto const used = state.count(kind + (":" + user.id.hex()), 0, 1'000'000, std::chrono::hours(24));
        EXPECT_EQ(used->value, 1'000) << kind;
        EXPECT_EQ(used->resets, std::chrono::hours(24)) << kind;
    }
    ASSERT_TRUE(backend.accounts.session_opened(user.id, "imap"));
    EXPECT_EQ(*state.hash("lim:imap"), (store::SharedState::Hash{{user.id.hex(), "1"}}));
}

}  // namespace
}  // namespace mallard::accounts
