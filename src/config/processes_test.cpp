#include "config/processes.hpp"

#include <gtest/gtest.h>

namespace mallard::config {
namespace {

Settings with(std::string_view toml) {
    Settings settings;
    auto const mistakes = settings.read_toml(toml, "f");
    EXPECT_TRUE(mistakes.empty()) << mistakes.front().text();
    return settings;
}

std::vector<std::string> roles_of(Settings const& settings) {
    std::vector<std::string> out;
    for (Process const& process : processes(settings, 3)) out.push_back(process.role);
    return out;
}

TEST(Processes, AreOneThatRunsEverythingUnlessAskedForMore) {
    auto const plan = processes(Settings(), 8);
    ASSERT_EQ(plan.size(), 1u);
    EXPECT_EQ(plan[0].services, service_names());
    EXPECT_EQ(processes(with("processes = 4"), 8).size(), 4u);
    EXPECT_EQ(processes(with("processes = \"cpus\""), 8).size(), 8u);
    Settings settings;
    EXPECT_TRUE(settings.set("processes=cpus", "--set").empty());
    EXPECT_EQ(processes(settings, 8).size(), 8u);
}

TEST(Processes, RefuseACountThatIsNone) {
    for (std::string_view bad : {"processes = 0", "processes = 257", "processes = \"all\"", "processes = true"}) {
        Settings settings;
        EXPECT_EQ(settings.read_toml(bad, "f").size(), 1u) << bad;
    }
    Settings settings;
    EXPECT_EQ(settings.read_toml("processes = \"all\"", "f").front().text(),
              "f:1: processes must be a whole number from 1 to 256, or \"cpus\", not \"all\"");
}

TEST(Processes, ComeFromRolesInTheirOrder) {
    auto const settings = with("roles = [\"imap+pop3=2\", \"lmtp=cpus\", \" api \"]");
    EXPECT_TRUE(role_mistakes(settings).empty());
    EXPECT_EQ(roles_of(settings), (std::vector<std::string>{"imap+pop3", "imap+pop3", "lmtp", "lmtp", "lmtp", "api"}));
    EXPECT_EQ(processes(settings, 1)[0].services, (std::vector<std::string>{"imap", "pop3"}));
}

TEST(Processes, RunOnlyTheServicesOfTheirRole) {
    auto const settings = with("roles = [\"imap+pop3\", \"lmtp+api\"]\npop3.enabled = false");
    EXPECT_TRUE(role_mistakes(settings).empty());
    auto const first = settings_of(processes(settings, 1)[0], settings);
    EXPECT_TRUE(first.flag("imap.enabled"));
    for (char const* other : {"pop3.enabled", "lmtp.enabled", "api.enabled"}) EXPECT_FALSE(first.flag(other)) << other;
}

TEST(Processes, NameTheMistakeInRoles) {
    struct Row {
        std::string_view toml, what;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"roles = [\"imap+pop3=2\"]", "roles: lmtp is enabled, but no role runs it"},
             {"roles = [\"imap+smtpd\"]", "roles: \"imap+smtpd\" is no"},
             {"roles = [\"imap=0\"]", "roles: \"imap=0\" is no"},
             {"roles = [\"imap=x\"]", "roles: \"imap=x\" is no"},
             {"roles = [\"\"]", "roles: \"\" is no"},
             {"roles = [\"imap+\"]", "roles: \"imap+\" is no"},
             {"roles = [\"imap=200\", \"pop3+lmtp+api=200\"]", "roles: more than 256"},
             {"roles = [\"imap\", \"pop3+lmtp+api\"]\nimap.enabled = false", "roles: \"imap\" would run nothing"},
             {"processes = 2\nroles = [\"imap+pop3+lmtp+api\"]", "processes and roles are both given"}}) {
        auto const mistakes = role_mistakes(with(row.toml));
        ASSERT_FALSE(mistakes.empty()) << row.toml;
        EXPECT_EQ(mistakes[0].what.substr(0, row.what.size()), row.what);
    }
}

TEST(Processes, AreOneForTheEmbeddedStore) {
    for (std::string_view toml : {"processes = 2", "processes = \"cpus\"", "roles = [\"imap\", \"pop3+lmtp+api\"]"}) {
        auto const mistakes = process_mistakes(with(toml));
        ASSERT_EQ(mistakes.size(), 1u) << toml;
        EXPECT_NE(mistakes[0].text().find("the embedded store is one process with threads"), std::string::npos);
    }
    EXPECT_TRUE(process_mistakes(with("processes = 1")).empty());
}

TEST(Serialize, ReadsBackTheSameSecretsIncluded) {
    auto const settings = with("processes = \"cpus\"\nroles = [\"a b\", \"\\\"\"]\napi.accessToken = \"hush\"");
    Settings again;
    EXPECT_TRUE(again.read_toml(serialize(settings), "f").empty());
    for (Option const& option : options()) EXPECT_EQ(again.value(option.key), settings.value(option.key)) << option.key;
    EXPECT_EQ(again.text("api.accessToken"), "hush");
}

}  // namespace
}  // namespace mallard::config
