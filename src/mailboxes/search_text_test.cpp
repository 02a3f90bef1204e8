#include "mailboxes/search_text.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "mime/message.hpp"

namespace mallard::mailboxes {
namespace {

class Message {
public:
    explicit Message(std::string source) : source_(std::move(source)), reader_(source_) {}
    MessageText text(std::function<bool()> const& cancelled = none) {
        auto const tree = mime::parse(source_);
        return MessageText(reader_, mime::decode_parts(mime::encode_parts(tree)), cancelled);
    }

private:
    static inline std::function<bool()> const none;
    std::string source_;
    WholeReader reader_;
};

TEST(MessageText, FindsTextBehindEncodingsAndCharsets) {
    EXPECT_TRUE(Message("\r\nHello World\r\n").text().body_contains("hello world"));
    EXPECT_TRUE(
        Message("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n"
                "\r\nGr=FC=\r\n=DFe\r\n")
            .text()
            .body_contains("\xC3\xBC"));
    EXPECT_TRUE(Message("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                        base64_encode("\xC3\x84rger im Verzug") + "\r\n")
                    .text()
                    .body_contains("\xC3\xA4rger im"));
    EXPECT_FALSE(Message("Subject: hidden\r\n\r\nbody\r\n").text().body_contains("hidden"));
}

TEST(MessageText, LooksIntoPartsAndEmbeddedMessagesButNotAttachments) {
    Message message(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\n\r\nbinary\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?Inn=C3=A9r?=\r\n\r\ninside\r\n--b--\r\n");
    EXPECT_TRUE(message.text().body_contains("first"));
    EXPECT_TRUE(message.text().body_contains("inside"));
    EXPECT_TRUE(message.text().body_contains("inn\xC3\xA9r"));
    EXPECT_FALSE(message.text().body_contains("binary"));
}

TEST(MessageText, FindsWhatLiesAcrossWindows) {
    std::string const needle = "needle-over-a-border";
    for (std::size_t at : {262'100U, 262'134U, 262'140U, 262'144U, 524'280U}) {
        std::string plain(at, 'x');
        plain += needle + std::string(1000, 'y');
        EXPECT_TRUE(Message("\r\n" + plain).text().body_contains(needle)) << at;
        std::string lines;
        std::string const encoded = base64_encode(plain);
        for (std::size_t i = 0; i < encoded.size(); i += 76) lines += encoded.substr(i, 76) + "\r\n";
        EXPECT_TRUE(Message("Content-Transfer-Encoding: base64\r\n\r\n" + lines).text().body_contains(needle)) << at;
        std::string soft;
        for (std::size_t i = 0; i < plain.size(); i += 70) soft += plain.substr(i, 70) + "=\r\n";
        EXPECT_TRUE(Message("Content-Transfer-Encoding: quoted-printable\r\n\r\n" + soft).text().body_contains(needle))
            << at;
    }
}

TEST(MessageText, ReadsAnyHeaderField) {
    Message message("X-Mailer: =?utf-8?q?D=C3=BCck?=\r\nSubject: a\r\n b\r\n\r\nbody\r\n");
    EXPECT_TRUE(message.text().header_contains("x-mailer", "d\xC3\xBC"));
    EXPECT_TRUE(message.text().header_contains("subject", "a b"));
    EXPECT_TRUE(message.text().header_contains("subject", ""));
    EXPECT_FALSE(message.text().header_contains("x-none", ""));
    EXPECT_TRUE(
        message.text().any_header_contains("d\xC3\xBC"
                                           "ck"));
    EXPECT_TRUE(message.text().any_header_contains("x-mailer"));
    EXPECT_FALSE(message.text().any_header_contains("body"));
}

TEST(MessageText, EndsWhenCancelled) {
    Message message("\r\n" + std::string(1'000'000, 'x'));
    int asked = 0;
    std::function<bool()> const cancelled = [&] { return ++asked > 2; };
    auto text = message.text(cancelled);
    EXPECT_FALSE(text.body_contains("needle"));
    ASSERT_FALSE(text.outcome());
    EXPECT_EQ(text.outcome().error().kind, ErrorKind::closed);
    EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace mallard::mailboxes
