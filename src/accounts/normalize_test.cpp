#include "accounts/normalize.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard::accounts {
namespace {

struct Row {
    std::string_view in, out;
};

TEST(NormalizeAddress, LowersComposesAndDecodesPunycode) {
    for (auto const& [in, out] : {
             Row{"Andris.Reinman+Label@Example.COM", "andris.reinman+label@example.com"},
             {" user @ example.com ", "user@example.com"},
             {"a@b@C.d", "a@b@c.d"},
             {"j\xc3\x95geva@xn--jgeva-dua.ee", "j\xc3\xb5geva@j\xc3\xb5geva.ee"},
             {"x@XN--JGEVA-DUA.ee", "x@j\xc3\xb5geva.ee"},
             {"u\xcc\x88@example.com", "\xc3\xbc@example.com"},  // u + diaeresis
             {"x@xn--a.example", "x@xn--a.example"},             // no valid punycode
             {"no address", "@no address"},
             {"", "@"},
             {"@example.com", "@example.com"},
         })
        EXPECT_EQ(normalize_address(in, false, false), out) << in;
}

TEST(NormalizeAddress, CutsLabelAndDotsWhenAsked) {
    for (auto const& [in, out] : {
             Row{"A.B.C+x+y@ex.am.ple", "abc@ex.am.ple"},
             {"+x@example.com", "@example.com"},
             {"a+b.c@d.e+f", "a@d.e+f"},
         })
        EXPECT_EQ(normalize_address(in, true, true), out) << in;
    EXPECT_EQ(normalize_address("A.B+x@c", true, false), "a.b@c");
    EXPECT_EQ(normalize_address("A.B+x@c", false, true), "ab+x@c");
}

TEST(NormalizeAddress, TakesAnyBytesAndIsStable) {
    for (int i = 0; i < 2000; ++i) {
        std::string bytes(static_cast<std::size_t>(i % 40), '\0');
        random_bytes(bytes.data(), bytes.size());
        if (i % 3 == 0) bytes.insert(bytes.size() / 2, "@xn--");
        auto const once = normalize_address(bytes, i % 2 == 0, i % 5 == 0);
        EXPECT_TRUE(is_valid_utf8(once)) << hex_encode(bytes);
        (void)uview(bytes);
        (void)is_email_address(bytes);
        (void)check_username(bytes);
    }
}

TEST(Uview, DropsDotsOfTheLocalPartOnly) {
    for (auto const& [in, out] : {Row{"A.B.C", "abc"},
                                  {"A.b@C.d", "ab@c.d"},
                                  {"a.b@c.d@e.f", "ab@c.d@e.f"},
                                  {"", ""},
                                  {"\xc3\x95.x", "\xc3\xb5x"}})
        EXPECT_EQ(uview(in), out) << in;
}

TEST(CheckUsername, AcceptsGroupsJoinedBySingleMarks) {
    for (auto const& [in, out] : {Row{"user", "user"},
                                  {"U-1", "u-1"},
                                  {"a.b_c=d:e", "a.b_c=d:e"},
                                  {"a@b", "a@b"},
                                  {"User.Name@example.com", "user.name@example.com"},
                                  {"-", "-"}})
        EXPECT_EQ(check_username(in), out) << in;
    EXPECT_TRUE(check_username(std::string(128, 'a')));
    for (std::string_view bad :
         {"", ".a", "a.", "a..b", "a b", "a@", "@b", "a@b@c", "\xc3\xb5", "a/b", "a+b", "a._b"}) {
        auto const checked = check_username(bad);
        ASSERT_FALSE(checked) << bad;
        EXPECT_EQ(checked.error().kind, ErrorKind::invalid);
    }
    EXPECT_FALSE(check_username(std::string(129, 'a')));
}

TEST(IsEmailAddress, KnowsAddressesFromOtherText) {
    for (std::string_view good :
         {"a@b.c", "a.b+c@d.example", "*@b.c", "j\xc3\xb5@\xc3\xb5.ee", "a@1.2", "!#$%&'*+-/=?^_`{|}~@b.c"})
        EXPECT_TRUE(is_email_address(good)) << good;
    for (std::string_view bad :
         {"",        "a",       "a@b",     "@b.c",    "a@",      ".a@b.c",    "a.@b.c",      "a..b@c.d",
          "a b@c.d", "a@b..c",  "a@-b.c",  "a@b-.c",  "a@b_c.d", "\"a\"@b.c", "a@[1.2.3.4]", "a@b.c.",
          "a@b@c.d", "<a@b.c>", "a@b.c\n", "\xff@b.c"})
        EXPECT_FALSE(is_email_address(bad)) << bad;
    EXPECT_FALSE(is_email_address(std::string(65, 'a') + "@b.c"));
}

}  // namespace
}  // namespace mallard::accounts
