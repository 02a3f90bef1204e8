#include "api/test_api.hpp"

namespace mallard::api {
namespace {

class Users : public TestApi {};

TEST_F(Users, AreCreatedShownChangedAndDeleted) {
    auto const id = create_user("My.User", {{"name", "My Name"},
                                            {"address", "Main+label@Example.COM"},
                                            {"quota", "1000000"},
                                            {"tags", {"b", "A", "a"}},
                                            {"targets", {"x@example.org", "smtp://mx.example.org:25"}},
                                            {"metaData", {{"a", 1}}},
                                            {"internalData", "{\"secret\":true}"}});
    ASSERT_EQ(id.size(), 24u);
    auto user = call("GET", "/users/" + id).json;
    EXPECT_EQ(user["success"], true);
    EXPECT_EQ(user["username"], "my.user");
    EXPECT_EQ(user["name"], "My Name");
    EXPECT_EQ(user["address"], "main@example.com");
    EXPECT_EQ(user["limits"]["quota"]["allowed"], 1000000);
    EXPECT_EQ(user["limits"]["quota"]["used"], 0);
    EXPECT_EQ(user["limits"]["recipients"], OrderedJson::parse(R"({"allowed":2000,"used":0,"ttl":false})"));
    EXPECT_EQ(user["limits"]["pop3MaxMessages"], OrderedJson::parse(R"({"allowed":250})"));
    EXPECT_EQ(user["limits"]["imapMaxConnections"], OrderedJson::parse(R"({"allowed":15,"used":0})"));
    EXPECT_EQ(user["tags"], OrderedJson::array({"A", "b"}));
    EXPECT_EQ(user["targets"], OrderedJson::array({"x@example.org", "smtp://mx.example.org:25"}));
    EXPECT_EQ(user["metaData"], OrderedJson::parse(R"({"a":1})"));
    EXPECT_EQ(user["internalData"], OrderedJson::parse(R"({"secret":true})"));
    EXPECT_EQ(user["keyInfo"], false);
    EXPECT_EQ(user["hasPasswordSet"], true);
    EXPECT_EQ(user["activated"], true);
    EXPECT_TRUE(user["language"].is_null());

    EXPECT_EQ(call("PUT", "/users/" + id, {{"name", ""}, {"disabled", "yes"}, {"spamLevel", 12}}).status, 200u);
    user = call("GET", "/users/" + id).json;
    EXPECT_EQ(user["disabled"], true);
    EXPECT_EQ(user["spamLevel"], 12);
    EXPECT_EQ(user["metaData"], OrderedJson::parse(R"({"a":1})"));

    auto const deleted = call("DELETE", "/users/" + id).json;
    EXPECT_EQ(deleted["code"], "TaskScheduled");
    EXPECT_EQ(deleted["user"], id);
    EXPECT_EQ(deleted["addresses"]["deleted"], 1);
    EXPECT_EQ(call("GET", "/users/" + id).code(), "UserNotFound");
    EXPECT_EQ(call("DELETE", "/users/" + id).status, 200u);  // also for an unknown user
}

TEST_F(Users, HaveFiveMailboxesNamedInTheirLanguageOrAsAsked) {
    auto const german = create_user("german", {{"language", "de_AT"}});
    auto const list = call("GET", "/users/" + german + "/mailboxes").json["results"];
    ASSERT_EQ(list.size(), 5u);
    EXPECT_EQ(list[0]["path"], "INBOX");
    auto const named = create_user("named", {{"mailboxes", {{"sent", "Outgoing"}}}});
    EXPECT_EQ(call("GET", "/users/" + named + "/mailboxes/resolve?path=Outgoing").json["specialUse"], "\\Sent");
}

TEST_F(Users, AreRefusedInWildDucksWords) {
    create_user("taken", {{"address", "taken@example.com"}});
    auto reply = call("POST", "/users", {{"username", "ta.ken"}, {"password", "x"}});
    EXPECT_EQ(reply.status, 500u);
    EXPECT_EQ(reply.code(), "UserExistsError");
    EXPECT_EQ(reply.json["username"], "ta.ken");
    reply = call("POST", "/users", {{"username", "other"}, {"password", "x"}, {"address", "tak.en@example.com"}});
    EXPECT_EQ(reply.status, 500u);
    EXPECT_EQ(reply.code(), "AddressExistsError");
    reply = call("POST", "/users", {{"username", "hashed"}, {"password", "plain"}, {"hashedPassword", true}});
    EXPECT_EQ(reply.status, 500u);
    EXPECT_EQ(reply.code(), "HashError");
    reply = call("POST", "/users", {{"username", "star"}, {"password", "x"}, {"address", "a*b@example.com"}});
    EXPECT_EQ(reply.status, 400u);
    EXPECT_EQ(reply.code(), "InputValidationError");
    std::string const unknown(24, 'a');
    EXPECT_EQ(call("GET", "/users/" + unknown).status, 404u);
    reply = call("PUT", "/users/" + unknown, {{"name", "x"}});
    EXPECT_EQ(reply.status, 500u);
    EXPECT_EQ(reply.code(), "UserNotFound");
    EXPECT_EQ(call("PUT", "/users/" + unknown + "/logout", Json::object()).status, 500u);
    EXPECT_EQ(call("GET", "/users/xyz").code(), "InputValidationError");
    EXPECT_EQ(call("GET", "/users/resolve/nobody").code(), "UserNotFound");
}

TEST_F(Users, AreFoundByNameWithoutDots) {
    auto const id = create_user("some.one");
    EXPECT_EQ(call("GET", "/users/resolve/someone").json["id"], id);
    EXPECT_EQ(call("GET", "/users/resolve/Some.One").json["id"], id);
}

TEST_F(Users, ArePagedByCursors) {
    std::vector<std::string> ids;
    for (int i = 0; i < 5; ++i)
        ids.push_back(create_user("page" + std::to_string(i), {{"tags", {i % 2 ? "odd" : "even"}}}));
    auto const first = call("GET", "/users?limit=2").json;
    EXPECT_EQ(first["total"], 5);
    EXPECT_EQ(first["page"], 1);
    EXPECT_EQ(first["previousCursor"], false);
    EXPECT_FALSE(first.contains("query"));
    EXPECT_EQ(first["results"][0]["id"], ids[0]);
    auto const second = call("GET", "/users?limit=2&next=" + first["nextCursor"].get<std::string>()).json;
    EXPECT_EQ(second["page"], 2);
    EXPECT_EQ(second["results"][0]["id"], ids[2]);
    auto const last = call("GET", "/users?limit=2&next=" + second["nextCursor"].get<std::string>()).json;
    EXPECT_EQ(last["page"], 3);
    EXPECT_EQ(last["nextCursor"], false);
    EXPECT_EQ(last["results"].size(), 1u);
    auto const back = call("GET", "/users?limit=2&previous=" + last["previousCursor"].get<std::string>()).json;
    EXPECT_EQ(back["page"], 2);
    EXPECT_EQ(back["results"], second["results"]);

    EXPECT_EQ(call("GET", "/users?query=page3").json["results"].size(), 1u);
    EXPECT_EQ(call("GET", "/users?tags=odd").json["total"], 2);
    EXPECT_EQ(call("GET", "/users?requiredTags=odd,even").json["total"], 0);
    EXPECT_EQ(call("GET", "/users?next=%25%25").status, 400u);
    auto const wrong = call("GET", "/users?next=WyJ7XCJhXCI6MX0iLDJd");  // ["{\"a\":1}",2]
    EXPECT_EQ(wrong.status, 500u);
    EXPECT_NE(wrong.error().find("Invalid paging cursor"), std::string::npos);
    EXPECT_EQ(call("GET", "/users?limit=251").status, 400u);
}

TEST_F(Users, SeeAndChangeOnlyThemselvesWithTheirOwnToken) {
    auto const id = create_user("self", {{"internalData", {{"x", 1}}}, {"tags", {"t"}}, {"quota", 500}});
    auto const other = create_user("somebodyelse");
    auto const token = token_of(id, "user");
    auto const shown = call_as(token, "GET", "/users/me").json;
    EXPECT_EQ(shown["id"], id);
    EXPECT_FALSE(shown.contains("internalData"));
    EXPECT_FALSE(shown.contains("tags"));
    EXPECT_EQ(call_as(token, "GET", "/users/" + other).code(), "MissingPrivileges");
    EXPECT_EQ(call_as(token, "DELETE", "/users/" + id).code(), "MissingPrivileges");
    auto const list = call_as(token, "GET", "/users").json;
    EXPECT_EQ(list["total"], 1);
    EXPECT_EQ(list["results"][0]["id"], id);
    EXPECT_EQ(call_as(token, "GET", "/users?user=" + id).json["total"], 1);
    EXPECT_EQ(call_as(token, "GET", "/addresses?user=me").json["total"], 1);
    EXPECT_EQ(call_as(token, "PUT", "/users/me", {{"name", "New"}, {"quota", 9999999}, {"suspended", true}}).status,
              200u);
    auto const after = call("GET", "/users/" + id).json;
    EXPECT_EQ(after["name"], "New");
    EXPECT_EQ(after["suspended"], false);
    EXPECT_EQ(after["limits"]["quota"]["allowed"], 500);
}

TEST_F(Users, LogInAndOut) {
    auto const id = create_user("login", {{"password", "right"}, {"address", "login@example.com"}});
    auto reply = call("POST", "/authenticate", {{"username", "login"}, {"password", "right"}, {"token", true}});
    ASSERT_EQ(reply.status, 200u) << reply.body;
    EXPECT_EQ(reply.json["id"], id);
    EXPECT_EQ(reply.json["username"], "login");
    EXPECT_EQ(reply.json["address"], "login@example.com");
    EXPECT_EQ(reply.json["scope"], "master");
    EXPECT_EQ(reply.json["require2fa"], false);
    EXPECT_EQ(reply.json["requirePasswordChange"], false);
    auto const token = reply.json["token"].get<std::string>();
    EXPECT_EQ(token.size(), 40u);
    EXPECT_EQ(call_as(token, "GET", "/authenticated").status, 200u);
    EXPECT_EQ(call_as(token, "DELETE", "/authenticate").status, 200u);
    EXPECT_EQ(call_as(token, "GET", "/users/me").code(), "InvalidToken");

    EXPECT_EQ(call("POST", "/authenticate", {{"username", "login@example.com"}, {"password", "right"}}).status, 200u);
    reply = call("POST", "/authenticate", {{"username", "login"}, {"password", "wrong"}});
    EXPECT_EQ(reply.status, 403u);
    EXPECT_EQ(reply.code(), "AuthFailed");
    EXPECT_EQ(reply.json["id"], id);
    reply = call("POST", "/authenticate", {{"username", "nobody"}, {"password", "wrong"}});
    EXPECT_EQ(reply.code(), "AuthFailed");
    EXPECT_FALSE(reply.json.contains("id"));
    EXPECT_EQ(call("POST", "/authenticate",
                   {{"username", "login"}, {"password", "right"}, {"scope", "imap"}, {"token", true}})
                  .status,
              400u);
    EXPECT_EQ(call("POST", "/authenticate", {{"username", "login"}, {"password", "right"}, {"scope", "ftp"}}).code(),
              "InvalidAuthScope");
    EXPECT_EQ(call("POST", "/preauth", {{"username", "login"}}).json["id"], id);
    EXPECT_EQ(call("POST", "/preauth", {{"username", "nobody"}}).code(), "AuthFailed");

    EXPECT_EQ(call("PUT", "/users/" + id, {{"existingPassword", "wrong"}, {"password", "new"}}).code(), "AuthFail");
    EXPECT_EQ(call("PUT", "/users/" + id, {{"existingPassword", "right"}, {"password", "new"}}).status, 200u);
    EXPECT_EQ(call("POST", "/authenticate", {{"username", "login"}, {"password", "new"}}).status, 200u);
    EXPECT_EQ(call("PUT", "/users/" + id, {{"password", false}}).status, 200u);
    EXPECT_EQ(call("GET", "/users/" + id).json["hasPasswordSet"], false);
    EXPECT_EQ(call("POST", "/authenticate", {{"username", "login"}, {"password", "new"}}).code(), "AuthFailed");
}

TEST_F(Users, KeepTheTokenThatChangedThePasswordAndNoOther) {
    auto const id = create_user("changer");
    auto const asking = token_of(id, "user"), other = token_of(id, "user");
    EXPECT_EQ(call_as(asking, "PUT", "/users/me", {{"password", "new"}}).status, 200u);
    EXPECT_EQ(call_as(asking, "GET", "/users/me").status, 200u);
    EXPECT_EQ(call_as(other, "GET", "/users/me").code(), "InvalidToken");
    EXPECT_EQ(call("PUT", "/users/" + id, {{"suspended", true}}).status, 200u);
    EXPECT_EQ(call_as(asking, "GET", "/users/me").code(), "InvalidToken");
}

TEST_F(Users, AreHeldUpAfterManyWrongPasswords) {
    create_user("limited");
    for (int i = 0; i < 12; ++i) (void)call("POST", "/authenticate", {{"username", "limited"}, {"password", "wrong"}});
    auto const reply = call("POST", "/authenticate", {{"username", "limited"}, {"password", "secretvalue"}});
    EXPECT_EQ(reply.status, 403u);
    EXPECT_EQ(reply.code(), "RateLimitedError");
}

TEST_F(Users, NeverGetTokensForRoleAuth) {
    create_user("authed");
    auto const token = token_of("frontend", "auth");
    auto const reply =
        call_as(token, "POST", "/authenticate", {{"username", "authed"}, {"password", "secretvalue"}, {"token", true}});
    EXPECT_EQ(reply.status, 200u);
    EXPECT_FALSE(reply.json.contains("token"));
}

TEST_F(Users, LogoutEndsSessionsByAnEvent) {
    auto const id = create_user("bye");
    std::string reason;
    auto const subscription =
        store_->events().subscribe(*UserId::from_hex(id), [&](store::Event const& event) { reason = event.reason; });
    EXPECT_EQ(call("PUT", "/users/" + id + "/logout", {{"reason", "Because"}}).status, 200u);
    EXPECT_EQ(reason, "Because");
}

class Addresses : public TestApi {};

TEST_F(Addresses, AreAddedListedChangedAndRemoved) {
    auto const user = create_user("owner", {{"address", "owner@example.com"}});
    auto const base = "/users/" + user + "/addresses";
    auto created =
        call("POST", base, {{"address", "second@example.com"}, {"name", "Second"}, {"metaData", {{"k", "v"}}}});
    ASSERT_EQ(created.status, 200u) << created.body;
    auto const id = created.json["id"].get<std::string>();
    auto list = call("GET", base + "?metaData=1").json["results"];
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0]["address"], "owner@example.com");
    EXPECT_EQ(list[0]["main"], true);
    EXPECT_FALSE(list[0].contains("name"));
    EXPECT_EQ(list[1]["metaData"], OrderedJson::parse(R"({"k":"v"})"));
    EXPECT_EQ(call("GET", base + "/" + id).json["name"], "Second");
    EXPECT_EQ(call("PUT", base + "/" + id, {{"address", "renamed@example.com"}, {"main", true}}).status, 200u);
    EXPECT_EQ(call("GET", "/users/" + user).json["address"], "renamed@example.com");
    EXPECT_EQ(call("DELETE", base + "/" + id).code(), "NotPermitted");
    auto const old = list[0]["id"].get<std::string>();
    EXPECT_EQ(call("DELETE", base + "/" + old).status, 200u);
    EXPECT_EQ(call("DELETE", base + "/" + old).code(), "AddressNotFound");
    EXPECT_EQ(call("GET", "/addresses/resolve/re.named%2Blabel%40example.com").json["user"], user);
    EXPECT_EQ(call("GET", "/addresses/resolve/" + id).json["address"], "renamed@example.com");
    EXPECT_EQ(call("GET", "/addresses/resolve/none%40example.com").code(), "AddressNotFound");
    EXPECT_EQ(call("GET", "/addresses").json["total"], 1);
    EXPECT_EQ(call("GET", "/addresses").json["query"], "");
}

