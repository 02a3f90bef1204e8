#include "encryption/certificate.hpp"

#include <gtest/gtest.h>

#include "encryption/test_certificates.hpp"

namespace mallard::encryption {
namespace {

TEST(Certificate, SaysItsSubjectSerialAndFingerprint) {
    auto const read = read_certificate(test_certificates::rsa_certificate);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->subject, "O = Duck Pond, CN = ann@example.com");
    EXPECT_EQ(read->serial, "1234ABCD");
    EXPECT_EQ(read->fingerprint,
              "DA:C6:CB:CE:DD:AA:70:94:0E:8C:22:CF:19:5F:48:0B:42:77:22:86:73:7D:0D:90:7E:13:80:30:03:10:D2:BF");
    EXPECT_TRUE(read_certificate(test_certificates::curve_certificate));
}

TEST(Certificate, IsRefusedWhenDamagedOrTooShort) {
    EXPECT_FALSE(read_certificate(test_certificates::small_certificate));
    EXPECT_FALSE(read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    EXPECT_FALSE(read_certificate(""));
}

}  // namespace
}  // namespace mallard::encryption
