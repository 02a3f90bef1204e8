#include "base/digest.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"

namespace mallard {
namespace {

TEST(Digest, OfPiecesIsThatOfTheWhole) {
    std::string whole;
    Sha256 digest;
    for (int i = 0; i < 300; ++i) {
        std::string const piece(static_cast<std::size_t>(i), static_cast<char>(i));
        digest.update(piece);
        whole += piece;
    }
    EXPECT_EQ(digest.finish(), sha256(whole));
    EXPECT_EQ(Sha256().finish(), sha256(""));
}

}  // namespace
}  // namespace mallard