TEST_F(Addresses, AreRefusedInWildDucksWords) {
    auto const user = create_user("owner");
    auto const other = create_user("other");
    auto const base = "/users/" + user + "/addresses";
    EXPECT_EQ(call("POST", base, {{"address", "a+b@example.com"}}).code(), "InputValidationError");
    EXPECT_EQ(call("POST", base, {{"address", "*@example.com"}}).code(), "InputValidationError");
    EXPECT_EQ(call("POST", base, {{"address", "*@example.com"}, {"allowWildcard", true}, {"main", true}}).code(),
              "InputValidationError");
    EXPECT_EQ(call("POST", base, {{"address", "*@example.com"}, {"allowWildcard", true}}).status, 200u);
    auto reply = call("POST", base, {{"address", "oth.er@example.com"}});
    EXPECT_EQ(reply.status, 400u);
    EXPECT_EQ(reply.code(), "AddressExistsError");
    EXPECT_EQ(call("GET", "/addresses/resolve/any%40example.com").status, 404u);
    auto const wild = call("GET", "/addresses/resolve/any%40example.com?allowWildcard=1");
    ASSERT_EQ(wild.status, 200u);
    auto const id = wild.json["id"].get<std::string>();
    EXPECT_EQ(call("PUT", base + "/" + id, {{"address", "x@example.com"}}).code(), "ChangeNotAllowed");
    EXPECT_EQ(call("PUT", base + "/" + id, {{"main", true}}).code(), "WildcardNotPermitted");
    EXPECT_EQ(call("PUT", base + "/" + id, {{"main", false}}).code(), "InputValidationError");
    EXPECT_EQ(call("GET", "/users/" + other + "/addresses/" + id).code(), "AddressNotFound");
    reply = call("GET", "/users/" + std::string(24, 'a') + "/addresses");
    EXPECT_EQ(reply.status, 404u);
    EXPECT_EQ(reply.error(), "This user does not exist");
}

