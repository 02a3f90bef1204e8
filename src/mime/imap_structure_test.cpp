#include "mime/imap_structure.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace mallard::mime {
namespace {

std::string structure_of(std::string_view source) { return body_structure(parse(source), source); }
std::string body_of(std::string_view source) { return body(parse(source), source); }
std::string envelope_of(std::string_view source) { return envelope(parse(source), source); }

constexpr std::string_view worked_example =  // storage.md §11.9
    "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hi\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n"
    "Message-ID: <m1@example.com>\r\nContent-Type: multipart/mixed; boundary=B1\r\n\r\n--B1\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n--B1\r\nContent-Type: application/pdf\r\n"
    "Content-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: "
    "base64\r\n\r\nJVBERg==\r\n--B1--\r\n";

TEST(BodyStructure, SaysOfTheWorkedExampleWhatWildDuckSays) {
    EXPECT_EQ(structure_of(worked_example),
              R"((("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 0 NIL NIL NIL NIL))"
              R"(("APPLICATION" "PDF" NIL NIL NIL "BASE64" 8 NIL ("ATTACHMENT" ("FILENAME" "a.pdf")) NIL NIL))"
              R"( "MIXED" ("BOUNDARY" "B1") NIL NIL NIL))");
    EXPECT_EQ(body_of(worked_example), R"((("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 0))"
                                       R"(("APPLICATION" "PDF" NIL NIL NIL "BASE64" 8) "MIXED"))");
}

TEST(Envelope, SaysOfTheWorkedExampleWhatWildDuckSays) {
    EXPECT_EQ(envelope_of(worked_example),
              R"(("Mon, 01 Jan 2024 10:00:00 +0000" "Hi" (("Ann" NIL "ann" "example.com")) )"
              R"((("Ann" NIL "ann" "example.com")) (("Ann" NIL "ann" "example.com")) )"
              R"(((NIL NIL "bob" "example.org")) NIL NIL NIL "<m1@example.com>"))");
}

TEST(Envelope, IsAllNilButTheSubjectForAnEmptyMessage) {
    EXPECT_EQ(envelope_of(""), R"((NIL "" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

TEST(Envelope, KeepsEveryStringSevenBitAndQuoted) {
    EXPECT_EQ(envelope_of("Subject: \xC3\xA4\r\n\r\n"),
              R"((NIL "=?UTF-8?Q?=C3=A4?=" NIL NIL NIL NIL NIL NIL NIL NIL))");
    EXPECT_EQ(envelope_of("Subject: =?iso-8859-1?q?=E4?= \"\\\r\n\r\n"),
              R"((NIL "=?UTF-8?Q?=C3=A4_=22=5C?=" NIL NIL NIL NIL NIL NIL NIL NIL))");
    EXPECT_EQ(envelope_of("Subject: a\rb\r\nDate: \"x\\\r\n\r\n"),
              R"(("\"x\\" "=?UTF-8?Q?a=0Db?=" NIL NIL NIL NIL NIL NIL NIL NIL))");
    EXPECT_EQ(envelope_of(std::string_view("Message-ID: <\0\xFF>\r\n\r\n", 19)),
              R"((NIL "" NIL NIL NIL NIL NIL NIL NIL "=?UTF-8?Q?=3C=00=C3=BF=3E?="))");
}

TEST(Envelope, WritesGroupsAndAddressesWithoutDomain) {  // protocols.md §1.12
    EXPECT_EQ(
        envelope_of("To: team: a@x, B <b@y>;, a <x>\r\n\r\n"),
        R"((NIL "" NIL NIL NIL ((NIL NIL "team" NIL)(NIL NIL "a" "x")("B" NIL "b" "y")(NIL NIL NIL NIL)("a" NIL "x" "x")))"
        R"( NIL NIL NIL NIL))");
}

TEST(Envelope, JoinsAddressesOfSeveralFieldsAndTakesLastOfOthers) {
    EXPECT_EQ(envelope_of("To: a@x\r\nTo: b@y\r\nSubject: one\r\nSubject: two\r\nSubject:\r\n\r\n"),
              R"((NIL "two" NIL NIL NIL ((NIL NIL "a" "x")(NIL NIL "b" "y")) NIL NIL NIL NIL))");
}

TEST(Envelope, WritesDomainsInPunycode) {
    EXPECT_EQ(
        envelope_of("From: j@t\xC3\xA4ht.ee\r\n\r\n"),
        R"((NIL "" ((NIL NIL "j" "xn--tht-qla.ee")) ((NIL NIL "j" "xn--tht-qla.ee")) ((NIL NIL "j" "xn--tht-qla.ee")))"
        R"( NIL NIL NIL NIL NIL))");
}

TEST(BodyStructure, WritesEveryElement) {
    EXPECT_EQ(structure_of("Content-Type: text/plain\r\nContent-ID: <i@d>\r\nContent-Description: note\r\n"
                           "Content-MD5: x==\r\nContent-Disposition: inline\r\nContent-Language: en, et\r\n"
                           "Content-Location: http://a/\r\nContent-Transfer-Encoding: 8bit\r\n\r\nzzzz\r\n"),
              R"(("TEXT" "PLAIN" NIL "<i@d>" "note" "8BIT" 6 1 "x==" ("INLINE" NIL) ("en" "et") "http://a/"))");
    EXPECT_EQ(structure_of("Content-Type: foo\r\n\r\n"),
              R"(("APPLICATION" "OCTET-STREAM" NIL NIL NIL "7BIT" 0 NIL NIL NIL NIL))");
}

TEST(BodyStructure, ShowsEnvelopeAndStructureOfEmbeddedMessages) {
    std::string_view const source = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n";
    EXPECT_EQ(structure_of(source),
              R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 21 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) )"
              R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 6 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL))");
    EXPECT_EQ(body_of(source),
              R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 21 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) )"
              R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 6 1) 3))");
}

