#include "accounts/encryption_keys.hpp"

#include <gtest/gtest.h>

#include "accounts/test_keys.hpp"

namespace mallard::accounts {
namespace {

TEST(PgpKey, SaysWhoseItIs) {
    auto const rsa = read_pgp_key(test_keys::rsa_key);
    ASSERT_TRUE(rsa) << rsa.error().message;
    EXPECT_EQ(rsa->name, "Ann Test");
    EXPECT_EQ(rsa->address, "ann@example.com");
    EXPECT_EQ(rsa->fingerprint, "4f1a61fd2f5d2eb22fba5f84a2bf663c5abafa0b");
    auto const curve = read_pgp_key(test_keys::curve_key);
    ASSERT_TRUE(curve) << curve.error().message;
    EXPECT_EQ(curve->address, "bob@example.com");
    EXPECT_EQ(curve->fingerprint, "94424f20f47108d02af1c27f62ca5c6034b24a94");
}

TEST(PgpKey, MayLackTheBlankLineBehindItsHeader) {
    std::string text = test_keys::rsa_key;
    text.erase(text.find("\n\n"), 1);
    EXPECT_TRUE(read_pgp_key(text));
    text.insert(text.find('\n') + 1, "Comment: made by hand\n");
    EXPECT_TRUE(read_pgp_key(text));
}

TEST(PgpKey, IsRefusedWhenMailCanNotBeEncryptedToIt) {
    EXPECT_FALSE(read_pgp_key(test_keys::signing_key));
    EXPECT_FALSE(read_pgp_key(test_keys::small_key));
}

TEST(PgpKey, IsRefusedWhenDamagedWhereverItIsCut) {
    std::string const whole = test_keys::rsa_key;
    std::string const end = whole.substr(whole.rfind("-----END"));
    for (std::size_t n = 0; n < whole.size() - end.size(); ++n) {
        (void)read_pgp_key(whole.substr(0, n));
        (void)read_pgp_key(whole.substr(0, n) + "\n" + end);
    }
    EXPECT_FALSE(read_pgp_key("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----"));
    EXPECT_FALSE(read_pgp_key("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n-----END PGP PUBLIC KEY BLOCK-----"));
    EXPECT_FALSE(read_pgp_key(""));
}

TEST(Certificate, SaysItsSubjectSerialAndFingerprint) {
    auto const read = read_certificate(test_keys::rsa_certificate);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->subject, "O = Duck Pond, CN = ann@example.com");
    EXPECT_EQ(read->serial, "1234ABCD");
    EXPECT_EQ(read->fingerprint,
              "DA:C6:CB:CE:DD:AA:70:94:0E:8C:22:CF:19:5F:48:0B:42:77:22:86:73:7D:0D:90:7E:13:80:30:03:10:D2:BF");
    EXPECT_TRUE(read_certificate(test_keys::curve_certificate));
}

TEST(Certificate, IsRefusedWhenDamagedOrTooShort) {
    EXPECT_FALSE(read_certificate(test_keys::small_certificate));
    EXPECT_FALSE(read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    EXPECT_FALSE(read_certificate(""));
}

}  // namespace
}  // namespace mallard::accounts
