#include "config/settings.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "config/wildduck_options.hpp"

namespace mallard::config {
namespace {

using namespace std::string_view_literals;

std::string first(Mistakes const& mistakes) { return mistakes.empty() ? "" : mistakes.front().text(); }

TEST(Options, HaveUniqueKeysKnownSectionsAndADescription) {
    std::set<std::string_view> keys, known;
    for (Section const& section : sections()) known.insert(section.name);
    for (Option const& option : options()) {
        EXPECT_TRUE(keys.insert(option.key).second) << option.key;
        auto const dot = option.key.find('.');
        EXPECT_TRUE(known.contains(dot == std::string_view::npos ? "" : option.key.substr(0, dot))) << option.key;
        EXPECT_FALSE(option.doc.empty()) << option.key;
        EXPECT_EQ(find_wildduck_option(option.key), nullptr) << option.key;
    }
}

TEST(Options, HaveUniqueEnvironmentNames) {
    std::set<std::string> names;
    for (Option const& option : options()) EXPECT_TRUE(names.insert(environment_name(option.key)).second) << option.key;
    EXPECT_EQ(environment_name("api.accessControl.enabled"), "MALLARD_API_ACCESSCONTROL_ENABLED");
}

TEST(Settings, StartWithTheDefaults) {
    Settings const settings;
    EXPECT_EQ(settings.integer("imap.port"), 9993);
    EXPECT_FALSE(settings.flag("auth.allow_plaintext"));
    EXPECT_EQ(settings.text("imap.host"), "127.0.0.1");
    EXPECT_EQ(settings.origin("imap.port"), "default");
    EXPECT_TRUE(settings.contradictions().empty());
    EXPECT_THROW(settings.flag("imap.nothing"), std::logic_error);
}

TEST(Settings, ReadSectionsAndDottedKeys) {
    Settings settings;
    EXPECT_EQ(first(settings.read_toml("maxStorage = 5\nimap.host = \"::\"\n[imap.]\n", "f")).substr(0, 4), "f:3:");
    EXPECT_TRUE(
        settings
            .read_toml("maxStorage = 5\nlog.gelf.options.graylogPort = 7\n[imap]\nport = 1\n[api.accessControl]\n"
                       "enabled = false\n",
                       "f")
            .empty());
    EXPECT_EQ(settings.integer("maxStorage"), 5);
    EXPECT_EQ(settings.integer("log.gelf.options.graylogPort"), 7);
    EXPECT_EQ(settings.integer("imap.port"), 1);
    EXPECT_FALSE(settings.flag("api.accessControl.enabled"));
    EXPECT_EQ(settings.origin("imap.port"), "f:4");
}

struct BadFile {
    std::string_view toml, mistake;
};
constexpr BadFile bad_files[] = {
    {"[imap]\nprot = 1\n", "f:2: there is no option \"imap.prot\"; did you mean \"imap.port\"?"},
    {"[imapp]\nport = 1\n", "f:1: there is no option \"imapp\""},
    {"[imap]\nmaxmb = 1\n", "f:2: there is no option \"imap.maxmb\"; did you mean \"imap.maxMB\"?"},
    {"allow_plaintext = true\n", "f:1: there is no option \"allow_plaintext\"; did you mean \"auth.allow_plaintext\"?"},
    {"[imap]\nport = \"993\"\n", "f:2: imap.port must be a whole number from 0 to 65535, not a text"},
    {"[imap]\nport = 99999\n", "f:2: imap.port must be a whole number from 0 to 65535, not 99999"},
    {"[imap]\nport = 1.5\n", "f:2: imap.port must be a whole number from 0 to 65535, not a number with a fraction"},
    {"[imap]\nenabled = 1\n", "f:2: imap.enabled must be true or false, not a whole number"},
    {"[log]\nformat = \"xml\"\n", "f:2: log.format must be one of text, json, not \"xml\""},
    {"imap = 1\n", "f:1: \"imap\" is a section, not a value"},
    {"[imap.port]\nx = 1\n", "f:1: imap.port must be a whole number from 0 to 65535, not a section"},
    {"[[imap]]\nport = 1\n", "f:1: \"imap\" is a section, not a value"},
};

TEST(Settings, NameTheLineAndTheReasonOfEachMistake) {
    for (auto const& bad : bad_files) {
        Settings settings;
        EXPECT_EQ(first(settings.read_toml(bad.toml, "f")), bad.mistake);
    }
}

TEST(Settings, ReportASyntaxErrorWithItsLine) {
    for (std::string_view bad : {"a = \n", "[imap\n", "imap.port = 1\nimap.port = 2\n", "= 1", "a = \"\xFF\""}) {
        Settings settings;
        EXPECT_EQ(first(settings.read_toml(bad, "f")).substr(0, 2), "f:") << bad;
    }
}

TEST(Settings, TakeCharactersOutsideAsciiInStringsAndComments) {
    for (std::string_view const good : {
             "\xef\xbb\xbf# byte order mark\nlog.level = 'info'"sv,
             "log.level = 'info' # é"sv,
             "log.level = \"\"\"\\\n  info\"\"\" # é"sv,
         }) {
        Settings settings;
        EXPECT_TRUE(settings.read_toml(good, "f").empty()) << good;
        EXPECT_EQ(settings.text("log.level"), "info") << good;
    }
    Settings settings;
    EXPECT_TRUE(settings.read_toml("log.gelf.hostname = \"\"\"\\\n  \u00e9\u036a\"\"\"", "f").empty());
    EXPECT_EQ(settings.text("log.gelf.hostname"), "\u00e9\u036a");
}

TEST(Settings, RefuseCharactersOutsideAsciiElsewhereAndWhatIsNotUtf8) {
    for (std::string_view const bad :
         {"\né = 1"sv, "\na = é"sv, "\n5U\u036a\n"sv, "\n[é]"sv, "\na = 'é\\' é"sv, "\na = \"\"\"\"\"\" é"sv,
          "\n\u00a0\u036a = 1"sv, "\n\xff"sv, "\n# \xc3"sv, "\na = '\xed\xa0\x80'"sv, "\na = \"\\é\""sv}) {
        auto const mistakes = Settings().read_toml(bad, "f");
        ASSERT_EQ(mistakes.size(), 1u) << bad;
        EXPECT_TRUE(mistakes[0].where.starts_with("f:")) << bad;
    }
}

TEST(Settings, ReportAllMistakesOfAFile) {
    Settings settings;
    auto const mistakes = settings.read_toml("[imap]\nprot = 1\nsecure = 3\n[lmtp]\nport = -5\nhost = \"ok\"\n", "f");
    EXPECT_EQ(mistakes.size(), 3u);
    EXPECT_EQ(settings.text("lmtp.host"), "ok");
}

TEST(Settings, TakeAssignmentsAndTheEnvironment) {
    Settings settings;
    EXPECT_TRUE(
        settings.read_environment({{"MALLARD_IMAP_MAXMB", "7"}, {"HOME", "/"}, {"MALLARD_TEST_X", "1"}}).empty());
    EXPECT_EQ(settings.integer("imap.maxMB"), 7);
    EXPECT_TRUE(settings.set("imap.maxMB=8", "--set").empty());
    EXPECT_TRUE(settings.set("auth.allow_plaintext=yes", "--set").empty());
    EXPECT_TRUE(settings.set("lmtp.banner=a=b", "--set").empty());
    EXPECT_EQ(settings.integer("imap.maxMB"), 8);
    EXPECT_TRUE(settings.flag("auth.allow_plaintext"));
    EXPECT_EQ(settings.text("lmtp.banner"), "a=b");
}

TEST(Settings, RefuseBadAssignmentsAndVariables) {
    Settings settings;
    for (std::string_view bad : {"imap.port", "imap.port=", "imap.port=x", "imap.port=1 2", "imap.port=0x10",
                                 "nothing=1", "imap.enabled=maybe", "=1", "imap.port=99999999999999999999"})
        EXPECT_EQ(settings.set(bad, "--set").size(), 1u) << bad;
    EXPECT_EQ(first(settings.read_environment({{"MALLARD_IMAP_PROT", "7"}})),
              "MALLARD_IMAP_PROT: names no option; did you mean MALLARD_IMAP_PORT?");
    EXPECT_EQ(settings.integer("imap.port"), 9993);
}

std::string whats(Mistakes const& mistakes) {
    std::string out;
    for (auto const& mistake : mistakes) out += mistake.text() + "\n";
    return out;
}

TEST(Settings, TakeWhatWildDuckHasAndSayWhatHasNoEffect) {
    Settings settings;
    EXPECT_EQ(whats(settings.read_toml("ident = 'x'\n[imap]\nport = 5\nretention = 30\n[imap.tls]\nkey = '/k'\n"
                                       "[dkim]\n# nothing\n[elasticsearch.indexer]\nenabled = false\n"
                                       "[log.gelf]\nhostname = false\n",
                                       "f")),
              "");
    EXPECT_EQ(settings.integer("imap.port"), 5);
    EXPECT_EQ(settings.text("log.gelf.hostname"), "");
    EXPECT_EQ(whats(settings.notices()),
              "f:9: elasticsearch has no effect: Mallard does not have this yet\n"
              "f:1: ident has no effect: processes are called mallard\n"
              "f:4: imap.retention has no effect: Junk and Trash keep messages for 30 days, as WildDuck's do\n"
              "f:5: imap.tls has no effect: all services use tls.cert and tls.key\n");
    EXPECT_EQ(first(settings.read_toml("[imap]\nretentoin = 1\n", "f")), "f:2: there is no option \"imap.retentoin\"");
    EXPECT_EQ(first(settings.read_toml("imap.host = false\n", "f")),
              "f:1: imap.host must be a text, not true or false");
}

TEST(Settings, TakeATableThatSaysWhereRedisIs) {
    Settings settings;
    ASSERT_EQ(whats(settings.read_toml(
                  "[dbs.redis]\nhost = 'a\"b'\nport = 1\ndb = 3\n[[dbs.redis.sentinels]]\nhost = 's'\n", "f")),
              "");
    std::string json = settings.text("dbs.redis");
    std::erase_if(json, [](char c) { return c == ' ' || c == '\n'; });
    EXPECT_EQ(json, R"({"db":3,"host":"a\"b","port":1,"sentinels":[{"host":"s"}]})");
}

class IncludedFiles : public testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(folder / "more"); }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::string put(std::string const& name, std::string_view text) {
        std::ofstream(folder / name) << text;
        return (folder / name).string();
    }
    std::filesystem::path const folder =
        std::filesystem::temp_directory_path() / ("mallard-include-" + std::to_string(getpid()));
};

