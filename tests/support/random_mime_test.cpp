#include "support/random_mime.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/encoding.hpp"
#include "mime/imap_structure.hpp"
#include "mime/summary.hpp"
#include "support/imap_wire.hpp"
#include "support/mime_tree.hpp"

namespace mallard::test {
namespace {

void expect_sound(std::string_view source, std::string const& name) {
    mime::Entity const root = mime::parse(source);
    EXPECT_EQ(find_fault(root, source), "") << name;
    EXPECT_TRUE(is_envelope(mime::envelope(root, source))) << name << ": " << mime::envelope(root, source);
    EXPECT_TRUE(is_body(mime::body(root, source), false)) << name << ": " << mime::body(root, source);
    EXPECT_TRUE(is_body(mime::body_structure(root, source), true))
        << name << ": " << mime::body_structure(root, source);
    mime::Summary const summary = mime::summarize(root, source);
    EXPECT_TRUE(is_valid_utf8(summary.subject) && is_valid_utf8(summary.intro)) << name;
    mime::Texts const texts = mime::texts(root, source, 4096);
    EXPECT_LE(texts.text.size(), 4096u) << name;
    EXPECT_TRUE(is_valid_utf8(texts.text)) << name;
}

TEST(RandomMime, IsTheSameForTheSameSeed) {
    EXPECT_EQ(RandomMime(7).message(), RandomMime(7).message());
    EXPECT_NE(RandomMime(7).message(), RandomMime(8).message());
}

TEST(Parse, GivesASoundTreeForTenThousandRandomMessages) {
    std::size_t multiparts = 0;
    for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
        std::string const source = RandomMime(seed).message();
        expect_sound(source, "seed " + std::to_string(seed));
        multiparts += mime::parse(source).is_multipart;
        if (HasFailure()) break;
    }
    EXPECT_GT(multiparts, 2000u);  // the generator makes what it should
}

TEST(Parse, GivesASoundTreeForEveryMessageOfTheCorpus) {
    std::size_t count = 0;
    for (auto const& entry : std::filesystem::directory_iterator(MALLARD_SOURCE_DIR "/tests/corpus/emails")) {
        if (entry.path().extension() != ".eml") continue;
        std::ifstream file(entry.path(), std::ios::binary);
        std::string const source((std::istreambuf_iterator<char>(file)), {});
        expect_sound(source, entry.path().filename());
        ++count;
    }
    EXPECT_EQ(count, 103u);
}

TEST(IsEnvelope, RefusesWhatTheGrammarDoes) {
    EXPECT_TRUE(is_envelope(R"((NIL "" NIL NIL NIL ((NIL NIL "a" "b")("x" NIL "a" "b")) NIL NIL NIL "<a>"))"));
    for (std::string_view bad :
         {"", "NIL", "()", R"((NIL "" NIL NIL NIL NIL NIL NIL NIL))", R"((NIL "" () NIL NIL NIL NIL NIL NIL NIL))",
          "(NIL \"\xC3\xA4\" NIL NIL NIL NIL NIL NIL NIL NIL)", "(NIL \"a\rb\" NIL NIL NIL NIL NIL NIL NIL NIL)",
          R"((NIL "\x" NIL NIL NIL NIL NIL NIL NIL NIL))", R"((NIL "" NIL NIL NIL NIL NIL NIL NIL NIL) )"})
        EXPECT_FALSE(is_envelope(bad)) << bad;
}

TEST(IsBody, RefusesWhatTheGrammarDoes) {
    EXPECT_TRUE(is_body(R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 0))", false));
    EXPECT_TRUE(is_body(R"(("TEXT" "PLAIN" ("A" "b") NIL NIL "7BIT" 5 0 NIL ("INLINE" NIL) ("en") NIL))", true));
    for (std::string_view bad :
         {"", "()", "(\"MIXED\")", R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5))",
          R"(("TEXT" "PLAIN" () NIL NIL "7BIT" 5 0))", R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 5))",
          R"x((("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 0)"MIXED"))x"})
        EXPECT_FALSE(is_body(bad, false)) << bad;
}

}  // namespace
}  // namespace mallard::test
