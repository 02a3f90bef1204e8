#include "config/toml_text.hpp"

#include <gtest/gtest.h>

#include "config/settings.hpp"

namespace mallard::config {
namespace {

using namespace std::string_view_literals;

TEST(TomlText, MayHaveAnyCharacterInStringsAndComments) {
    for (std::string_view const good : {
             ""sv,
             "\xef\xbb\xbf# byte order mark\na = 1\n"sv,
             "a = \"é\"\nb = 'é'\n# é\nc = 1 # é"sv,
             R"(a = "\"é\\" # é)"sv,
             R"(a = '\' # é)"sv,
             "a = \"\" # é"sv,
             "a = '' # é"sv,
             "a = \"\"\"\né \" é \"\" é \\\"\"\" é\n\"\"\" # é"sv,
             "a = '''\né ' é '' é \\''' # é"sv,
             "a = \"\"\"é\"\"\"\"\" # é"sv,
             "a = '''é'''''\n# é"sv,
             "a = \"\"\"\"\"\"\n# é"sv,
             "a = \"# no comment\"\nb = \"é\""sv,
             "# \" no string\nb = \"é\""sv,
             "\"é\".b = 1"sv,
             "a = [\"é\", 'é', # é\n]"sv,
         })
        EXPECT_FALSE(find_fault(good)) << good;
}

TEST(TomlText, HasOnlyAsciiElsewhere) {
    struct Row {
        std::string_view text;
        std::size_t line;
    };
    for (auto const& [text, line] : {
             Row{"é"sv, 1},
             Row{"a = 1\né = 1"sv, 2},
             Row{"a = é"sv, 1},
             Row{"5U\u036a\n"sv, 1},
             Row{"[é]"sv, 1},
             Row{"a = \"é\" é"sv, 1},
             Row{"a = 'é\\' é"sv, 1},
             Row{"a = \"\\\\\" é"sv, 1},
             Row{"a = \"\"\"\n\n\"\"\" é"sv, 3},
             Row{"a = '''\n''' é"sv, 2},
             Row{"a = \"\"\"\"\"\" é"sv, 1},
             Row{"# é\n\u00a0a = 1"sv, 2},
             Row{"a = 1\n\xef\xbb\xbf"sv, 2},
         }) {
        auto const fault = find_fault(text);
        ASSERT_TRUE(fault) << text;
        EXPECT_EQ(fault->line, line) << text;
        EXPECT_NE(fault->what.find("ASCII"), std::string_view::npos) << text;
    }
}

TEST(TomlText, IsUtf8EvenInStringsAndComments) {
    for (std::string_view const bad : {"\n\xff"sv, "\n# \xc3"sv, "\na = \"\xc3\x28\""sv, "\na = '\xed\xa0\x80'"sv,
                                       "\na = '''\xc0\x80'''"sv, "\n# \xc3\n\xa9"sv, "\n\xf5\x80\x80\x80\n"sv}) {
        auto const fault = find_fault(bad);
        ASSERT_TRUE(fault) << bad;
        EXPECT_EQ(fault->line, 2u) << bad;
        EXPECT_EQ(fault->what, "is not UTF-8");
    }
}

TEST(TomlText, EndsAnywhere) {
    for (std::string_view const cut :
         {"\""sv, "'"sv, "\"\"\""sv, "'''"sv, "\"\\"sv, "\"\"\"\\"sv, "\"\"\"\""sv, "''''"sv, "#"sv, "a = \"é\nb"sv})
        EXPECT_FALSE(find_fault(cut)) << cut;
}

TEST(TomlText, IsJudgedBeforeItIsParsed) {
    Settings settings;
    auto const mistakes = settings.read_toml("\n5U\u036a\n", "f");
    ASSERT_EQ(mistakes.size(), 1u);
    EXPECT_EQ(mistakes[0].text(), "f:2: has a character that must stand in quotes: only ASCII can be without");
    EXPECT_EQ(settings.read_toml("# \xff", "f").at(0).text(), "f:1: is not UTF-8");
}

}  // namespace
}  // namespace mallard::config
