#include "mailboxes/search.hpp"

#include "mailboxes/test_store.hpp"

namespace mallard::mailboxes {
namespace {

using Kind = SearchKey::Kind;

constexpr TimeMs day = 86'400'000;
constexpr TimeMs monday = 1'704'067'200'000;  // 2024-01-01

SearchKey text_key(Kind kind, std::string text, std::string field = {}) {
    return {.kind = kind, .field = std::move(field), .text = std::move(text)};
}
SearchKey number_key(Kind kind, std::uint64_t number) { return {.kind = kind, .number = number}; }
SearchKey day_key(Kind kind, TimeMs from) { return {.kind = kind, .from = from, .to = from + day}; }
SearchKey flag_key(std::uint8_t bits) { return {.kind = Kind::flag, .bits = bits}; }
SearchKey tree(Kind kind, std::vector<SearchKey> children) { return {.kind = kind, .children = std::move(children)}; }
SearchKey no(SearchKey key) { return tree(Kind::not_, {std::move(key)}); }

class SearchTest : public testing::Test {
protected:
    SearchTest() {
        world_.add(
            "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nTo: a@example.com\r\nSubject: Apples and PEARS\r\n"
            "Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nX-Tag: red\r\n\r\nThe quick brown fox\r\n",
            {.system = store::seen}, monday + 3'600'000);
        world_.add(
            "From: bob@example.com\r\nCc: carol@example.com\r\nSubject: Plums\r\n"
            "Date: Wed, 03 Jan 2024 10:00:00 +0000\r\nContent-Transfer-Encoding: base64\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nR3LDvMOfZSBhdXMgS8O2bG4=\r\n",
            {.system = store::flagged, .keywords = {"NonJunk"}}, monday + 2 * day);
        world_.add("Subject: large\r\n\r\n" + std::string(400'000, 'x') + " needle\r\n", {}, monday + 4 * day);
    }

    std::vector<store::Uid> found(SearchKey const& key) {
        auto const mailbox = world_.snapshot();
        auto const result = search(world_.mail(), *mailbox, key, monday + 5 * day, {});
        EXPECT_TRUE(result) << (result ? "" : result.error().message);
        std::vector<store::Uid> uids;
        if (!result) return uids;
        highest_ = result->highest_modseq;
        for (auto n : result->rows) uids.push_back(mailbox->row(n).uid);
        return uids;
    }

    TestStore world_;
    store::ModSeq highest_ = 0;
};

using Uids = std::vector<store::Uid>;

TEST_F(SearchTest, AnswersFromTheIndex) {
    EXPECT_EQ(found({.kind = Kind::all}), (Uids{1, 2, 3}));
    EXPECT_EQ(found({.kind = Kind::none}), Uids());
    EXPECT_EQ(found({.kind = Kind::rows, .set = {{1, 1}, {3, 9}}}), (Uids{1, 3}));
    EXPECT_EQ(found({.kind = Kind::uids, .set = {{2, 2}}}), (Uids{2}));
    EXPECT_EQ(found(flag_key(store::seen)), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::keyword, "nonjunk")), (Uids{2}));
    EXPECT_EQ(found(text_key(Kind::keyword, "unknown")), Uids());
    EXPECT_EQ(found(number_key(Kind::larger, 100'000)), (Uids{3}));
    EXPECT_EQ(found(number_key(Kind::smaller, 100'000)), (Uids{1, 2}));
    EXPECT_EQ(found(number_key(Kind::younger, 2 * 86'400)), (Uids{3}));
    EXPECT_EQ(found(number_key(Kind::older, 2 * 86'400)), (Uids{1, 2}));
}

TEST_F(SearchTest, LooksOnlyAtTheRowsOfASet) {
    SearchKey const first_two{.kind = Kind::rows, .set = {{1, 2}}};
    SearchKey const last_two{.kind = Kind::uids, .set = {{2, UINT32_MAX}}};
    EXPECT_EQ(found(last_two), (Uids{2, 3}));
    EXPECT_EQ(found({.kind = Kind::uids, .set = {{9, 12}}}), Uids());
    EXPECT_EQ(found({.kind = Kind::rows, .set = {{4, 4}}}), Uids());
    EXPECT_EQ(found(tree(Kind::and_, {first_two, last_two})), (Uids{2}));
    EXPECT_EQ(found(tree(Kind::and_, {tree(Kind::and_, {first_two}), flag_key(store::seen)})), (Uids{1}));
    EXPECT_EQ(found(tree(Kind::or_, {{.kind = Kind::rows, .set = {{1, 1}}}, {.kind = Kind::uids, .set = {{3, 3}}}})),
              (Uids{1, 3}));
    EXPECT_EQ(found(no(first_two)), (Uids{3}));
}

TEST_F(SearchTest, ComparesWholeDays) {
    EXPECT_EQ(found(day_key(Kind::on, monday)), (Uids{1}));
    EXPECT_EQ(found(day_key(Kind::before, monday)), Uids());
    EXPECT_EQ(found(day_key(Kind::before, monday + 2 * day)), (Uids{1}));
    EXPECT_EQ(found(day_key(Kind::since, monday + 2 * day)), (Uids{2, 3}));
    EXPECT_EQ(found(day_key(Kind::sent_on, monday + 2 * day)), (Uids{2}));
    EXPECT_EQ(found(day_key(Kind::sent_before, monday + day)), (Uids{1}));
    EXPECT_EQ(found(day_key(Kind::sent_since, monday + day)), (Uids{2, 3}));  // no Date: the internal one
}

TEST_F(SearchTest, FindsPartsOfHeadersInAnyCase) {
    EXPECT_EQ(found(text_key(Kind::header, "pear", "subject")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::header, "J\xC3\x96RG", "from")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::header, "", "cc")), (Uids{2}));
    EXPECT_EQ(found(text_key(Kind::header, "RED", "x-tag")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::header, "", "x-none")), Uids());
    EXPECT_EQ(found(no(text_key(Kind::header, "pear", "subject"))), (Uids{2, 3}));
}

TEST_F(SearchTest, FindsTextBehindEncodings) {
    EXPECT_EQ(found(text_key(Kind::body, "QUICK BROWN")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::body,
                             "gr\xC3\xBC\xC3\x9F"
                             "e aus k\xC3\xB6ln")),
              (Uids{2}));
    EXPECT_EQ(found(text_key(Kind::body, "apples")), Uids());
    EXPECT_EQ(found(text_key(Kind::text, "apples")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::text, "x-tag")), (Uids{1}));
    EXPECT_EQ(found(text_key(Kind::body, "needle")), (Uids{3}));
    EXPECT_EQ(found(text_key(Kind::body, "")), (Uids{1, 2, 3}));
    EXPECT_EQ(found(no(text_key(Kind::body, "needle"))), (Uids{1, 2}));
}

TEST_F(SearchTest, CombinesKeysOfAllCosts) {
    auto const fox = text_key(Kind::body, "fox");
    auto const plums = text_key(Kind::header, "plums", "subject");
    auto const flagged = flag_key(store::flagged);
    EXPECT_EQ(found(tree(Kind::or_, {fox, plums})), (Uids{1, 2}));
    EXPECT_EQ(found(tree(Kind::and_, {fox, plums})), Uids());
    EXPECT_EQ(found(tree(Kind::and_, {plums, flagged})), (Uids{2}));
    EXPECT_EQ(found(no(tree(Kind::or_, {fox, flagged}))), (Uids{3}));
    EXPECT_EQ(found(tree(Kind::or_, {tree(Kind::and_, {fox, flag_key(store::seen)}), no(no(flagged))})), (Uids{1, 2}));
    EXPECT_EQ(found(tree(Kind::and_, {})), (Uids{1, 2, 3}));
}

TEST_F(SearchTest, TellsTheHighestModseqOfTheMatches) {
    auto const mailbox = world_.snapshot();
    found({.kind = Kind::uids, .set = {{1, 2}}});
    EXPECT_EQ(highest_, mailbox->row(1).modseq);
    EXPECT_EQ(found(number_key(Kind::modseq, mailbox->row(2).modseq)), (Uids{3}));
}

TEST_F(SearchTest, ReadsTheMessageWhenAnIndexedHeaderWasCut) {
    world_.add("Subject: " + std::string(20'000, 'y') + " far\r\n\r\n");
    EXPECT_EQ(found(text_key(Kind::header, "y far", "subject")), (Uids{4}));
    EXPECT_EQ(found(no(text_key(Kind::header, "y far", "subject"))), (Uids{1, 2, 3}));
}

TEST_F(SearchTest, LeavesOutWhatWasExpungedMeanwhile) {
    auto const mailbox = world_.snapshot();
    ASSERT_TRUE(world_.mail().expunge(world_.inbox, {{1, 1}}, false));
    world_.clock.advance(3'600'000);
    auto const result = search(world_.mail(), *mailbox, text_key(Kind::body, "needle"), monday, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->rows, (std::vector<std::uint32_t>{2}));
}

TEST_F(SearchTest, EndsWhenCancelled) {
    auto const mailbox = world_.snapshot();
    auto const result = search(world_.mail(), *mailbox, text_key(Kind::body, "needle"), monday, [] { return true; });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::closed);
}

}  // namespace
}  // namespace mallard::mailboxes