TEST(BodyStructure, PromisesNoEnvelopeWhereAnEmbeddedMessageIsEncoded) {
    EXPECT_EQ(structure_of("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\neA=="),
              R"(("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 4 NIL NIL NIL NIL))");
}

bool same(Entity const& entity, Part const& part) {
    if (entity.header_begin != part.header_begin || entity.body_begin != part.body_begin || entity.end != part.end ||
        entity.is_multipart != part.is_multipart || entity.is_message != part.is_message ||
        entity.encoding != part.encoding || (entity.type == "text") != part.is_text ||
        entity.children.size() != part.children.size())
        return false;
    for (std::size_t i = 0; i < part.children.size(); ++i)
        if (!same(entity.children[i], part.children[i])) return false;
    return true;
}

TEST(Parts, SurviveEncodingForEveryMessageOfTheCorpus) {
    std::size_t count = 0;
    for (auto const& entry : std::filesystem::directory_iterator(MALLARD_SOURCE_DIR "/tests/corpus/emails")) {
        if (entry.path().extension() != ".eml") continue;
        std::ifstream file(entry.path(), std::ios::binary);
        std::string const source((std::istreambuf_iterator<char>(file)), {});
        Entity const root = parse(source);
        std::string const encoded = encode_parts(root);
        EXPECT_TRUE(same(root, decode_parts(encoded))) << entry.path();
        ++count;
    }
    EXPECT_EQ(count, 103u);
}

TEST(Parts, AreOneOpaquePartWhenDamaged) {
    std::string const encoded = encode_parts(parse(worked_example));
    for (std::size_t cut = 0; cut < encoded.size(); ++cut) {
        Part const part = decode_parts(std::string_view(encoded).substr(0, cut));
        EXPECT_TRUE(part.children.empty()) << cut;
        EXPECT_EQ(part.header_begin, 0u);
    }
    EXPECT_TRUE(decode_parts(encoded + "x").children.empty());
}

}  // namespace
}  // namespace mallard::mime
