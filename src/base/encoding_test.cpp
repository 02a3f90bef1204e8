#include "base/encoding.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/random.hpp"

namespace mallard {
namespace {

TEST(Hex, RoundTripsEveryByte) {
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    EXPECT_EQ(hex_decode(hex_encode(all)), all);
    EXPECT_EQ(hex_encode("\x01\xab"), "01ab");
}

TEST(Hex, RefusesOddLengthAndOtherCharacters) {
    for (std::string_view bad : {"a", "0g", "0x12", "zz", " 12"}) EXPECT_FALSE(hex_decode(bad)) << bad;
}

TEST(Base64, EncodesAsTheRfcsVectors) {  // RFC 4648 §10
    EXPECT_EQ(base64_encode(""), "");
    EXPECT_EQ(base64_encode("f"), "Zg==");
    EXPECT_EQ(base64_encode("fo"), "Zm8=");
    EXPECT_EQ(base64_encode("foo"), "Zm9v");
    EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64_encode("fooba", false), "Zm9vYmE");
}

TEST(Base64, RoundTripsEveryLength) {
    for (std::size_t n = 0; n < 70; ++n) {
        std::string bytes(n, '\0');
        random_bytes(bytes.data(), n);
        EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
        EXPECT_EQ(base64_decode(base64_encode(bytes, false)), bytes);
    }
}

TEST(Base64, RefusesBlanksLineEndsAndImpossibleLengths) {
    for (std::string_view bad : {"Zg= =", "Z", "Zm9v\n", "Zm 9v", "Zm9*", "=Zg"})
        EXPECT_FALSE(base64_decode(bad)) << bad;
}

TEST(Base32, EncodesLowerCaseWithoutPadding) {  // RFC 4648 §10
    EXPECT_EQ(base32_lower(""), "");
    EXPECT_EQ(base32_lower("f"), "my");
    EXPECT_EQ(base32_lower("foobar"), "mzxw6ytboi");
}

TEST(Digests, MatchKnownVectors) {
    EXPECT_EQ(hex_encode(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex_encode(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hex_encode(hmac_sha256("key", "The quick brown fox jumps over the lazy dog")),
              "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
}

TEST(Text, ComparesAsciiWithoutCaseAndLeavesOtherBytes) {
    EXPECT_TRUE(iequals("InBoX", "inbox"));
    EXPECT_FALSE(iequals("inbox", "inboxes"));
    EXPECT_FALSE(iequals("\xC3\x84", "\xC3\xA4"));
    EXPECT_EQ(to_lower("ÄBC"), "Äbc");
    EXPECT_EQ(to_upper("äbc"), "äBC");
}

TEST(Text, TrimsBlanksOnBothSides) {
    EXPECT_EQ(trim(" \t a b \r\n"), "a b");
    EXPECT_EQ(trim(" \r\n"), "");
}

TEST(Utf8, AcceptsEveryLengthAndRefusesWhatTheRfcForbids) {  // RFC 3629 §4
    for (std::string_view good : {"", "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\xA6\x86", "\xF4\x8F\xBF\xBF"})
        EXPECT_TRUE(is_valid_utf8(good)) << hex_encode(good);
    for (std::string_view bad : {"\x80", "\xC0\xAF", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF",
                                 "\xF0\x82\x82\xAC", "a\xE2\x82"})
        EXPECT_FALSE(is_valid_utf8(bad)) << hex_encode(bad);
}

TEST(Utf8, FindsTheBadOctetWhereverItStandsInAsciiText) {
    for (std::size_t at = 0; at < 40; ++at) {
        std::string text(40, 'a');
        EXPECT_TRUE(is_valid_utf8(text));
        text[at] = '\x80';
        EXPECT_FALSE(is_valid_utf8(text)) << at;
        EXPECT_TRUE(is_valid_utf8(text.replace(at, 1, "\xC3\xA9"))) << at;
    }
}

TEST(ConstantTime, ComparesWholeStrings) {
    EXPECT_TRUE(equal_constant_time("same", "same"));
    EXPECT_FALSE(equal_constant_time("same", "samE"));
    EXPECT_FALSE(equal_constant_time("same", "sam"));
}

TEST(SessionId, HasSixteenCharactersAndDiffers) {
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) seen.insert(new_session_id());
    EXPECT_EQ(seen.size(), 100u);
    EXPECT_EQ(seen.begin()->size(), 16u);
}

TEST(Random, KeepsToTheAlphabet) {
    std::string const text = random_text(1000, "abc");
    EXPECT_EQ(text.size(), 1000u);
    EXPECT_EQ(text.find_first_not_of("abc"), std::string::npos);
    EXPECT_EQ(random_hex(20).size(), 40u);
}

}  // namespace
}  // namespace mallard
