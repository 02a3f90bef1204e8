#include "accounts/password.hpp"

#include <gtest/gtest.h>

namespace mallard::accounts {
namespace {

struct Vector {
    std::string_view hash;
    bool rehash;
};
// Of "secret"; made with Python's hashlib and crypt, and the argon2 reference library.
constexpr Vector vectors[] = {
    {"$pbkdf2-sha256$i=100000$MDEyMzQ1Njc4OWFiY2RlZg$plwZLotEAEMO707yToj/A2wZs5Moai9JwWz+JsVD+Cc", false},
    {"$pbkdf2-sha512$i=5000$MDEyMzQ1Njc4OWFiY2RlZg$IxLoGXrTC0HzFseWrnKqqnoBoq0kviP9bqODna+u0/"
     "05Hyg4RREEdEigNhD5RqSHV1flmnjCrh7cDtw5eVSJhw",
     true},
    {"$pbkdf2-sha1$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$21EupWTmSOvnK3Sp99FL7THUyuQ", true},
    {"$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.", true},
    {"$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.",
     true},
    {"$5$rounds=5000$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.", true},
    {"$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", true},
    {"abNANd1rDfiNc", true},
    {"$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true},
    {"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true},
    {"$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true},
    {"$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQ$w2gnxX5N5iWPAdpQ+1xz58+/M8I4yFyZY8pb/gddNis", true},
    {"$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$94U4LtGI5SKbnP2wOpAbYbf9JeGUWWLtt6tKq1mbcgY", true},
    {"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$4mqQiyq0VpIzuZmp+8eSF3YJ7Av58TkEJ4LIdOVsAc4", true},
};

TEST(Password, AcceptsEveryFormatOfWildDuck) {
    for (auto const& vector : vectors) {
        EXPECT_TRUE(is_supported_hash(vector.hash)) << vector.hash;
        EXPECT_EQ(verify_password("secret", vector.hash), true) << vector.hash;
        for (std::string_view wrong : {"Secret", "", "secret ", "secre"})
            EXPECT_EQ(verify_password(wrong, vector.hash), false) << vector.hash << " took " << wrong;
        EXPECT_EQ(verify_password(std::string_view("secret\0x", 8), vector.hash), false) << vector.hash;
        EXPECT_EQ(needs_rehash(vector.hash), vector.rehash) << vector.hash;
    }
}

TEST(Password, MakesHashesThatItAcceptsAndNoTwoAlike) {
    auto const hash = hash_password("gr\xc3\xbc\xc3\x9f dich", 100'000);
    EXPECT_TRUE(hash.starts_with("$pbkdf2-sha256$i=100000$"));
    EXPECT_EQ(hash.size(), 24u + 22 + 1 + 43);
    EXPECT_EQ(verify_password("gr\xc3\xbc\xc3\x9f dich", hash), true);
    EXPECT_EQ(verify_password("gruss dich", hash), false);
    EXPECT_FALSE(needs_rehash(hash));
    EXPECT_NE(hash_password("a", 1000), hash_password("a", 1000));
    EXPECT_TRUE(needs_rehash(hash_password("a", 1000)));
}

TEST(Password, RefusesWhatItDoesNotKnow) {
    for (std::string_view bad :
         {"", "secret", "$", "$$", "$3$x$y", "$pbkdf2-md5$i=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
          "$pbkdf2-sha256$i=0$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
          "$pbkdf2-sha256$i=99999999999$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA", "$pbkdf2-sha256$i=1000$c2FsdA$",
          "$pbkdf2-sha256$i=1000$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA$x", "$pbkdf2-sha256$i=1000$!!$aGFzaGhhc2hoYXNoaGFzaA",
          "$pbkdf2-sha256$i=1000", "abNANd1rDfiN!", "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$4mqQ", "$argon2id$",
          "$argon3$x"}) {
        EXPECT_FALSE(is_supported_hash(bad)) << bad;
        auto const verified = verify_password("secret", bad);
        ASSERT_FALSE(verified) << bad;
        EXPECT_EQ(verified.error().kind, ErrorKind::invalid);
    }
    EXPECT_FALSE(verify_password("secret", "$2b$99$broken"));
    EXPECT_FALSE(verify_password("secret", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$!!"));
}

}  // namespace
}  // namespace mallard::accounts
