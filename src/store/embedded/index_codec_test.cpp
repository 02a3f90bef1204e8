#include "store/embedded/index_codec.hpp"

#include <gtest/gtest.h>

#include <random>

#include "store/embedded/codec.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/ref_log.hpp"

namespace mallard::store::embedded {
namespace {

using Random = std::mt19937_64;

Row random_row(Random& random, Uid uid) {
    Row row;
    row.uid = uid;
    row.system = static_cast<std::uint8_t>(random() % 32);
    if (random() % 3 == 0) row.keywords = {random() >> random() % 64, random() % 2 ? random() : 0};
    row.modseq = random() >> (1 + random() % 62);
    row.body = random() >> random() % 64;
    row.id = MessageId::generate();
    if (random() % 4 == 0)
        for (auto& byte : row.id.bytes) byte = static_cast<std::uint8_t>(random());
    row.size = random() >> random() % 64;
    row.internal_date = (static_cast<std::int64_t>(random() % 4'000'000'000) - 2'000'000'000) * 1000;
    return row;
}

std::vector<Row> random_rows(Random& random) {
    std::vector<Row> rows;
    Uid uid = 0;
    for (std::size_t n = random() % 600; n > 0; --n)
        rows.push_back(random_row(random, uid += 1 + random() % (random() % 2 ? 1 : 5'000)));
    return rows;
}

UidSet random_uids(Random& random) {
    UidSet uids;
    std::uint64_t at = 0;
    for (std::size_t n = random() % 50; n > 0; --n) {
        at += 1 + random() % 1'000;
        uids.add(static_cast<Uid>(at), static_cast<Uid>(at + random() % 3));
    }
    return uids;
}

void expect_same(std::vector<Row> const& a, std::vector<Row> const& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i].uid, b[i].uid);
        EXPECT_EQ(a[i].system, b[i].system);
        EXPECT_EQ(a[i].keywords, b[i].keywords);
        EXPECT_EQ(a[i].modseq, b[i].modseq);
        EXPECT_EQ(a[i].body, b[i].body);
        EXPECT_EQ(a[i].id, b[i].id);
        EXPECT_EQ(a[i].size, b[i].size);
        EXPECT_EQ(a[i].internal_date, b[i].internal_date);
    }
}

TEST(IndexCodec, GivesBackRandomRows) {
    Random random(1);
    for (int i = 0; i < 200; ++i) {
        auto const rows = random_rows(random);
        auto const decoded = decode_rows(encode_rows(rows));
        ASSERT_TRUE(decoded);
        expect_same(rows, *decoded);
        auto const summary = summarize_rows(encode_rows(rows));
        if (rows.empty())
            EXPECT_FALSE(summary);
        else
            EXPECT_EQ(*summary, summary_of(rows));
    }
}

TEST(IndexCodec, SummarizesOnlyRowsThatAscend) {
    for (std::vector<Uid> const& uids : {std::vector<Uid>{5, 5}, {5, 4}, {1, 3, 2}, {0}}) {
        std::vector<Row> rows(uids.size());
        for (std::size_t i = 0; i < uids.size(); ++i) rows[i].uid = uids[i];
        EXPECT_FALSE(summarize_rows(encode_rows(rows)));
    }
}

TEST(IndexCodec, GivesBackRandomChanges) {
    Random random(2);
    for (int i = 0; i < 300; ++i) {
        Change change;
        change.kind = static_cast<Change::Kind>(1 + random() % 3);
        ModSeq const modseq = random() >> 1;
        for (unsigned n = random() % 4; n > 0; --n)
            change.names.emplace_back(random() % keywords_max, "kw" + std::to_string(random() % 99));
        if (change.kind == Change::Kind::rows) {
            change.rows = random_rows(random);
            for (Row& row : change.rows) row.modseq = modseq;
        } else {
            change.uids = random_uids(random);
        }
        if (change.kind == Change::Kind::flags) {
            change.mode = static_cast<FlagMode>(random() % 3);
            change.system = static_cast<std::uint8_t>(random());
            change.keywords = {random(), random()};
        }
        auto const decoded = decode_change(encode_change(change), modseq);
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->kind, change.kind);
        EXPECT_EQ(decoded->names, change.names);
        EXPECT_EQ(decoded->uids, change.uids);
        EXPECT_EQ(decoded->mode, change.mode);
        EXPECT_EQ(decoded->system, change.system);
        EXPECT_EQ(decoded->keywords, change.keywords);
        expect_same(decoded->rows, change.rows);
    }
}

TEST(IndexCodec, RefusesDamagedBytesWithoutHarm) {
    Random random(3);
    auto const rows = random_rows(random);
    auto const packed = encode_rows(rows);
    Change change;
    change.rows = rows;
    auto const record = encode_change(change);
    for (std::size_t n = 0; n < packed.size(); n += 1 + n / 50)
        EXPECT_FALSE(decode_rows(std::string_view(packed).substr(0, n)));
    for (int i = 0; i < 2000; ++i) {  // must not crash; may decode to something else
        auto bad = i % 2 ? packed : record;
        bad[random() % bad.size()] = static_cast<char>(random());
        auto const summary = summarize_rows(bad);
        auto const decoded = decode_rows(bad);
        if (summary) {
            ASSERT_TRUE(decoded);
            EXPECT_EQ(*summary, summary_of(*decoded));
        }
        (void)decode_change(bad, 5);
        (void)decode_uids(bad);
        (void)decode_head(bad);
        (void)decode_ref_entry(bad);
    }
}

TEST(IndexCodec, PacksABulkCopyTightly) {
    Change change;
    for (Uid uid = 1; uid <= 100'000; ++uid) {
        Row& row = change.rows.emplace_back();
        row.uid = uid;
        row.body = 2 * uid;
        row.id = MessageId::generate();
        row.size = 4'000 + uid % 3'000;
        row.internal_date = TimeMs{1'700'000'000 + uid * 7} * 1000;
    }
    EXPECT_LT(encode_change(change).size(), 400'000u);
}

TEST(RefEntries, AreSmallForNeighbours) {
    RefEntry entry{RefEntry::Kind::lost, {}};
    for (BodyRef ref = 1'000'000; entry.refs.size() < 4096; ref += 2) entry.refs.push_back(ref);
    auto const encoded = encode_ref_entry(entry);
    EXPECT_LT(encoded.size(), 20u);
    EXPECT_EQ(decode_ref_entry(encoded)->refs, entry.refs);
}

// What a mailbox would be if it were a plain vector.
struct Model {
    std::vector<Row> rows;
    void apply(Change const& change, ModSeq modseq) {
        if (change.kind == Change::Kind::rows) rows.insert(rows.end(), change.rows.begin(), change.rows.end());
        if (change.kind == Change::Kind::expunge)
            std::erase_if(rows, [&](Row const& row) { return change.uids.contains(row.uid); });
        if (change.kind == Change::Kind::flags)
            for (Row& row : rows)
                if (change.uids.contains(row.uid)) {
                    change_row_flags(row, change.mode, change.system, change.keywords);
                    row.modseq = modseq;
                }
    }
};

TEST(IndexEdit, AgreesWithAPlainVectorAfterRandomChanges) {
    Random random(4);
    for (int round = 0; round < 20; ++round) {
        Model model;
        Snapshot index = IndexEdit(MailboxIndex{}).finish();
        for (ModSeq modseq = 2; modseq < 300; ++modseq) {
            Change change;
            auto const kind = random() % 10;
            if (kind < 6) {
                for (std::size_t n = kind == 0 ? random() % 2000 : 1; n > 0; --n) {
                    auto& row = change.rows.emplace_back(
                        random_row(random, index->uid_next + static_cast<Uid>(change.rows.size())));
                    row.modseq = modseq;
                }
            } else {
                change.kind = kind < 8 ? Change::Kind::flags : Change::Kind::expunge;
                Uid const first = 1 + static_cast<Uid>(random() % index->uid_next);
                change.uids.add(first, first + static_cast<Uid>(random() % (1 + index->uid_next / 3)));
                if (random() % 4 == 0)
                    for (Uid uid = 1; uid < index->uid_next; uid += 2 + random() % 5) change.uids.add(uid);
                change.mode = static_cast<FlagMode>(random() % 3);
                change.system = static_cast<std::uint8_t>(random() % 32);
            }
            IndexEdit edit(*index);
            edit.apply(change, modseq);
            auto const before = index;
            std::uint32_t const size_before = before->size();
            index = edit.finish();
            model.apply(change, modseq);
            ASSERT_EQ(before->size(), size_before);
            ASSERT_EQ(index->size(), model.rows.size());
        }
        std::vector<Row> rows;
        MailboxCounts counts;
        for (std::uint32_t n = 0; n < index->size(); ++n) rows.push_back(index->row(n));
        expect_same(rows, model.rows);
        for (auto const& chunk : index->chunks) {
            ASSERT_FALSE(chunk->rows().empty());
            ASSERT_LE(chunk->rows().size(), chunk_rows_max);
        }
        for (Row const& row : model.rows) {
            counts.unseen += !(row.system & seen);
            counts.deleted += (row.system & deleted) != 0;
        }
        EXPECT_EQ(index->counts().unseen, counts.unseen);
        EXPECT_EQ(index->counts().deleted, counts.deleted);
    }
}

}  // namespace
}  // namespace mallard::store::embedded