TEST_F(Addresses, OfATokensUserAloneAreListed) {
    auto const user = create_user("owner", {{"address", "owner@example.com"}});
    create_user("other");
    auto const list = call_as(token_of(user, "user"), "GET", "/addresses?internalData=true").json;
    ASSERT_EQ(list["results"].size(), 1u);
    EXPECT_EQ(list["results"][0]["user"], user);
    EXPECT_EQ(list["results"][0]["forwarded"], false);
}

TEST_F(Addresses, AreFoundByTheirForwardingTargetOfUsersToo) {
    create_user("plain");
    auto const id = create_user("forwards", {{"targets", {"away@elsewhere.example"}}});
    auto const users = call("GET", "/users?forward=elsewhere").json["results"];
    ASSERT_EQ(users.size(), 1u);
    EXPECT_EQ(users[0]["id"], id);
}

TEST_F(Addresses, ForwardToTheirTargets) {
    auto created =
        call("POST", "/addresses/forwarded",
             {{"address", "info@example.com"},
              {"name", "Info"},
              {"targets", {"a@example.org", "smtp://mx.example.org:25"}},
              {"forwards", 10},
              {"tags", {"t"}},
              {"autoreply", {{"subject", "Away"}, {"text", "Back soon"}, {"start", "2024-01-01T00:00:00Z"}}}});
    ASSERT_EQ(created.status, 200u) << created.body;
    auto const id = created.json["id"].get<std::string>();
    auto const path = "/addresses/forwarded/" + id;
    auto shown = call("GET", path).json;
    EXPECT_EQ(shown["targets"], OrderedJson::array({"a@example.org", "smtp://mx.example.org:25"}));
    EXPECT_EQ(shown["limits"]["forwards"], OrderedJson::parse(R"({"allowed":10,"used":0,"ttl":false})"));
    EXPECT_EQ(shown["autoreply"],
              OrderedJson::parse(R"({"status":true,"start":"2024-01-01T00:00:00.000Z","subject":"Away",)"
                                 R"("text":"Back soon"})"));
    EXPECT_EQ(call("GET", "/addresses/resolve/in.fo%40example.com").json["autoreply"]["status"], true);
    auto const listed = call("GET", "/addresses?forward=mx.example").json["results"];
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0]["forwarded"], true);
    EXPECT_FALSE(listed[0].contains("user"));

    EXPECT_EQ(call("PUT", path,
                   {{"forwardedDisabled", true},
                    {"targets", {"b@example.org"}},
                    {"forwards", 0},
                    {"autoreply", {{"status", false}, {"text", ""}}}})
                  .status,
              200u);
    shown = call("GET", path).json;
    EXPECT_EQ(shown["forwardedDisabled"], true);
    EXPECT_EQ(shown["targets"], OrderedJson::array({"b@example.org"}));
    EXPECT_EQ(shown["limits"]["forwards"]["allowed"], 10);
    EXPECT_EQ(shown["autoreply"]["status"], false);
    EXPECT_FALSE(shown["autoreply"].contains("text"));
    EXPECT_EQ(shown["autoreply"]["subject"], "Away");

    EXPECT_EQ(call("POST", "/addresses/forwarded", {{"address", "i.nfo@example.com"}}).code(), "AddressExistsError");
    EXPECT_EQ(
        call("POST", "/addresses/forwarded", {{"address", "x@example.com"}, {"targets", {"x@example.com"}}}).code(),
        "InputValidationError");
    EXPECT_EQ(call("POST", "/addresses/forwarded", {{"address", "*@example.com"}}).code(), "InputValidationError");
    EXPECT_EQ(call("POST", "/addresses/forwarded", {{"address", "x+y@example.com"}}).code(), "InputValidationError");
    auto const user = create_user("owner");
    auto const own = call("GET", "/users/" + user + "/addresses").json["results"][0]["id"].get<std::string>();
    for (auto const* method : {"GET", "DELETE"})
        EXPECT_EQ(call(method, "/addresses/forwarded/" + own).code(), "AddressNotFound");
    EXPECT_EQ(call("PUT", "/addresses/forwarded/" + own, {{"name", "x"}}).code(), "AddressNotFound");
    EXPECT_EQ(call("DELETE", path).status, 200u);
    EXPECT_EQ(call("GET", path).code(), "AddressNotFound");
}

