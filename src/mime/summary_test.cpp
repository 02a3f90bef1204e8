#include "mime/summary.hpp"

#include <gtest/gtest.h>

#include <string>

#include "mime/html.hpp"

namespace mallard::mime {
namespace {

Summary summary_of(std::string_view source) { return summarize(parse(source), source); }
Texts texts_of(std::string_view source, std::size_t bytes_max = 1024 * 1024) {
    return texts(parse(source), source, bytes_max);
}

constexpr std::string_view worked_example =  // storage.md §11.9
    "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hi\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n"
    "Message-ID: <m1@example.com>\r\nContent-Type: multipart/mixed; boundary=B1\r\n\r\n--B1\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n--B1\r\nContent-Type: application/pdf\r\n"
    "Content-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: "
    "base64\r\n\r\nJVBERg==\r\n--B1--\r\n";

TEST(Summarize, SaysOfTheWorkedExampleWhatWildDuckSays) {
    Summary const summary = summary_of(worked_example);
    EXPECT_EQ(summary.subject, "Hi");
    EXPECT_EQ(summary.message_id, "<m1@example.com>");
    EXPECT_EQ(summary.date, "Mon, 01 Jan 2024 10:00:00 +0000");
    EXPECT_EQ(summary.intro, "Hello");
    EXPECT_EQ(summary.content_type, "multipart/mixed");
    EXPECT_TRUE(summary.has_attachments);
    ASSERT_EQ(summary.from.size(), 1u);
    EXPECT_EQ(summary.from[0].name, "Ann");
    EXPECT_EQ(summary.from[0].address(), "ann@example.com");
    ASSERT_EQ(summary.attachments.size(), 1u);
    Attachment const& pdf = summary.attachments[0];
    EXPECT_EQ(pdf.id, "ATT00001");
    EXPECT_EQ(pdf.filename, "a.pdf");
    EXPECT_EQ(pdf.content_type, "application/pdf");
    EXPECT_EQ(pdf.disposition, "attachment");
    EXPECT_EQ(pdf.transfer_encoding, "base64");
    EXPECT_EQ(pdf.content_id, "");
    EXPECT_FALSE(pdf.related);
    EXPECT_EQ(pdf.size, 8u);
    EXPECT_EQ(worked_example.substr(pdf.begin, pdf.end - pdf.begin), "JVBERg==");
}

TEST(Texts, SayOfTheWorkedExampleWhatWildDuckSays) {
    Texts const texts = texts_of(worked_example);
    EXPECT_EQ(texts.text, "Hello");
    ASSERT_EQ(texts.html.size(), 1u);
    EXPECT_EQ(texts.html[0], "<p>Hello</p>");
}

TEST(Summarize, ListsWhatIsNotInlineText) {
    std::string const source =
        "Content-Type: multipart/related; boundary=R\r\n\r\n"
        "--R\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n"
        "--R\r\nContent-Type: image/png\r\nContent-ID: <p@x>\r\nContent-Disposition: inline\r\n\r\nx\r\n"
        "--R\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nnote\r\n"
        "--R\r\nContent-Type: image/gif\r\n\r\n"
        "--R--";
    Summary const summary = summary_of(source);
    ASSERT_EQ(summary.attachments.size(), 2u);  // the gif is empty
    EXPECT_EQ(summary.attachments[0].content_id, "<p@x>");
    EXPECT_TRUE(summary.attachments[0].related);
    EXPECT_TRUE(summary.attachments[0].filename.ends_with(".png"));
    EXPECT_EQ(summary.attachments[1].id, "ATT00002");
    EXPECT_EQ(summary.attachments[1].disposition, "attachment");
    EXPECT_FALSE(summary.has_attachments);
    EXPECT_EQ(summary.intro, "hi");
}

TEST(Summarize, WalksIntoEmbeddedMultiparts) {
    std::string const inner =
        "Content-Type: multipart/mixed; boundary=I\r\n\r\n--I\r\n\r\ninner text\r\n--I\r\nContent-Type: "
        "a/b\r\n\r\nx\r\n--I--\r\n";
    std::string const source =
        "Content-Type: multipart/mixed; boundary=O\r\n\r\n--O\r\n\r\nouter\r\n"
        "--O\r\nContent-Type: message/rfc822\r\n\r\n" +
        inner + "--O--\r\n";
    Summary const summary = summary_of(source);
    ASSERT_EQ(summary.attachments.size(), 2u);
    EXPECT_EQ(summary.attachments[0].content_type, "message/rfc822");
    EXPECT_EQ(summary.attachments[1].content_type, "a/b");
    EXPECT_EQ(texts_of(source).text, "outer\ninner text");
}

TEST(Summarize, CutsIntroAtABlank) {
    std::string body;
    for (int i = 0; i < 100; ++i) body += "word ";
    std::string const intro = summary_of("\r\n" + body).intro;
    EXPECT_TRUE(intro.ends_with("word…")) << intro;
    EXPECT_LE(intro.size(), 128u + 3u);
    EXPECT_EQ(summary_of("\r\n" + std::string(200, 'x')).intro, std::string());  // a ruler
    EXPECT_EQ(summary_of("\r\n" + std::string(150, 'x') + "y").intro, std::string(128, 'x') + "…");
}

TEST(Summarize, LeavesNoiseOutOfIntro) {
    EXPECT_EQ(summary_of("\r\n> quoted\r\n-----\r\nread [image] this\r\n\r\n  now").intro, "read this now");
    EXPECT_EQ(summary_of("Content-Type: text/html\r\n\r\n<style>x</style><p>a&nbsp;&zwnj;&nbsp;b<br>c").intro, "a b c");
}

TEST(Summarize, PrefersHtmlForIntro) {
    EXPECT_EQ(summary_of("Content-Type: multipart/alternative; boundary=B\r\n\r\n--B\r\n\r\nplain\r\n"
                         "--B\r\nContent-Type: text/html\r\n\r\n<i>rich</i>\r\n--B--")
                  .intro,
              "rich");
}

TEST(Summarize, CollapsesBlanksOfSubject) {
    EXPECT_EQ(summary_of("Subject:  a \r\n\t b=?utf-8?q?_?= =?utf-8?q?c?=\r\n\r\n").subject, "a b c");
    EXPECT_EQ(summary_of("Subject: one\r\nSubject: =?utf-8?b?w6Q=?=\r\n\r\n").subject, "ä");
}

TEST(Texts, MakeEachFormOfTheOtherOutsideAlternative) {
    Texts const plain = texts_of("\r\na <b>\r\nc\r\n\r\nd");
    EXPECT_EQ(plain.text, "a <b>\nc\n\nd");
    ASSERT_EQ(plain.html.size(), 1u);
    EXPECT_EQ(plain.html[0], "<p>a &lt;b&gt;<br/>c</p><p>d</p>");
    EXPECT_EQ(texts_of("Content-Type: text/html\r\n\r\n<p>a</p><p>b").text, "a\n\nb");
}

TEST(Texts, AreBounded) {
    std::string const source = "\r\n" + std::string(10'000, 'x');
    Texts const texts = texts_of(source, 100);
    EXPECT_EQ(texts.text.size(), 100u);
    EXPECT_EQ(texts.html.at(0).size(), 100u);
    EXPECT_EQ(texts_of("Content-Type: text/plain; charset=utf-8\r\n\r\n\xC3\xA4\xC3\xA4", 3).text, "ä");
}

TEST(Texts, UnwrapFlowedText) {  // RFC 3676 §4
    EXPECT_EQ(texts_of("Content-Type: text/plain; format=flowed\r\n\r\na \r\nb\r\n> q \r\n> r\r\n-- \r\nsig").text,
              "a b\n> q r\n-- \nsig");
    EXPECT_EQ(texts_of("Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\na \r\nb").text, "ab");
}

TEST(Texts, DecodeCharsetsAndTransferEncodings) {
    EXPECT_EQ(texts_of("Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xE4").text, "ä");
    EXPECT_EQ(
        texts_of("Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: base64\r\n\r\ngqA=").text,
        "あ");
    EXPECT_EQ(texts_of("Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=\r\n b = =zz").text, "ä b = =zz");
    EXPECT_EQ(texts_of("\r\n\xC3\xA4").text, "ä");
    EXPECT_EQ(texts_of("\r\n\x80").text, "€");
}

TEST(HtmlToText, ReadsAnyInput) {
    struct Row {
        std::string_view html, text;
    };
    for (Row const row : {Row{"", ""},
                          {"a", "a"},
                          {"<", "<"},
                          {"a < b", "a < b"},
                          {"<b", ""},
                          {"a<!-- x > y -->b", "ab"},
                          {"a<!-- x", "a"},
                          {"<script>if (a</b) x</script>y", "y"},
                          {"<style>x", ""},
                          {"<SCRIPT>x</ScRiPt >y", "y"},
                          {"&amp;&lt;&#65;&#x42;&eacute;&apos;", "&<AB\u00E9'"},
                          {"&unknown; & &#; &#xD800;", "&unknown; & &#; \uFFFD"},
                          {"<div>a</div><div>b</div>", "a\nb"},
                          {"a<br>b<br/>c", "a\nb\nc"},
                          {"<td>a</td><td>b</td>", "a b"},
                          {"<?xml version='1.0'?><p>x", "x"},
                          {" a \n b ", "a b"}})
        EXPECT_EQ(html_to_text(row.html, 1000), row.text) << row.html;
}

TEST(ThreadRefs, HashIdsAsWildDuckDoes) {
    std::string_view const source = "Message-ID: <m1@example.com>\r\nReferences: <a@b>\r\n <m1@example.com>\r\n\r\n";
    auto const refs = thread_refs(parse(source), source);
    ASSERT_EQ(refs.size(), 2u);
    EXPECT_EQ(refs[0], "6nqph37mRCkgBcdWwTY0rlAHXxU");
}

TEST(ThreadSubject, LosesPrefixesAndSuffixes) {
    struct Row {
        std::string_view subject, expected;
    };
    for (Row const row : {Row{"", ""},
                          {"Hi", "Hi"},
                          {"Re: Hi", "Hi"},
                          {"RE : fwd: FW:Hi", "Hi"},
                          {"[list] Re: Hi", "Hi"},
                          {"[list]", "[list]"},
                          {"[list]x", "[list]x"},
                          {"Hi (fwd)", "Hi"},
                          {"Re[2]: Hi", "Re[2]: Hi"},
                          {"AW: Hi", "AW: Hi"},
                          {"Re: [a] [b] c (FWD)", "c"},
                          {"Re:", ""},
                          {"Reply", "Reply"}})
        EXPECT_EQ(thread_subject(row.subject), row.expected) << row.subject;
}

}  // namespace
}  // namespace mallard::mime
