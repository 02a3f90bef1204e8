#include "mime/message.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace mallard::mime {
namespace {

// The tree as text: type/subtype, content of leaves, children in brackets.
std::string shape(Entity const& entity, std::string_view source) {
    std::string out = entity.type + '/' + entity.subtype;
    if (entity.children.empty()) return out + "{" + std::string(entity.content(source)) + "}";
    out += '[';
    for (Entity const& child : entity.children) {
        if (&child != &entity.children.front()) out += ' ';
        out += shape(child, source);
    }
    return out + ']';
}

std::string shape_of(std::string_view source, Limits const& limits = {}) {
    return shape(parse(source, limits), source);
}

std::size_t count_parts(Entity const& entity) {
    std::size_t count = 1;
    for (Entity const& child : entity.children) count += count_parts(child);
    return count;
}

std::string multipart(std::string_view boundary, std::string_view body) {
    return "Content-Type: multipart/mixed; boundary=\"" + std::string(boundary) + "\"\r\n\r\n" + std::string(body);
}

TEST(Parse, TakesAnyBytesAsMessage) {
    EXPECT_EQ(shape_of(""), "text/plain{}");
    EXPECT_EQ(shape_of("\r\n"), "text/plain{}");
    EXPECT_EQ(shape_of("no header at all"), "text/plain{}");
    EXPECT_EQ(shape_of("A: b\r\n\r\nbody"), "text/plain{body}");
    EXPECT_EQ(shape_of("A: b\n\nbody\n"), "text/plain{body\n}");
    EXPECT_EQ(shape_of("\n\nx"), "text/plain{\nx}");
    EXPECT_EQ(shape_of(std::string_view("A: b\r\n\r\n\0x\0", 11)), std::string("text/plain{\0x\0}", 15));
}

TEST(Parse, EndsNoLineAtBareCarriageReturn) {
    EXPECT_EQ(shape_of("A: b\r\r\r\nC: d\r\n\r\nbody"), "text/plain{body}");
    EXPECT_EQ(shape_of("A: b\r\rbody"), "text/plain{}");
}

TEST(Parse, KeepsFieldsInOrderWithFoldedRawValues) {
    std::string const source = "One: a\r\n b\r\nTwo :c\r\nbroken line\r\n tail\r\nThree:\r\n\r\n";
    Entity const entity = parse(source);
    ASSERT_EQ(entity.fields.size(), 3u);
    EXPECT_EQ(entity.fields[0].name, "One");
    EXPECT_EQ(entity.fields[0].value, " a\r\n b");
    EXPECT_EQ(entity.fields[1].name, "Two");
    EXPECT_EQ(entity.fields[1].value, "c");
    EXPECT_EQ(entity.fields[2].value, "");
    EXPECT_EQ(entity.field("tWO"), "c");
    EXPECT_EQ(entity.field("none"), std::nullopt);
}

TEST(Parse, SplitsMultipartAtItsDelimiters) {
    EXPECT_EQ(shape_of(multipart(
                  "B", "preamble\r\n--B\r\n\r\none\r\n--B\r\nX: y\r\n\r\ntwo\r\n\r\n--B--\r\nepilogue\r\n--B\r\n")),
              "multipart/mixed[text/plain{one} text/plain{two\r\n}]");
}

TEST(Parse, SplitsMultipartWithBareLineFeeds) {
    EXPECT_EQ(shape_of("Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--B\n\ntwo\n--B--\n"),
              "multipart/mixed[text/plain{one} text/plain{two}]");
}

TEST(Parse, EndsPartsAtEndOfInputWhenCloseDelimiterIsMissing) {
    EXPECT_EQ(shape_of(multipart("B", "--B\r\n\r\none\r\n--B\r\n\r\ntwo\r\n")),
              "multipart/mixed[text/plain{one} text/plain{two\r\n}]");
    EXPECT_EQ(shape_of(multipart("B", "--B")), "multipart/mixed[text/plain{}]");
    EXPECT_EQ(shape_of(multipart("B", "--B\r\nA: b")), "multipart/mixed[text/plain{}]");
}

TEST(Parse, AllowsBlanksBehindDelimitersAndNothingElse) {
    EXPECT_EQ(shape_of(multipart("B", "--B \t\r\n\r\none\r\n--Bx\r\n--B---\r\n--B-- \r\n")),
              "multipart/mixed[text/plain{one\r\n--Bx\r\n--B---}]");
}

TEST(Parse, TellsSimilarBoundariesApart) {
    EXPECT_EQ(shape_of(multipart(
                  "B", "--B\r\n" + multipart("BB", "--BB\r\n\r\none\r\n--BB--\r\n") + "\r\n--B\r\n\r\ntwo\r\n--B--")),
              "multipart/mixed[multipart/mixed[text/plain{one}] text/plain{two}]");
}

TEST(Parse, EndsUnclosedInnerMultipartAtOuterDelimiter) {  // RFC 2046 §5.1.2
    EXPECT_EQ(shape_of(multipart("A", "--A\r\n" + multipart("B", "--B\r\n\r\none") + "\r\n--A\r\n\r\ntwo\r\n--A--")),
              "multipart/mixed[multipart/mixed[text/plain{one}] text/plain{two}]");
}

TEST(Parse, TakesMultipartWithoutBoundaryOrPartsAsText) {
    EXPECT_EQ(shape_of("Content-Type: multipart/mixed\r\n\r\n--B\r\n"), "text/plain{--B\r\n}");
    EXPECT_EQ(shape_of("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n"), "text/plain{--\r\n}");
    EXPECT_EQ(shape_of(multipart("B", "nothing here\r\n")), "text/plain{nothing here\r\n}");
    EXPECT_EQ(shape_of(multipart("B", "--B--\r\n")), "text/plain{--B--\r\n}");
}

TEST(Parse, OpensEmbeddedMessages) {
    EXPECT_EQ(shape_of("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner"),
              "message/rfc822[text/plain{inner}]");
    EXPECT_EQ(shape_of("Content-Type: message/rfc822\r\n"), "message/rfc822[text/plain{}]");
    EXPECT_EQ(shape_of("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\neA=="),
              "message/rfc822{eA==}");
}

TEST(Parse, GivesPartsOfDigestTheTypeOfMessages) {  // RFC 2046 §5.1.5
    EXPECT_EQ(shape_of("Content-Type: multipart/digest; boundary=B\r\n\r\n--B\r\n\r\nSubject: x\r\n\r\nhi\r\n--B--"),
              "multipart/digest[message/rfc822[text/plain{hi}]]");
}

TEST(Parse, KeepsEmbeddedEntitiesInsideTheirParents) {
    std::string const source =
        multipart("B", "--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n--B\r\n\r\n--B--");
    Entity const root = parse(source);
    ASSERT_EQ(root.children.size(), 2u);
    Entity const& embedded = root.children[0].children[0];
    EXPECT_EQ(embedded.header(source), "Subject: x\r\n");
    EXPECT_LE(embedded.end, root.children[0].end);
    EXPECT_LE(root.children[0].end, root.children[1].header_begin);
}

TEST(Parse, CountsLineEndsOfBodies) {  // protocols.md §1.12
    EXPECT_EQ(parse("A: b\r\n\r\nzzzz\r\n").lines, 1u);
    EXPECT_EQ(parse("A: b\r\n\r\nHello").lines, 0u);
    EXPECT_EQ(parse("A: b\n\n\n\n\n").lines, 3u);
    std::string const source = multipart("B", "--B\r\n\r\none\r\ntwo\r\n--B--");
    EXPECT_EQ(parse(source).children[0].lines, 1u);
}

TEST(Parse, DefaultsTypeByWhatIsWrong) {
    struct Row {
        std::string_view value, expected;
    };
    for (Row const row : {Row{"", "text/plain"},
                          {"text", "text/plain"},
                          {"foo", "application/octet-stream"},
                          {"TEXT/Html ; charset=x", "text/html"},
                          {"text/", "text/plain"},
                          {"/html", "application/octet-stream"},
                          {"text/plain (comment); a=b", "text/plain"}}) {
        std::string const source = "Content-Type: " + std::string(row.value) + "\r\n\r\n";
        Entity const entity = parse(source);
        EXPECT_EQ(entity.type + '/' + entity.subtype, row.expected) << row.value;
    }
}

TEST(Parse, DecodesParameters) {
    struct Row {
        std::string_view field, name, value;
    };
    for (Row const row : {
             Row{"a/b; name=x", "name", "x"},
             {"a/b; NAME=\"x y\"", "name", "x y"},
             {"a/b; name=\"x\\\"y\"", "name", "x\"y"},
             {"a/b; name=my file.txt; b=c", "name", "my file.txt"},
             {"a/b; charset=us-ascii (Plain text)", "charset", "us-ascii"},
             {"a/b; name=\"unclosed", "name", "unclosed"},
             {"a/b; name=\"a;b\"; c=d", "name", "a;b"},
             {"a/b; name=\"=?UTF-8?Q?=C3=A4?=\"", "name", "ä"},
             {"a/b; name*=utf-8''%C3%A4%20x", "name", "ä x"},
             {"a/b; name*0=long; name*1=\" name\"", "name", "long name"},
             {"a/b; name*1=b; name*0=a", "name", "ab"},
             {"a/b; name*0*=iso-8859-1'en'%E4; name*1=%41; name*2*=%42", "name", "ä%41B"},
             {"a/b; name=old; name*=utf-8''new", "name", "new"},
             {"a/b; name*=%41", "name", "A"},
             {"a/b; name=", "name", ""},
             {"a/b;;; name = x ;", "name", "x"},
             {"a/b; (note) name=x", "name", "x"},
             {"a/b; name=\xE4", "name", "ä"},
         }) {
        std::string const source = "Content-Type: " + std::string(row.field) + "\r\n\r\n";
        Entity const entity = parse(source);
        std::string const* const value = entity.parameter(row.name);
        if (row.value.empty())
            EXPECT_TRUE(!value || value->empty()) << row.field;
        else if (!value)
            ADD_FAILURE() << row.field;
        else
            EXPECT_EQ(*value, row.value) << row.field;
    }
}

TEST(Parse, TakesFilenameFromDispositionThenFromType) {
    auto name_of = [](std::string source) { return parse(source).filename(); };
    EXPECT_EQ(name_of("Content-Type: a/b; name=t\r\nContent-Disposition: attachment; filename=d\r\n\r\n"), "d");
    EXPECT_EQ(name_of("Content-Type: a/b; name=t\r\n\r\n"), "t");
    EXPECT_EQ(name_of("Content-Type: a/b\r\n\r\n"), "");
}

TEST(Parse, LeavesWhatIsTooDeepOpaque) {
    std::string source = "Content-Type: message/rfc822\r\n\r\n";
    for (int i = 0; i < 7; ++i) source += source;  // 128 headers, each inside the one before
    std::size_t depth = 0;
    Entity const root = parse(source);
    for (Entity const* at = &root; !at->children.empty(); at = &at->children.front()) ++depth;
    EXPECT_EQ(depth, Limits{}.depth_max);
}

TEST(Parse, KeepsWhatFollowsTheLastPartInIt) {
    Limits limits;
    limits.parts_max = 3;
    EXPECT_EQ(shape_of(multipart("B", "--B\r\n\r\n1\r\n--B\r\n\r\n2\r\n--B\r\n\r\n3\r\n--B--"), limits),
              "multipart/mixed[text/plain{1} text/plain{2\r\n--B\r\n\r\n3\r\n--B--}]");
}

TEST(Parse, IsBoundedOnHugeHostileInput) {
    constexpr std::size_t size = 4 * 1024 * 1024;
    auto repeat = [](std::string_view unit) {
        std::string out;
        out.reserve(size + unit.size());
        while (out.size() < size) out += unit;
        return out;
    };
    std::string nested;
    std::string boundary = "b";
    while (nested.size() < size) {
        nested += multipart(boundary, "--" + boundary + "\r\n");
        if (boundary.size() < 4000) boundary += 'b';
    }
    Limits const limits;
    for (std::string const& source :
         {nested, multipart("B", repeat("--B\r\n\r\n")), multipart("B", repeat("--B\r\n")),
          multipart("B", repeat("--\r\n")), "A: " + repeat("x"), repeat("A: b\r\n"), repeat("\n"), repeat("\r"),
          "Content-Type: a/b; " + repeat("a*0*=\"\\\"%;"), "Content-Type: a/b; " + repeat("("),
          multipart("B", repeat("--B\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"))}) {
        EXPECT_LE(count_parts(parse(source)), limits.parts_max) << source.substr(0, 80);
    }
}

}  // namespace
}  // namespace mallard::mime