TEST_F(Addresses, FollowTheirDomainAndItsAliases) {
    auto const user = create_user("owner");
    auto created = call("POST", "/domainaliases", {{"alias", "Alias.example"}, {"domain", "example.com"}});
    ASSERT_EQ(created.status, 200u) << created.body;
    auto const id = created.json["id"].get<std::string>();
    EXPECT_EQ(call("POST", "/domainaliases", {{"alias", "alias.example"}, {"domain", "x.example"}}).code(),
              "AliasExists");
    auto reply = call("POST", "/domainaliases", {{"alias", "no domain"}, {"domain", "x.example"}});
    EXPECT_EQ(reply.code(), "InputValidationError");
    EXPECT_TRUE(reply.json["details"].contains("alias"));
    EXPECT_EQ(call("GET", "/domainaliases/resolve/ALIAS.example").json["id"], id);
    EXPECT_EQ(call("GET", "/domainaliases/resolve/none.example").code(), "AliasNotFound");
    EXPECT_EQ(call("GET", "/domainaliases/" + id).json["alias"], "alias.example");
    auto const list = call("GET", "/domainaliases?query=alias").json;
    EXPECT_EQ(list["total"], 1);
    EXPECT_EQ(list["query"], "alias");
    EXPECT_EQ(list["results"][0]["domain"], "example.com");
    EXPECT_EQ(call("GET", "/addresses/resolve/owner%40alias.example").json["user"], user);

    reply = call("PUT", "/addresses/renameDomain", {{"oldDomain", "example.com"}, {"newDomain", "new.example"}});
    ASSERT_EQ(reply.status, 200u) << reply.body;
    EXPECT_EQ(reply.json["modifiedAddresses"], 1);
    EXPECT_EQ(reply.json["modifiedUsers"], 1);
    EXPECT_EQ(reply.json["modifiedAliases"], 1);
    EXPECT_EQ(call("GET", "/users/" + user).json["address"], "owner@new.example");
    EXPECT_EQ(call("DELETE", "/domainaliases/" + id).status, 200u);
    EXPECT_EQ(call("DELETE", "/domainaliases/" + id).code(), "AliasNotFound");
    EXPECT_EQ(call_as(token_of(user, "user"), "GET", "/domainaliases").code(), "MissingPrivileges");
}

}  // namespace
}  // namespace mallard::api
