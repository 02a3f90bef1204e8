#include "encryption/encrypted_mail.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "encryption/test_gpg.hpp"
#include "mime/header.hpp"
#include "support/random_mime.hpp"

namespace mallard::encryption {
namespace {

class EncryptedMail : public testing::Test {
protected:
    std::string encrypted(std::string_view source) {
        auto const tree = mime::parse(source);
        auto spool = encrypt_mail(source, tree, {.pgp_key = key, .certificates = {}, .form = {}});
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
    auto const refused =
        encrypt_mail(source, mime::parse(source), {.pgp_key = "no key", .certificates = {}, .form = {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

// Certificates made by openssl, which opens what was encrypted.
class SmimeMail : public testing::Test {
protected:
    SmimeMail() { std::filesystem::create_directory(folder); }
    ~SmimeMail() override { std::filesystem::remove_all(folder); }

    std::string make_certificate(std::string const& name, std::string const& key) {
        run("openssl req -x509 -nodes -days 30 -subj /CN=" + name + " -newkey " + key + " -keyout " +
            at(name + ".key") + " -out " + at(name + ".pem"));
        return read(name + ".pem");
    }
    std::string opened(std::string_view mail, std::string const& name) {
        auto const tree = mime::parse(mail);
        EXPECT_EQ(tree.type + "/" + tree.subtype, "application/pkcs7-mime");
        EXPECT_EQ(tree.encoding, "base64");
        EXPECT_LE(tree.content(mail).find("\r\n"), 76u);
        write_envelope(mail);
        run("openssl cms -decrypt -binary -inform DER -in " + at("mail.der") + " -recip " + at(name + ".pem") +
            " -inkey " + at(name + ".key") + " -out " + at("mail.txt"));
        return read("mail.txt");
    }
    std::string shown(std::string_view mail) {
        write_envelope(mail);
        run("openssl cms -cmsout -print -noout -inform DER -in " + at("mail.der") + " > " + at("shown"));
        return read("shown");
    }

private:
    void write_envelope(std::string_view mail) {
        std::string encoded(mime::parse(mail).content(mail));
        std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
        std::ofstream(at("mail.der"), std::ios::binary) << base64_decode(encoded).value_or("");
    }
    std::string at(std::string const& name) const { return (folder / name).string(); }
    std::string read(std::string const& name) const {
        std::ifstream in(at(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    static void run(std::string const& command) {
        EXPECT_EQ(std::system((command + " 2>/dev/null").c_str()), 0) << command;
    }

    std::filesystem::path folder = std::filesystem::temp_directory_path() / ("smime-" + random_hex(8));
};

TEST_F(SmimeMail, CanBeOpenedByEachOfItsOwnersKeys) {
    auto const rsa = make_certificate("rsa", "rsa:2048");
    auto const curve = make_certificate("curve", "ec -pkeyopt ec_paramgen_curve:P-256");
    std::string const large = "Subject: large\r\n\r\n" + std::string(3'000'000, 'l');
    for (bool const gcm : {false, true})
        for (bool const oaep : {false, true})
            for (std::string const& source : {std::string("Subject: s\r\nX-Hidden: y\r\n\r\nplans\n\0\r", 36), large}) {
                auto const mail = encrypt_mail(source, mime::parse(source),
                                               {.pgp_key = "", .certificates = {rsa, curve}, .form = {gcm, oaep}});
                ASSERT_TRUE(mail) << mail.error().message;
                EXPECT_TRUE(mail->view().starts_with("Subject:"));
                EXPECT_FALSE(mail->view().contains("X-Hidden"));
                auto const tree = mime::parse(mail->view());
                EXPECT_EQ(*tree.parameter("smime-type"), gcm ? "authEnveloped-data" : "enveloped-data");
                for (char const* name : {"rsa", "curve"}) EXPECT_EQ(opened(mail->view(), name), source) << name;
            }
}

TEST_F(SmimeMail, UsesTheAlgorithmsThatWereAskedFor) {
    auto const rsa = make_certificate("rsa", "rsa:2048");
    auto const curve = make_certificate("curve", "ec -pkeyopt ec_paramgen_curve:P-384");
    std::string_view const source = "Subject: s\r\n\r\nx\r\n";
    auto const form_of = [&](EnvelopeForm form) {
        return shown(
            encrypt_mail(source, mime::parse(source), {.pgp_key = "", .certificates = {rsa, curve}, .form = form})
                ->view());
    };
    auto const plain = form_of({});
    EXPECT_TRUE(plain.contains("aes-256-cbc")) << plain;
    EXPECT_TRUE(plain.contains("rsaEncryption"));
    EXPECT_TRUE(plain.contains("dhSinglePass-stdDH-sha256kdf-scheme"));
    EXPECT_TRUE(plain.contains("id-aes256-wrap"));
    auto const modern = form_of({.gcm = true, .oaep = true});
    EXPECT_TRUE(modern.contains("aes-256-gcm")) << modern;
    EXPECT_TRUE(modern.contains("rsaesOaep"));
}

TEST_F(SmimeMail, SkipsCertificatesThatAreNotFitUnlessNoneIs) {
    auto const good = make_certificate("good", "rsa:2048");
    auto const small = make_certificate("small", "rsa:1024");
    std::string_view const source = "Subject: s\r\n\r\nx\r\n";
    auto const mail =
        encrypt_mail(source, mime::parse(source), {.pgp_key = "", .certificates = {small, good}, .form = {}});
    ASSERT_TRUE(mail);
    EXPECT_EQ(opened(mail->view(), "good"), source);
    auto const refused =
        encrypt_mail(source, mime::parse(source), {.pgp_key = "", .certificates = {small}, .form = {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace mallard::encryption
