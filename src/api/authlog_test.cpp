#include "api/test_api.hpp"

namespace mallard::api {
namespace {

class Authlog : public TestApi {
protected:
    std::string const user_ = create_user("ann");
    std::string const path_ = "/users/" + user_ + "/authlog";

    void log_in(std::string const& password, std::string const& ip) {
        clock_.advance(1000);
        (void)call("POST", "/authenticate",
                   {{"username", "ann"}, {"password", password}, {"ip", ip}, {"sess", "s1"}, {"protocol", "IMAP"}});
    }
};

TEST_F(Authlog, ShowsTheNewestEventFirstWithWhatIsKnownOfIt) {
    log_in("wrong", "192.0.2.1");
    log_in("secretvalue", "192.0.2.2");
    auto const list = call("GET", path_).json;
    ASSERT_EQ(list["total"], 3) << list.dump();
    auto const& results = list["results"];
    EXPECT_EQ(results[0]["action"], "authentication");
    EXPECT_EQ(results[0]["result"], "success");
    EXPECT_EQ(results[0]["ip"], "192.0.2.2");
    EXPECT_EQ(results[0]["sess"], "s1");
    EXPECT_EQ(results[0]["protocol"], "IMAP");
    EXPECT_EQ(results[0]["source"], "master");
    EXPECT_EQ(results[0]["events"], 1);
    EXPECT_EQ(results[0]["created"], "2024-01-01T10:00:02.000Z");
    EXPECT_EQ(results[0]["expires"], "2024-01-31T10:00:02.000Z");
    EXPECT_EQ(results[0]["key"].get<std::string>().size(), 24u);  // base64 of 16 octets
    EXPECT_EQ(results[1]["result"], "fail");
    EXPECT_EQ(results[2]["action"], "account created");
    EXPECT_TRUE(results[2]["ip"].is_null());
    EXPECT_FALSE(results[2].contains("user"));

    auto const one = call("GET", path_ + "/" + results[1]["id"].get<std::string>());
    ASSERT_EQ(one.status, 200u) << one.body;
    EXPECT_EQ(one.json["ip"], "192.0.2.1");
    auto const other = create_user("other");
    EXPECT_EQ(call("GET", "/users/" + other + "/authlog/" + results[1]["id"].get<std::string>()).code(),
              "EventNotFound");
    EXPECT_EQ(call("GET", path_ + "/" + std::string(24, 'a')).status, 404u);
    EXPECT_EQ(call("GET", "/users/" + std::string(24, 'a') + "/authlog").code(), "UserNotFound");
}

TEST_F(Authlog, CountsAlikeEventsAsOne) {
    for (int i = 0; i < 3; ++i) log_in("wrong", "192.0.2.1");
    auto const newest = call("GET", path_).json["results"][0];
    EXPECT_EQ(newest["events"], 3);
    EXPECT_EQ(newest["created"], "2024-01-01T10:00:01.000Z");
    EXPECT_EQ(newest["last"], "2024-01-01T10:00:03.000Z");
}

TEST_F(Authlog, IsFilteredByActionAndAddress) {
    log_in("wrong", "192.0.2.1");
    log_in("wrong", "192.0.2.2");
    auto const created = call("GET", path_ + "?action=Account%20Created").json;
    EXPECT_EQ(created["action"], "account created");
    EXPECT_EQ(created["total"], 1);
    auto const there = call("GET", path_ + "?filterip=192.0.2.1&action=authentication").json;
    ASSERT_EQ(there["total"], 1);
    EXPECT_EQ(there["results"][0]["ip"], "192.0.2.1");
    EXPECT_EQ(call("GET", path_ + "?filterip=192.0.2.9").json["total"], 0);
}

TEST_F(Authlog, IsPagedByCursors) {
    for (char n = '1'; n <= '4'; ++n) log_in("wrong", std::string("192.0.2.") + n);
    auto const first = call("GET", path_ + "?limit=3").json;
    EXPECT_EQ(first["total"], 5);
    EXPECT_EQ(first["previousCursor"], false);
    EXPECT_EQ(first["results"][0]["ip"], "192.0.2.4");
    auto const next = call("GET", path_ + "?limit=3&next=" + first["nextCursor"].get<std::string>()).json;
    ASSERT_EQ(next["results"].size(), 2u);
    EXPECT_EQ(next["nextCursor"], false);
    EXPECT_EQ(next["results"][1]["action"], "account created");
    auto const back = call("GET", path_ + "?limit=3&previous=" + next["previousCursor"].get<std::string>()).json;
    EXPECT_EQ(back["results"], first["results"]);
}

TEST_F(Authlog, IsShownToItsUserAlone) {
    auto const own = token_of(user_, "user");
    auto const others = token_of(create_user("other"), "user");
    EXPECT_EQ(call_as(own, "GET", "/users/me/authlog").status, 200u);
    EXPECT_EQ(call_as(others, "GET", path_).code(), "MissingPrivileges");
}

}  // namespace
}  // namespace mallard::api
