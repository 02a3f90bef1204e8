#include "imap/sections.hpp"

#include <gtest/gtest.h>

#include "mime/message.hpp"

namespace mallard::imap {
namespace {

constexpr std::string_view nested =
    "Subject: top\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: inner\r\nX-A: 1\r\n\r\ninner body\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: deep\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    "--c\r\n\r\nplain\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>\r\n--c--\r\n"
    "--b--\r\n";

std::string fetch(std::string_view source, std::string_view item) {
    imap_proto::RawCommand raw;
    raw.text = " 1 " + std::string(item);
    auto arguments = imap_proto::parse_arguments(raw, 0, {});
    auto request = imap_proto::parse_fetch(*arguments, "FETCH", {});
    EXPECT_TRUE(request) << item;
    auto const root = mime::decode_parts(mime::encode_parts(mime::parse(source)));
    auto content = resolve(request->items[0], root, source.size(), [&](std::uint64_t begin, std::uint64_t end) {
        return Result<std::string_view>(source.substr(begin, end - begin));
    });
    EXPECT_TRUE(content);
    return content->text ? *content->text : std::string(source.substr(content->begin, content->end - content->begin));
}

TEST(Sections, NameOctetsOfTheMessage) {
    struct Row {
        std::string_view item, octets;
    };
    for (Row const& row : {Row{"BODY[1]", "first"},
                           Row{"BODY[1.MIME]", "Content-Type: text/plain\r\n\r\n"},
                           Row{"BODY[1.HEADER]", ""},
                           Row{"BODY[1.TEXT]", ""},
                           Row{"BODY[1.1]", ""},
                           Row{"BODY[4]", ""},
                           Row{"BODY[2.HEADER]", "Subject: inner\r\nX-A: 1\r\n\r\n"},
                           Row{"BODY[2.TEXT]", "inner body"},
                           Row{"BODY[2.1]", "inner body"},
                           Row{"BODY[2.2]", ""},
                           Row{"BODY[2.1.MIME]", "Subject: inner\r\nX-A: 1\r\n\r\n"},
                           Row{"BODY[2.HEADER.FIELDS (x-a)]", "X-A: 1\r\n\r\n"},
                           Row{"BODY[2.HEADER.FIELDS.NOT (x-a)]", "Subject: inner\r\n\r\n"},
                           Row{"BODY[3.1]", "plain"},
                           Row{"BODY[3.2]", "<p>"},
                           Row{"BODY[3.2.MIME]", "Content-Type: text/html\r\n\r\n"},
                           Row{"BODY[HEADER.FIELDS (SUBJECT)]", "Subject: top\r\n\r\n"},
                           Row{"BODY[HEADER.FIELDS (none)]", "\r\n\r\n"},
                           Row{"BODY[HEADER.FIELDS ()]", "\r\n\r\n"},
                           Row{"BODY[]<3.4>", "ject"},
                           Row{"BODY[]<100000.4>", ""},
                           Row{"BODY[1]<3.100>", "st"},
                           Row{"BODY[HEADER.FIELDS (Subject)]<9.3>", "top"},
                           Row{"RFC822.HEADER", nested.substr(0, 59)}})
        EXPECT_EQ(fetch(nested, row.item), row.octets) << row.item;
    EXPECT_EQ(fetch(nested, "BODY[HEADER]") + fetch(nested, "BODY[TEXT]"), nested);
    EXPECT_EQ(fetch(nested, "RFC822"), nested);
}

TEST(Sections, OfASinglePartMessage) {
    constexpr std::string_view plain = "A: 1\nB: 2\n folded\n\nbody\n";
    EXPECT_EQ(fetch(plain, "BODY[1]"), "body\n");
    EXPECT_EQ(fetch(plain, "BODY[1.MIME]"), "A: 1\nB: 2\n folded\n\n");
    EXPECT_EQ(fetch(plain, "BODY[TEXT]"), "body\n");
    EXPECT_EQ(fetch(plain, "BODY[2]"), "");
    EXPECT_EQ(fetch(plain, "BODY[HEADER.FIELDS (b)]"), "B: 2\n folded\n\r\n");
}

TEST(SelectFields, EndsAHeaderWithoutFinalLineEnd) {
    EXPECT_EQ(select_fields("A: 1\r\nB: 2", {"b"}, true), "B: 2\r\n\r\n");
    EXPECT_EQ(select_fields("", {"b"}, true), "\r\n\r\n");
    EXPECT_EQ(select_fields("no colon\r\nA : 1\r\n", {"a"}, true), "A : 1\r\n\r\n");
}

}  // namespace
}  // namespace mallard::imap
