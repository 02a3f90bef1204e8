#include <atomic>
#include <thread>

#include "api/test_api.hpp"
#include "encryption/test_certificates.hpp"
#include "encryption/test_pgp_keys.hpp"

namespace mallard::api {
namespace {

namespace keys = encryption::test_pgp_keys;
namespace certificates = encryption::test_certificates;

class UserUpkeep : public TestApi {};

TEST_F(UserUpkeep, DeletedLaterAUserCanBeRestored) {
    auto const id = create_user("leaver", {{"tags", {"t"}}});
    auto const path = "/users/" + id;
    auto const deleted = call("DELETE", path + "?deleteAfter=2024-02-01T00:00:00Z");
    ASSERT_EQ(deleted.status, 200u) << deleted.body;
    EXPECT_EQ(deleted.json["code"], "TaskScheduled");
    EXPECT_EQ(deleted.json["deleteAfter"], "2024-02-01T00:00:00.000Z");
    EXPECT_EQ(deleted.json["addresses"]["deleted"], 1);
    EXPECT_EQ(call("GET", path).code(), "UserNotFound");
    auto const info = call("GET", path + "/restore").json;
    EXPECT_EQ(info["username"], "leaver");
    EXPECT_EQ(info["tags"], OrderedJson::array({"t"}));
    EXPECT_EQ(info["recoverableAddresses"], OrderedJson::array({"leaver@example.com"}));

    auto const restored = call("POST", path + "/restore", Json::object());
    ASSERT_EQ(restored.status, 200u) << restored.body;
    EXPECT_EQ(restored.json["code"], "TaskCancelled");
    EXPECT_EQ(restored.json["task"], deleted.json["task"]);
    EXPECT_EQ(restored.json["addresses"], OrderedJson::parse(R"({"recovered":1,"main":"leaver@example.com"})"));
    EXPECT_EQ(call("GET", path + "/mailboxes").json["results"].size(), 5u);
    EXPECT_EQ(call("GET", path + "/restore").code(), "AccountNotFound");
    auto const again = call("POST", path + "/restore", Json::object());
    EXPECT_EQ(again.status, 500u);
    EXPECT_EQ(again.code(), "AccountNotFound");
}

TEST_F(UserUpkeep, DeletedNowAUserIsGoneAndItsMailFollows) {
    auto const path = "/users/" + create_user("leaver");
    auto const deleted = call("DELETE", path);
    ASSERT_EQ(deleted.status, 200u) << deleted.body;
    EXPECT_EQ(deleted.json["code"], "TaskScheduled");
    EXPECT_EQ(deleted.json["addresses"]["deleted"], 1);
    EXPECT_EQ(deleted.json["deleteAfter"], "2024-01-01T10:00:00.000Z");
    EXPECT_EQ(call("GET", path).code(), "UserNotFound");
    EXPECT_EQ(call("GET", path + "/restore").json["username"], "leaver");
    auto const restored = call("POST", path + "/restore", Json::object());
    EXPECT_EQ(restored.status, 500u);
    EXPECT_EQ(restored.code(), "DeleteInProgress");
    EXPECT_EQ(call("DELETE", path).json["task"], deleted.json["task"]);
    create_user("leaver");  // the name is free
    EXPECT_EQ(accounts_->run_due_tasks().value(), 1u);
    EXPECT_EQ(call("GET", path + "/restore").code(), "AccountNotFound");
    EXPECT_EQ(call("POST", path + "/restore", Json::object()).code(), "AccountNotFound");
}

TEST_F(UserUpkeep, StorageIsCountedAgainForOneNowAndForAllByATask) {
    auto const ann = create_user("ann"), bob = create_user("bob");
    auto const used = [&](std::string const& id) {
        return call("GET", "/users/" + id).json["limits"]["quota"]["used"];
    };
    for (auto const& id : {ann, bob}) {
        auto const inbox = "/users/" + id + "/mailboxes/" + mailbox_id(id, "INBOX") + "/messages";
        ASSERT_EQ(send("POST", inbox, "Subject: x\r\n\r\nx\r\n", {{"Content-Type", "message/rfc822"}}).status, 200u);
    }
    auto const right = used(ann);
    ASSERT_GT(right, 0);
    auto const one = call("POST", "/users/" + ann + "/quota/reset", Json::object()).json;
    EXPECT_EQ(one["storageUsed"], right);
    EXPECT_EQ(one["previousStorageUsed"], right);

    auto const all = call("POST", "/quota/reset", Json::object());
    ASSERT_EQ(all.status, 200u) << all.body;
    EXPECT_EQ(all.json["task"].get<std::string>().size(), 24u);
    EXPECT_EQ(accounts_->run_due_tasks().value(), 1u);
    EXPECT_EQ(accounts_->run_due_tasks().value(), 0u);
    EXPECT_EQ(used(ann), right);
    EXPECT_EQ(used(bob), right);
    EXPECT_EQ(call_as(token_of(ann, "user"), "POST", "/quota/reset", Json::object()).code(), "MissingPrivileges");
}

TEST_F(UserUpkeep, AResetPasswordHasToBeChanged) {
    auto const id = create_user("forgot");
    auto const reset = call("POST", "/users/" + id + "/password/reset", {{"validAfter", "2024-01-01T10:30:00Z"}});
    ASSERT_EQ(reset.status, 200u) << reset.body;
    EXPECT_EQ(reset.json["validAfter"], "2024-01-01T10:30:00.000Z");
    Json const login{{"username", "forgot"}, {"password", reset.json["password"]}, {"token", true}};
    EXPECT_EQ(call("POST", "/authenticate", login).code(), "TempPasswordNotYetValid");
    clock_.advance(3600 * 1000);
    auto const in = call("POST", "/authenticate", login);
    ASSERT_EQ(in.status, 200u) << in.body;
    EXPECT_EQ(in.json["requirePasswordChange"], true);
    EXPECT_EQ(in.json["address"], "forgot@example.com");
    auto const token = in.json["token"].get<std::string>();
    EXPECT_EQ(call_as(token, "PUT", "/users/me", {{"password", "chosen"}}).status, 200u);
    auto const after = call("POST", "/authenticate", {{"username", "forgot"}, {"password", "chosen"}});
    EXPECT_EQ(after.json["requirePasswordChange"], false);
    EXPECT_EQ(call("POST", "/authenticate", login).code(), "AuthFailed");
    EXPECT_EQ(call("POST", "/users/" + std::string(24, 'a') + "/password/reset", Json::object()).code(),
              "UserUpdateFail");
}

TEST_F(UserUpkeep, ACreatedUserMayHaveToChangeItsPassword) {
    create_user("fresh", {{"password", "first"}, {"requirePasswordChange", true}});
    auto const reply = call("POST", "/authenticate", {{"username", "fresh"}, {"password", "first"}});
    EXPECT_EQ(reply.json["requirePasswordChange"], true);
    EXPECT_EQ(call("POST", "/authenticate", {{"username", "fresh"}, {"password", "first"}, {"scope", "imap"}}).code(),
              "InvalidAuthScope");
}

TEST_F(UserUpkeep, KeysAndCertificatesAreCheckedAndShown) {
    auto const id = create_user("keys", {{"pubKey", keys::rsa_key},
                                         {"require2faEnabled", true},
                                         {"mtaRelay", "smtps://relay.example:465"},
                                         {"featureFlags", {{"indexing", true}}}});
    auto const path = "/users/" + id;
    auto user = call("GET", path).json;
    EXPECT_EQ(user["keyInfo"]["fingerprint"], "47034ef8f4013564c1bb9a619c442b91e47262be");
    EXPECT_EQ(user["keyInfo"]["address"], "ann@example.com");
    EXPECT_EQ(user["require2faEnabled"], true);
    EXPECT_EQ(user["mtaRelay"], "smtps://relay.example:465");
    EXPECT_EQ(user["featureFlags"]["indexing"], true);
    EXPECT_EQ(
        call("POST", "/authenticate", {{"username", "keys"}, {"password", "secretvalue"}}).json["require2faEnabled"],
        true);

    auto const changed = call("PUT", path,
                              {{"smimeCerts", {certificates::rsa_certificate, certificates::curve_certificate}},
                               {"smimeCipher", "AES-GCM"},
                               {"smimeKeyTransport", "OAEP"},
                               {"mtaRelay", ""},
                               {"featureFlags", {{"indexing", false}}}});
    ASSERT_EQ(changed.status, 200u) << changed.body;
    user = call("GET", path).json;
    EXPECT_EQ(user["keyInfo"], false);
    EXPECT_EQ(user["pubKey"], "");
    ASSERT_EQ(user["smimeCertInfo"].size(), 2u);
    EXPECT_EQ(user["smimeCertInfo"][0]["serial"], "1234ABCD");
    EXPECT_EQ(user["smimeCipher"], "AES-GCM");
    EXPECT_FALSE(user.contains("mtaRelay"));
    EXPECT_FALSE(user["featureFlags"].value("indexing", false));

    EXPECT_EQ(call("PUT", path, {{"pubKey", keys::curve_key}}).status, 200u);
    user = call("GET", path).json;
    EXPECT_EQ(user["smimeCerts"].size(), 0u);
    EXPECT_EQ(user["smimeCipher"], "AES-CBC");
    EXPECT_EQ(user["keyInfo"]["name"], "Bob Curve");

    for (Json const& bad : {Json{{"pubKey", keys::small_key}}, Json{{"pubKey", keys::signing_key}},
                            Json{{"smimeCerts", {certificates::small_certificate}}}}) {
        auto const reply = call("PUT", path, bad);
        EXPECT_EQ(reply.status, 400u);
        EXPECT_EQ(reply.code(), "InputValidationError");
    }
    EXPECT_EQ(call("POST", "/users",
                   {{"username", "both"},
                    {"password", "x"},
                    {"pubKey", keys::rsa_key},
                    {"smimeCerts", {certificates::rsa_certificate}}})
                  .code(),
              "InputValidationError");
}

TEST_F(UserUpkeep, TheRetentionOfAUserIsThatOfNewMailboxes) {
    auto const id = create_user("keeper", {{"retention", 86'400'000}});
    auto const base = "/users/" + id + "/mailboxes";
    auto const shown = [&](std::string const& path) { return call("GET", base + "/resolve?path=" + path).json; };
    EXPECT_EQ(shown("INBOX")["retention"], 86'400'000);
    EXPECT_EQ(call("POST", base, {{"path", "Own"}, {"retention", 5000}}).status, 200u);
    EXPECT_EQ(call("POST", base, {{"path", "Plain"}}).status, 200u);
    EXPECT_EQ(shown("Own")["retention"], 5000);
    EXPECT_EQ(shown("Plain")["retention"], 86'400'000);
}

TEST_F(UserUpkeep, EncryptionOfForwardedMailIsASettingThatIsKept) {  // for who forwards: WildDuck on the same data
    auto const id = create_user("clear", {{"encryptForwarded", true}});
    EXPECT_EQ(call("GET", "/users/" + id).json["encryptForwarded"], true);
    EXPECT_EQ(call("PUT", "/users/" + id, {{"encryptForwarded", false}}).status, 200u);
    EXPECT_EQ(call("GET", "/users/" + id).json["encryptForwarded"], false);
}

TEST_F(UserUpkeep, UploadedMailIsEncryptedForItsUser) {
    auto const id = create_user("secret", {{"encryptMessages", true}, {"pubKey", keys::curve_key}});
    auto const messages = "/users/" + id + "/mailboxes/" + mailbox_id(id, "INBOX") + "/messages";
    TestHeaders const raw{{"Content-Type", "message/rfc822"}};
    ASSERT_EQ(send("POST", messages, "Subject: plans\r\n\r\nsecret plans\r\n", raw).status, 200u);
    auto const shown = call("GET", messages).json["results"][0];
    EXPECT_EQ(shown["subject"], "plans");
    EXPECT_EQ(shown["encrypted"], true);
    EXPECT_EQ(shown["intro"], "");
    EXPECT_EQ(call("GET", messages + "/1/message.eml").body.find("secret"), std::string::npos);

    EXPECT_EQ(call("PUT", "/users/" + id, {{"smimeCerts", {certificates::rsa_certificate}}}).status, 200u);
    ASSERT_EQ(send("POST", messages, "Subject: plans\r\n\r\nsecret plans\r\n", raw).status, 200u);
    auto const smime = call("GET", messages).json["results"][0];
    EXPECT_EQ(smime["contentType"]["value"], "application/pkcs7-mime");
    EXPECT_EQ(smime["encrypted"], true);

    auto const boxes = "/users/" + id + "/mailboxes";
    auto const box = call("POST", boxes, {{"path", "Vault"}, {"encryptMessages", true}}).json.value("id", "");
    EXPECT_EQ(call("GET", boxes + "/" + box).json["encryptMessages"], true);
    EXPECT_EQ(call("PUT", boxes + "/" + box, {{"encryptMessages", false}}).status, 200u);
    EXPECT_EQ(call("GET", boxes + "/" + box).json["encryptMessages"], false);
}

// Many at once ask for one name or one address: one has it, and each of the others is told so.
TEST_F(UserUpkeep, OneOfManyCreationsOfANameSucceeds) {
    for (bool const same_name : {true, false}) {
        std::atomic<int> created = 0, refused = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&, i] {
                Json const user{{"username", same_name ? "contested" : "rival" + std::to_string(i)},
                                {"password", "x"},
                                {"address", same_name ? "a" + std::to_string(i) + "@example.com" : "one@example.com"}};
                auto const reply = call("POST", "/users", user);
                created += reply.status == 200;
                refused += reply.code() == (same_name ? "UserExistsError" : "AddressExistsError");
            });
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(created, 1);
        EXPECT_EQ(refused, 7);
    }
    auto const list = call("GET", "/users").json;
    EXPECT_EQ(list["total"], 2);
    for (auto const& user : list["results"])
        EXPECT_EQ(call("GET", "/users/" + user["id"].get<std::string>() + "/mailboxes").json["results"].size(), 5u);
    EXPECT_EQ(call("GET", "/addresses").json["total"], 2);
}

TEST_F(UserUpkeep, AUserChangedWhileItIsDeletedIsGoneInTheEnd) {
    for (int round = 0; round < 20; ++round) {
        auto const id = create_user("racer");
        std::vector<std::thread> threads;
        threads.emplace_back([&] { EXPECT_EQ(call("DELETE", "/users/" + id).status, 200u); });
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] {
                auto const reply = call("PUT", "/users/" + id, {{"name", "New"}});
                EXPECT_TRUE(reply.status == 200 || reply.code() == "UserNotFound") << reply.body;
                auto const added = call("POST", "/users/" + id + "/addresses", {{"address", "racer2@example.com"}});
                EXPECT_TRUE(added.status == 200 || added.code() == "UserNotFound" ||
                            added.code() == "AddressExistsError")
                    << added.body;
            });
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(call("GET", "/users/" + id).code(), "UserNotFound");
        EXPECT_EQ(call("GET", "/addresses").json["total"], 0) << "round " << round;
    }
}

}  // namespace
}  // namespace mallard::api