TEST_F(IncludedFiles, StandForTheirOptionsWhereTheyAreNamed) {
    ::setenv("MALLARD_TEST_FOLDER", "more", 1);
    put("dbs.toml", "mongo = 'mongodb://m/w'\n[redis]\nhost = 'r'\n");
    put("more/a.toml", "[imap]\nport = 1\n");
    put("more/b.toml", "imap.port = 2\n[pop3]\n  #@include \"../pop3.toml\"\n");
    put("pop3.toml", "port = 3\n");
    auto const path = put("all.toml",
                          "imap.port = 9\n# @include \"{MALLARD_TEST_FOLDER}/*.toml\"\n[dbs]\n"
                          "# @include \"dbs.toml\"\n[plugins]\n# @include \"nowhere.toml\"\n");
    Settings settings;
    EXPECT_EQ(whats(settings.read_file(path)), "");
    EXPECT_EQ(whats(settings.notices()), (folder / "dbs.toml").string() +
                                             ":1: dbs.mongo has no effect: store is \"embedded\", not \"mongodb\"\n" +
                                             (folder / "dbs.toml").string() +
                                             ":2: dbs.redis has no effect: store is \"embedded\", not \"mongodb\"\n");
    ASSERT_TRUE(settings.set("store=mongodb", "--set").empty());
    EXPECT_EQ(whats(settings.notices()), "");
    EXPECT_EQ(settings.integer("imap.port"), 2);
    EXPECT_EQ(settings.integer("pop3.port"), 3);
    EXPECT_EQ(settings.text("dbs.mongo"), "mongodb://m/w");
    EXPECT_TRUE(settings.text("dbs.redis").contains("\"r\""));
    EXPECT_EQ(settings.origin("pop3.port"), (folder / "more/../pop3.toml").string() + ":1");
}

