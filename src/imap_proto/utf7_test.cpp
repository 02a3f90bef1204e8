#include "imap_proto/utf7.hpp"

#include <gtest/gtest.h>

#include "imap_proto/output.hpp"

namespace mallard::imap_proto {
namespace {

TEST(Utf7, GoesBothWays) {
    struct Row {
        std::string_view wire, utf8;
    };
    for (Row const& row :
         {Row{"INBOX", "INBOX"}, Row{"&-", "&"}, Row{"a&-b", "a&b"}, Row{"", ""},
          Row{"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
              "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
          Row{"&AOQ-", "\xc3\xa4"}, Row{"Entw&APw-rfe", "Entw\xc3\xbcrfe"}, Row{"&2D3eAA-", "\xf0\x9f\x98\x80"}}) {
        EXPECT_EQ(decode_utf7(row.wire), row.utf8);
        EXPECT_EQ(encode_utf7(row.utf8), row.wire);
    }
}

TEST(Utf7, RefusesDamage) {
    for (std::string_view bad :
         {"&", "a&b", "&A-", "&AO-", "&AOQ", "&AOR-", "&2D0-", "&3gA-", "&2D0A5A-", "&AO/-", "&A*-", "\xff", "&AOQA-"})
        EXPECT_FALSE(decode_utf7(bad)) << "accepted: " << bad;
}

TEST(Output, QuotesOrSendsALiteral) {
    auto string = [](std::string_view v) {
        std::string out;
        append_string(out, v);
        return out;
    };
    auto astring = [](std::string_view v) {
        std::string out;
        append_astring(out, v);
        return out;
    };
    EXPECT_EQ(string("a\"b\\"), "\"a\\\"b\\\\\"");
    EXPECT_EQ(string("a\r\nb"), "{4}\r\na\r\nb");
    EXPECT_EQ(astring("abc"), "abc");
    EXPECT_EQ(astring("a b"), "\"a b\"");
    EXPECT_EQ(astring(""), "\"\"");
    EXPECT_EQ(astring("nil"), "\"nil\"");
}

}  // namespace
}  // namespace mallard::imap_proto
