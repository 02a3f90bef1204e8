#include <gtest/gtest.h>

#include "mailboxes/mailboxes.hpp"

namespace mallard::mailboxes {
namespace {

TEST(MailboxName, TakesItsNormalForm) {
    struct Row {
        std::string_view path, normal;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"a", "a"},
             {"/a/", "a"},
             {"a/b", "a/b"},
             {"inbox", "INBOX"},
             {"InBox/Z", "INBOX/Z"},
             {"inboxes", "inboxes"},
             {"a/inbox", "a/inbox"},
             {"Gel\xC3\xB6scht", "Gel\xC3\xB6scht"},
             {" a ", " a "},
             {".", "."},
             {"&", "&"},
         }) {
        auto const normal = normalize_path(row.path, Policy());
        ASSERT_TRUE(normal) << row.path;
        EXPECT_EQ(*normal, row.normal) << row.path;
        EXPECT_EQ(normalize_path(*normal, Policy()).value_or(""), *normal) << "not stable: " << row.path;
    }
}

TEST(MailboxName, RefusesWhatCannotBeOne) {
    for (std::string_view bad :
         std::initializer_list<std::string_view>{"", "/", "//", "a//b", "//a", "a//", "a\tb", "a\nb", "\x7F",
                                                 std::string_view("a\0b", 3), "\xFF", "\xC2\x85", "\xC3"}) {
        auto const normal = normalize_path(bad, Policy());
        ASSERT_FALSE(normal) << "accepted: " << bad;
        EXPECT_EQ(normal.error().kind, ErrorKind::invalid);
        EXPECT_FALSE(normal.error().message.empty());
    }
}

TEST(MailboxName, HasLimitsOfDepthAndLength) {
    Policy const policy{.depth_max = 3, .name_units_max = 4};
    EXPECT_TRUE(normalize_path("a/b/c", policy));
    EXPECT_FALSE(normalize_path("a/b/c/d", policy));
    EXPECT_TRUE(normalize_path("abcd", policy));
    EXPECT_FALSE(normalize_path("abcde", policy));
    EXPECT_TRUE(normalize_path("\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F", policy));  // 4 units, 8 octets
    EXPECT_TRUE(normalize_path("\xF0\x9F\xA6\x86\xF0\x9F\xA6\x86", policy));  // two surrogate pairs
    EXPECT_FALSE(normalize_path("\xF0\x9F\xA6\x86\xF0\x9F\xA6\x86x", policy));
}

}  // namespace
}  // namespace mallard::mailboxes
