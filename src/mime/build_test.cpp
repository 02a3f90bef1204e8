#include "mime/build.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "mime/charset.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"

namespace mallard::mime {
namespace {

void expect_wire_form(std::string const& source) {
    std::size_t line = 0;
    for (std::size_t i = 0; i < source.size(); ++i) {
        EXPECT_LT(static_cast<unsigned char>(source[i]), 0x80);
        if (source[i] == '\n') {
            EXPECT_TRUE(i > 0 && source[i - 1] == '\r');
            line = 0;
        }
        EXPECT_LE(++line, 999u);
    }
}

TEST(Build, GivesBackWhatItWasGiven) {
    NewMail mail;
    mail.fields = {{"From", "Änn <ann@example.com>"},
                   {"To", "\"B, c\" <b@x>, d@y"},
                   {"Subject", "Grüße, long " + std::string(100, 'x') + " ü"},
                   {"References", "<a@b> <c@d>"}};
    mail.text = "Hällo\n.\n";
    mail.html = "<p>Hällo <img src=\"cid:i@x\">";
    mail.attachments = {{"größe.pdf", "application/pdf", "", "", std::string("\0\1\2", 3)},
                        {"i.png", "image/png", "i@x", "", "png"}};
    std::string const source = build(mail);
    expect_wire_form(source);
    Entity const root = parse(source);
    Summary const summary = summarize(root, source);
    EXPECT_EQ(summary.subject, mail.fields[2].second);
    ASSERT_EQ(summary.from.size(), 1u);
    EXPECT_EQ(summary.from[0].name, "Änn");
    ASSERT_EQ(summary.to.size(), 2u);
    EXPECT_EQ(summary.to[0].name, "B, c");
    EXPECT_EQ(summary.references, (std::vector<std::string>{"<a@b>", "<c@d>"}));
    EXPECT_EQ(summary.content_type, "multipart/mixed");
    ASSERT_EQ(summary.attachments.size(), 2u);
    EXPECT_EQ(summary.attachments[0].content_id, "<i@x>");
    EXPECT_TRUE(summary.attachments[0].related);
    EXPECT_EQ(summary.attachments[1].filename, "größe.pdf");
    auto const& pdf = summary.attachments[1];
    EXPECT_EQ(decode_transfer(std::string_view(source).substr(pdf.begin, pdf.end - pdf.begin), pdf.transfer_encoding),
              std::string("\0\1\2", 3));
    Texts const texts = mime::texts(root, source);
    EXPECT_EQ(texts.text, "Hällo\n.");
    EXPECT_EQ(texts.html, std::vector<std::string>{mail.html});
    EXPECT_TRUE(root.field("date") && root.field("message-id") && root.field("mime-version"));
}

TEST(Build, LetsNoValueBeginAnotherField) {
    NewMail mail;
    mail.fields = {
        {"Subject", "a\r\nBcc: evil@x"}, {"Bad name: x\r\nEvil", "y"}, {"X-Ok", "a\rb"}, {"To", "a@b\r\nEvil: c"}};
    mail.attachments = {{"x\"\r\nEvil: y", "a/b\r\nEvil: y", "id\r\nEvil: z", "attachment\r\nEvil: z", "x"}};
    std::string const source = build(mail);
    expect_wire_form(source);
    EXPECT_EQ(source.find("\nEvil"), std::string::npos);
    EXPECT_EQ(source.find("\nBcc"), std::string::npos);
}

TEST(Build, KeepsLongLinesWithinLimits) {
    NewMail mail;
    mail.text = std::string(5000, 'x') + " \n" + std::string(100, '=') + "\t";
    mail.fields = {{"Subject", std::string(300, 'y')}};
    mail.attachments = {{std::string(500, 'f') + "ä", "a/b", "", "", "x"}};
    std::string const source = build(mail);
    expect_wire_form(source);
    Entity const root = parse(source);
    EXPECT_EQ(root.children.at(1).filename(), mail.attachments[0].filename);
    Entity const& text = root.children.at(0);
    EXPECT_EQ(decode_transfer(text.content(source), text.encoding),
              std::string(5000, 'x') + " \r\n" + std::string(100, '=') + "\t");
}

TEST(Build, NeverEncodesEmbeddedMessages) {  // RFC 2046 §5.2.1
    NewMail mail;
    mail.attachments = {{"m.eml", "message/rfc822", "", "", "Subject: in\r\n\r\nx"}};
    std::string const source = build(mail);
    EXPECT_TRUE(parse(source).children.at(1).is_message);
}

}  // namespace
}  // namespace mallard::mime
