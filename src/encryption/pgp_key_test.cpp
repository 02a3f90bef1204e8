#include "encryption/pgp_key.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "encryption/test_gpg.hpp"
#include "encryption/test_pgp_keys.hpp"

namespace mallard::encryption {
namespace {

TEST(PublicKey, SaysWhoseItIs) {
    auto const rsa = read_public_key(test_pgp_keys::rsa_key);
    ASSERT_TRUE(rsa) << rsa.error().message;
    EXPECT_EQ(rsa->name, "Ann Test");
    EXPECT_EQ(rsa->address, "ann@example.com");
    EXPECT_EQ(rsa->fingerprint, "47034ef8f4013564c1bb9a619c442b91e47262be");
    auto const curve = read_public_key(test_pgp_keys::curve_key);
    ASSERT_TRUE(curve) << curve.error().message;
    EXPECT_EQ(curve->address, "bob@example.com");
    EXPECT_EQ(curve->fingerprint, "94424f20f47108d02af1c27f62ca5c6034b24a94");
}

TEST(PublicKey, MayLackTheBlankLineBehindItsHeader) {
    std::string text = test_pgp_keys::rsa_key;
    text.erase(text.find("\n\n"), 1);
    EXPECT_TRUE(read_public_key(text));
    text.insert(text.find('\n') + 1, "Comment: made by hand\n");
    EXPECT_TRUE(read_public_key(text));
}

TEST(PublicKey, IsRefusedWhenMailCanNotBeEncryptedToIt) {
    EXPECT_FALSE(read_public_key(test_pgp_keys::signing_key));
    EXPECT_FALSE(read_public_key(test_pgp_keys::small_key));
}

TEST(PublicKey, IsRefusedWhenExpiredOrRevoked) {
    Gpg gpg;
    EXPECT_FALSE(read_public_key(gpg.make_key("Old <old@example.com>", "future-default", "default", "1d",
                                              "--faked-system-time 20200101T000000")));
    auto const key = read_public_key(gpg.make_key("Rev <rev@example.com>", "future-default"));
    ASSERT_TRUE(key) << key.error().message;
    gpg.revoke(to_upper(key->fingerprint));
    EXPECT_FALSE(read_public_key(gpg.exported("Rev")));
}

TEST(PublicKey, IsRefusedWhenDamagedWhereverItIsCut) {
    std::string const whole = test_pgp_keys::rsa_key;
    std::string const end = whole.substr(whole.rfind("-----END"));
    for (std::size_t n = 0; n < whole.size() - end.size(); n += 7) {
        (void)read_public_key(whole.substr(0, n));
        (void)read_public_key(whole.substr(0, n) + "\n" + end);
    }
    for (char const* data : {"\n\n", "\n\nxxxx\n", "\n\nAAAA\n", "\n\nmQ==\n"})
        EXPECT_FALSE(read_public_key(std::string("-----BEGIN PGP PUBLIC KEY BLOCK-----") + data +
                                     "-----END PGP PUBLIC KEY BLOCK-----"));
    EXPECT_FALSE(read_public_key(""));
    EXPECT_FALSE(read_public_key(whole + std::string(key_bytes_max, '\n')));
}

TEST(Encrypt, GivesWhatTheOwnerCanReadInMailsLines) {
    Gpg gpg;
    for (auto const& [kind, usage] : {std::pair("rsa2048", "cert,sign,encr"), std::pair("future-default", "default")}) {
        auto const key = gpg.make_key(std::string(kind) + " <a@example.com>", kind, usage);
        std::string const every_octet = [] {
            std::string out;
            for (int c = 0; c < 256; ++c) out += static_cast<char>(c);
            return out;
        }();
        for (auto const& text : {std::string("plain\r\n"), every_octet, std::string(300'000, 'x')}) {
            std::string armored;
            auto const done = encrypt(key, text, [&](std::string_view piece) -> Result<void> {
                armored += piece;
                return {};
            });
            ASSERT_TRUE(done) << done.error().message;
            EXPECT_TRUE(armored.starts_with("-----BEGIN PGP MESSAGE-----\r\n"));
            EXPECT_TRUE(armored.ends_with("-----END PGP MESSAGE-----\r\n")) << armored.substr(armored.size() - 40);
            for (std::size_t i = 0; i < armored.size(); ++i)
                if (armored[i] == '\n') ASSERT_EQ(armored[i - 1], '\r') << "at " << i;
            EXPECT_EQ(gpg.decrypted(armored), text) << kind;
        }
    }
}

TEST(Encrypt, EndsWithTheErrorOfWhoTakesIt) {
    int pieces = 0;
    auto const done =
        encrypt(test_pgp_keys::rsa_key, std::string(1'000'000, 'x'), [&](std::string_view) -> Result<void> {
            if (++pieces < 3) return {};
            return fail(ErrorKind::io, "The disk is full");
        });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::io);
    EXPECT_EQ(pieces, 3);
    EXPECT_EQ(encrypt("no key", "x", [](std::string_view) { return Result<void>(); }).error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace mallard::encryption