TEST_F(IncludedFiles, AreMistakesWhereTheyCannotBeRead) {
    auto const lacks = put("a.toml", "\n# @include \"none.toml\"\n# @include \"{MALLARD_TEST_NOTHING}/x.toml\"\n");
    EXPECT_EQ(whats(Settings().read_file(lacks)),
              lacks + ":2: the included file " + (folder / "none.toml").string() + " cannot be found\n" + lacks +
                  ":3: the environment has no MALLARD_TEST_NOTHING, which an included path names\n");
    auto const itself = put("b.toml", "# @include \"b.toml\"\n");
    EXPECT_EQ(first(Settings().read_file(itself)), itself + ":1: " + itself + " includes itself");
    // Twice in each of two: not all the ways through them are tried.
    auto const one = put("one.toml", "# @include \"two.toml\"\n# @include \"./two.toml\"\n");
    auto const two = put("two.toml", "# @include \"one.toml\"\n# @include \"one.toml\"\n");
    EXPECT_EQ(Settings().read_file(one).size(), 4u);
    std::string deep;
    for (int n = 0; n < 12; ++n)
        deep = put("deep" + std::to_string(n) + ".toml", "# @include \"deep" + std::to_string(n - 1) + ".toml\"\n");
    EXPECT_EQ(first(Settings().read_file(deep)),
              (folder / "deep1.toml").string() + ":1: files include each other more than 10 deep");
    put("c.json", "{}");
    auto const json = put("c.toml", "# @include \"c.json\"\n");
    EXPECT_EQ(first(Settings().read_file(json)),
              json + ":1: " + (folder / "c.json").string() + " is not TOML: write its options as TOML");
    auto const bad = put("d.toml", "[imap]\n# @include \"e.toml\"\n");
    put("e.toml", "prot = 1\n");
    EXPECT_EQ(first(Settings().read_file(bad)),
              (folder / "e.toml").string() + ":1: there is no option \"imap.prot\"; did you mean \"imap.port\"?");
}

