#include "store/index.hpp"

#include <gtest/gtest.h>

namespace mallard::store {
namespace {

struct Put {
    Uid uid;
    ModSeq modseq = 1;
    std::uint8_t system = 0;
};

std::shared_ptr<Chunk const> chunk(std::vector<Put> const& rows) {
    std::vector<Row> made;
    for (auto const& put : rows) {
        Row row;
        row.uid = put.uid;
        row.modseq = put.modseq;
        row.system = put.system;
        row.size = 10;
        made.push_back(row);
    }
    return std::make_shared<Chunk const>(std::move(made));
}

MailboxIndex index_of(std::vector<std::shared_ptr<Chunk const>> chunks) {
    MailboxIndex index;
    std::uint32_t start = 0;
    for (auto& chunk : chunks) {
        index.starts.push_back(start);
        start += chunk->size();
        index.chunks.push_back(std::move(chunk));
    }
    return index;
}

int times_unpacked = 0;

std::vector<Row> unpack(std::string_view packed) {
    ++times_unpacked;
    std::vector<Row> rows(packed.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].uid = static_cast<Uid>(packed[i]);
    return rows;
}

std::shared_ptr<Chunk const> dated_chunk(std::vector<std::pair<Uid, TimeMs>> const& rows, std::uint8_t system = 0) {
    std::vector<Row> made;
    for (auto const& [uid, date] : rows) {
        Row row{.uid = uid, .system = system, .internal_date = date};
        row.id.bytes[0] = static_cast<std::uint8_t>(uid);
        made.push_back(row);
    }
    return std::make_shared<Chunk const>(std::move(made));
}

std::vector<Uid> walked(DateWalk walk) {
    std::vector<Uid> uids;
    while (Row const* row = walk.next()) uids.push_back(row->uid);
    return uids;
}

TEST(DateWalk, GoesByDateThenIdFromAnyPlaceEitherWay) {
    auto const index = index_of({dated_chunk({{1, 50}, {2, 10}, {3, 30}}), dated_chunk({{4, 30}, {5, 5}}, seen)});
    auto const all = [](ChunkSummary const&) { return true; };
    auto const unread = [](ChunkSummary const& chunk) { return chunk.unseen > 0; };
    using enum DateWalk::Order;
    using Uids = std::vector<Uid>;
    EXPECT_EQ(walked({index, ascending, {}, all}), (Uids{5, 2, 3, 4, 1}));
    EXPECT_EQ(walked({index, descending, {}, all}), (Uids{1, 4, 3, 2, 5}));
    EXPECT_EQ(walked({index, descending, {}, unread}), (Uids{1, 3, 2}));
    auto const third = date_place(index.row(2));
    EXPECT_EQ(walked({index, ascending, third, all}), (Uids{4, 1}));
    EXPECT_EQ(walked({index, descending, third, all}), (Uids{2, 5}));
    // A place that no row has, such as of a message that was removed.
    EXPECT_EQ(walked({index, ascending, DatePlace{20, {}}, all}), (Uids{3, 4, 1}));
    EXPECT_EQ(walked({index, descending, DatePlace{20, {}}, all}), (Uids{2, 5}));
    EXPECT_EQ(walked({index, ascending, DatePlace{60, {}}, all}), Uids());
    EXPECT_EQ(walked({index_of({}), ascending, {}, all}), Uids());
}

TEST(MailboxIndex, UnpacksAChunkOnceAndOnlyWhenARowIsWanted) {
    std::string const packed = "\x02\x05";
    auto const index =
        index_of({std::make_shared<Chunk const>(summary_of(unpack(packed)), packed, unpack), chunk({{7}})});
    times_unpacked = 0;
    EXPECT_EQ(index.counts().messages, 3u);
    EXPECT_EQ(index.counts().unseen, 3u);
    EXPECT_EQ(index.lower_bound(6), 2u);
    EXPECT_EQ(index.row(2).uid, 7u);
    EXPECT_EQ(times_unpacked, 0);
    EXPECT_EQ(index.find(5), 1u);
    EXPECT_EQ(index.row(0).uid, 2u);
    EXPECT_EQ(times_unpacked, 1);
}

TEST(MailboxIndex, FindsRowsByNumberAndByUid) {
    auto const index = index_of({chunk({{2}, {4}}), chunk({{6}}), chunk({{9}, {10}, {20}})});
    EXPECT_EQ(index.size(), 6u);
    std::vector<Uid> const uids = {2, 4, 6, 9, 10, 20};
    for (std::uint32_t n = 0; n < 6; ++n) {
        EXPECT_EQ(index.row(n).uid, uids[n]);
        EXPECT_EQ(index.find(uids[n]), n);
    }
    for (Uid absent : {0u, 1u, 3u, 5u, 7u, 11u, 21u}) EXPECT_EQ(index.find(absent), std::nullopt) << absent;
    EXPECT_EQ(index.lower_bound(0), 0u);
    EXPECT_EQ(index.lower_bound(5), 2u);
    EXPECT_EQ(index.lower_bound(7), 3u);
    EXPECT_EQ(index.lower_bound(21), 6u);
}

TEST(MailboxIndex, IsUsableWhenEmpty) {
    MailboxIndex const index;
    EXPECT_EQ(index.size(), 0u);
    EXPECT_EQ(index.lower_bound(1), 0u);
    EXPECT_EQ(index.find(1), std::nullopt);
    EXPECT_EQ(index.counts().messages, 0u);
    int visited = 0;
    index.for_uids({{1, 100}}, [&](std::uint32_t, Row const&) { ++visited; });
    EXPECT_EQ(visited, 0);
}

TEST(MailboxIndex, CountsOverAllChunks) {
    auto const counts = index_of({chunk({{1, 1, seen}, {2, 1, deleted}}), chunk({{3}})}).counts();
    EXPECT_EQ(counts.messages, 3u);
    EXPECT_EQ(counts.unseen, 2u);
    EXPECT_EQ(counts.deleted, 1u);
    EXPECT_EQ(counts.bytes, 30u);
}

TEST(MailboxIndex, VisitsTheUidsOfASetInOrder) {
    auto const index = index_of({chunk({{2}, {4}}), chunk({{6}, {8}})});
    std::vector<Uid> uids;
    std::vector<std::uint32_t> numbers;
    index.for_uids({{3, 6}, {8, ~0u}}, [&](std::uint32_t n, Row const& row) {
        uids.push_back(row.uid);
        numbers.push_back(n);
    });
    EXPECT_EQ(uids, (std::vector<Uid>{4, 6, 8}));
    EXPECT_EQ(numbers, (std::vector<std::uint32_t>{1, 2, 3}));
}

TEST(MailboxIndex, NamesFlagsByNumberAndKeywordsWithoutCase) {
    auto index = index_of({chunk({{1, 1, seen | draft}})});
    index.keywords = {"$Forwarded", "NonJunk"};
    EXPECT_EQ(index.keyword("nonjunk"), 1u);
    EXPECT_EQ(index.keyword("x"), std::nullopt);
    Row row = index.row(0);
    row.keywords.set(1);
    EXPECT_EQ(index.flags(row), (Flags{seen | draft, {"NonJunk"}}));
    EXPECT_EQ(system_flag_names(row.system), (std::vector<std::string_view>{"\\Seen", "\\Draft"}));
    EXPECT_EQ(system_flag("\\sEEN"), seen);
    EXPECT_EQ(system_flag("\\Recent"), 0);
    EXPECT_EQ(system_flag("Seen"), 0);
}

TEST(KeywordBits, HoldsAllItsNumbersApart) {
    KeywordBits bits;
    for (unsigned n : {0u, 63u, 64u, 127u}) bits.set(n);
    for (unsigned n = 0; n < keywords_max; ++n) EXPECT_EQ(bits.test(n), n == 0 || n == 63 || n == 64 || n == 127) << n;
    for (unsigned n : {0u, 63u, 64u, 127u}) bits.reset(n);
    EXPECT_TRUE(bits.none());
}

TEST(ChangesBetween, SaysNothingOfTheSameIndex) {
    auto const index = index_of({chunk({{1}, {2}}), chunk({{3}})});
    auto const changes = changes_between(index, index);
    EXPECT_TRUE(changes.vanished.empty());
    EXPECT_TRUE(changes.changed.empty());
    EXPECT_EQ(changes.appended, 0u);
}

TEST(ChangesBetween, FindsAppendedChangedAndVanishedRows) {
    auto const shared = chunk({{1}, {2}});
    auto const last = chunk({{7}, {8}});
    auto const before = index_of({shared, chunk({{3}, {4}, {5}, {6}}), last});
    auto const after = index_of({shared, chunk({{3, 9}, {6, 8}}), last, chunk({{9}, {12}})});
    auto const changes = changes_between(before, after);
    EXPECT_EQ(changes.vanished, (UidSet{{4, 5}}));
    EXPECT_EQ(changes.changed, (std::vector<std::uint32_t>{2, 3}));
    EXPECT_EQ(changes.appended, 2u);
}

TEST(ChangesBetween, KeepsUpWhenChunksAreCutElsewhere) {
    auto const tail = chunk({{10}, {11}});
    auto const before = index_of({chunk({{1}, {2}, {3}}), chunk({{4}, {5}}), tail});
    auto const after = index_of({chunk({{2}, {3}, {4}}), chunk({{5, 7}}), tail});
    auto const changes = changes_between(before, after);
    EXPECT_EQ(changes.vanished, (UidSet{{1, 1}}));
    EXPECT_EQ(changes.changed, (std::vector<std::uint32_t>{3}));
    EXPECT_EQ(changes.appended, 0u);
}

TEST(ChangesBetween, HandlesEmptySides) {
    auto const some = index_of({chunk({{1}, {5}})});
    MailboxIndex const none;
    EXPECT_EQ(changes_between(none, some).appended, 2u);
    EXPECT_EQ(changes_between(some, none).vanished, (UidSet{{1, 1}, {5, 5}}));
    EXPECT_EQ(changes_between(none, none).appended, 0u);
    auto const replaced = changes_between(some, index_of({chunk({{6}})}));
    EXPECT_EQ(replaced.vanished, (UidSet{{1, 1}, {5, 5}}));
    EXPECT_EQ(replaced.appended, 1u);
}

TEST(ChangesBetween, CountsARowAtTheHighestUid) {
    auto const before = index_of({chunk({{1}})});
    auto const after = index_of({chunk({{1}, {4294967295u}})});
    EXPECT_EQ(changes_between(before, after).appended, 1u);
    EXPECT_EQ(changes_between(after, after).appended, 0u);
}

}  // namespace
}  // namespace mallard::store
