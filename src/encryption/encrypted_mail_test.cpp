#include "encryption/encrypted_mail.hpp"

#include <gtest/gtest.h>

#include "encryption/test_gpg.hpp"
#include "mime/header.hpp"
#include "support/random_mime.hpp"

namespace mallard::encryption {
namespace {

class EncryptedMail : public testing::Test {
protected:
    std::string encrypted(std::string_view source) {
        auto const tree = mime::parse(source);
        auto spool = encrypt_mail(source, tree, key);
        EXPECT_TRUE(spool) << spool.error().message;
        return spool ? std::string(spool->view()) : std::string();
    }
    // The message in the second part.
    std::string decrypted(std::string_view mail) {
        auto const tree = mime::parse(mail);
        EXPECT_EQ(tree.children.size(), 2u);
        return tree.children.size() == 2 ? gpg.decrypted(tree.children[1].content(mail)) : std::string();
    }

    Gpg gpg;
    std::string key = gpg.make_key("Ann <ann@example.com>", "future-default");
};

TEST_F(EncryptedMail, IsWhatRfc3156AsksFor) {
    std::string const mail = encrypted("Subject: x\r\n\r\nx\r\n");
    auto const tree = mime::parse(mail);
    EXPECT_EQ(tree.type + "/" + tree.subtype, "multipart/encrypted");
    ASSERT_TRUE(tree.parameter("protocol"));
    EXPECT_EQ(*tree.parameter("protocol"), "application/pgp-encrypted");
    ASSERT_EQ(tree.children.size(), 2u);
    auto const& control = tree.children[0];
    EXPECT_EQ(control.type + "/" + control.subtype, "application/pgp-encrypted");
    EXPECT_EQ(control.content(mail), "Version: 1\r\n");
    auto const& data = tree.children[1];
    EXPECT_EQ(data.type + "/" + data.subtype, "application/octet-stream");
    EXPECT_TRUE(data.content(mail).starts_with("-----BEGIN PGP MESSAGE-----\r\n"));
    for (std::size_t i = 0; i < mail.size(); ++i) {
        EXPECT_LT(static_cast<unsigned char>(mail[i]), 128);
        if (mail[i] == '\n') EXPECT_EQ(mail[i - 1], '\r');
    }
}

TEST_F(EncryptedMail, ShowsTheFieldsOfAListAndHidesTheOthers) {
    std::string const source =
        "Received: from a by b\r\nSubject: a long\r\n subject\r\nFROM: a@example.com\r\nTo: b@example.com\r\n"
        "Cc: c@example.com\r\nMIME-Version: 1.0\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <m@x>\r\n"
        "References: <r@x>\r\nIn-Reply-To: <r@x>\r\nX-Secret: y\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n";
    std::string const mail = encrypted(source);
    auto const tree = mime::parse(mail);
    std::string names;
    for (auto const& field : tree.fields) names += std::string(field.name) + " ";
    EXPECT_EQ(names,
              "Subject FROM To Date Message-ID References In-Reply-To MIME-Version Content-Type Content-Description ");
    EXPECT_EQ(mime::unfold(*tree.field("subject")), "a long subject");
    EXPECT_EQ(mail.find("secret"), mail.npos);
    EXPECT_EQ(mail.find("<b>"), mail.npos);
    EXPECT_EQ(decrypted(mail), source);
}

TEST_F(EncryptedMail, KeepsEveryOctetOfTheMessage) {
    std::string const large = "Subject: large\r\n\r\n" + std::string(3'000'000, 'l');
    for (std::string const& source :
         {std::string("Subject: x\n\nbare line feeds\n"), std::string("Subject: x\r\n\r\nno final line end"),
          std::string("Subject: x\r\n\r\na\0b\rc\r\n", 22), std::string("\r\n"), std::string("no header at all"),
          std::string("Subject: -- \xff\r\n\r\n- dashes\r\n-----BEGIN PGP MESSAGE-----\r\n"), large})
        EXPECT_EQ(decrypted(encrypted(source)), source);
    test::RandomMime random(7);
    for (int n = 0; n < 20; ++n) {
        auto const source = random.message();
        EXPECT_EQ(decrypted(encrypted(source)), source);
    }
}

TEST_F(EncryptedMail, IsNotMadeForAKeyThatCanNotBeUsed) {
    std::string_view const source = "Subject: x\r\n\r\nx\r\n";
    auto const refused = encrypt_mail(source, mime::parse(source), "no key");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace mallard::encryption