TEST(Settings, FindContradictions) {
    Settings settings;
    ASSERT_TRUE(settings.read_toml("tls.key = \"k\"\n[imap]\nport = 995\n[pop3]\nport = 995\n", "f").empty());
    auto const mistakes = settings.contradictions();
    ASSERT_EQ(mistakes.size(), 2u);
    EXPECT_EQ(mistakes[0].text(), "f:1: tls.key is set but tls.cert is not: give both or none");
    EXPECT_EQ(mistakes[1].text(), "f:5: imap.port and pop3.port are both 995: each service needs a port of its own");
}

TEST(Settings, DoNotRepeatASecretInAMistakeOrInPrint) {
    Settings settings;
    ASSERT_TRUE(settings.set("api.accessToken=hush\"", "--set").empty());
    EXPECT_EQ(print(settings).find("hush"), std::string::npos);
}

TEST(Print, IsAFileThatReadsBackTheSame) {
    Settings settings;
    ASSERT_TRUE(settings.set("lmtp.banner=quote \" and \\ and \t tab", "--set").empty());
    ASSERT_TRUE(settings.set("imap.port=1", "--set").empty());
    std::string const printed = print(settings);
    Settings again;
    EXPECT_EQ(first(again.read_toml(printed, "f")), "");
    for (Option const& option : options()) EXPECT_EQ(again.value(option.key), settings.value(option.key)) << option.key;
    EXPECT_NE(printed.find("port = 1  # --set"), std::string::npos);
}

TEST(NeedRestart, NamesOnlyWhatChangedAndIsNotLive) {
    Settings before, after;
    ASSERT_TRUE(after.set("imap.port=1", "x").empty());
    ASSERT_TRUE(after.set("log.level=debug", "x").empty());
    EXPECT_EQ(need_restart(before, after), (std::vector<std::string>{"imap.port"}));
}

TEST(Documentation, IsTheFileInDocs) {
    std::ifstream file(MALLARD_SOURCE_DIR "/docs/configuration.md");
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(text, documentation()) << "run: build/debug/bin/mallard config docs > docs/configuration.md";
}

}  // namespace
}  // namespace mallard::config
