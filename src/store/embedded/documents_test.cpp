// The conformance suites of Documents, SharedState and Events on memory and on RocksDB; what only this engine has.

#include "store/embedded/documents.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/random.hpp"
#include "store/conformance/backend.hpp"
#include "store/document_keys.hpp"
#include "store/embedded/tables.hpp"
#include "store/embedded/test_backend.hpp"

namespace mallard::store::conformance {

static auto const backends =
    testing::Values(BackendFactory{"memory", [] { return std::make_unique<embedded::EmbeddedBackend>(false); }},
                    BackendFactory{"rocks", [] { return std::make_unique<embedded::EmbeddedBackend>(true); }});
INSTANTIATE_TEST_SUITE_P(Embedded, DocumentsSuite, backends, name_of_backend);
INSTANTIATE_TEST_SUITE_P(Embedded, SharedStateSuite, backends, name_of_backend);
INSTANTIATE_TEST_SUITE_P(Embedded, EventsSuite, backends, name_of_backend);

}  // namespace mallard::store::conformance

namespace mallard::store::embedded {
namespace {

using bson::Array;
using bson::Date;
using bson::Document;

Collection const things{.name = "things",
                        .indexes = {{.name = "name", .fields = {"name"}, .unique = true},
                                    {.name = "tags", .fields = {"tags"}},
                                    {.name = "expiry", .fields = {"expires"}, .ttl_field = "expires"}}};

// Every index row points at a document that has this key, and every key of every document has its row.
void check_indexes(kv::Engine& engine) {
    std::map<std::string, int> rows;
    for (auto cursor = engine.scan(table_document_index, {}); cursor->valid(); cursor->next())
        ++rows[std::string(cursor->key())];
    for (auto cursor = engine.scan(table_documents, {}); cursor->valid(); cursor->next()) {
        auto const document = Document::decode(cursor->value());
        ASSERT_TRUE(document);
        for (auto const& index : things.indexes)
            for (auto const& key : index_keys(index, *document)) {
                std::string row = "things";
                row.append(1, '\0').append(index.name).append(1, '\0').append(key).append(document->id("_id")->view());
                EXPECT_EQ(rows[row], 1) << "row missing in " << index.name;
                rows.erase(row);
            }
    }
    EXPECT_TRUE(rows.empty()) << rows.size() << " rows without a document";
}

ObjectId thing_id(int n) {
    ObjectId id;
    id.bytes[11] = static_cast<std::uint8_t>(n);
    return id;
}

// Each step either happens whole or not at all, whichever write loses the disk.
TEST(EmbeddedDocuments, KeepsDocumentAndIndexesTogetherWhateverWriteFails) {
    for (int fail_at = 1;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        auto const memory = kv::new_memory_state();
        auto const disk = kv::open_memory(memory, table_specs());
        ManualClock clock;
        auto const faulty = kv::wrap_faulty(*disk, fail_at);
        EmbeddedDocuments documents(*faulty, clock);
        bool const declared = documents.declare(things).has_value();
        std::vector<bool> done;
        auto const step = [&](bool success) { done.push_back(success); };
        if (declared) {
            step(
                documents.insert(things, {{"_id", thing_id(1)}, {"name", "a"}, {"tags", Array{"x", "y"}}}).has_value());
            step(documents.insert(things, {{"_id", thing_id(2)}, {"name", "b"}}).has_value());
            step(documents.update(things, thing_id(1), {.set = {{"name", "c"}}, .pull = {{"tags", "x"}}}).has_value());
            step(documents.erase(things, thing_id(2)).has_value());
            step(documents.insert(things, {{"_id", thing_id(3)}, {"name", "b"}}).has_value());
        }

        auto const again = kv::open_memory(memory, table_specs());
        EmbeddedDocuments reopened(*again, clock);
        ASSERT_TRUE(reopened.declare(things));
        check_indexes(*again);
        done.resize(5);
        auto const one = *reopened.get(things, thing_id(1));
        auto const two = *reopened.get(things, thing_id(2));
        auto const three = *reopened.get(things, thing_id(3));
        EXPECT_EQ(one.has_value(), done[0]);
        if (one) {
            EXPECT_EQ(one->text("name"), done[2] ? "c" : "a");
        }
        EXPECT_EQ(two.has_value(), done[1] && !done[3]);
        EXPECT_EQ(three.has_value(), done[4]);
        if (!faulty->fired()) {
            EXPECT_TRUE(declared && done[4]);
            break;
        }
        ASSERT_LT(fail_at, 100);
    }
}

TEST(EmbeddedDocuments, SweepsAwayWhatHasExpiredWithItsIndexRows) {
    auto const disk = kv::open_memory(kv::new_memory_state(), table_specs());
    ManualClock clock;
    EmbeddedDocuments documents(*disk, clock);
    ASSERT_TRUE(documents.declare(things));
    for (int n = 1; n <= 3; ++n)
        ASSERT_TRUE(documents.insert(
            things, {{"_id", thing_id(n)}, {"name", std::to_string(n)}, {"expires", Date{clock.now() + n * 1000}}}));
    ASSERT_TRUE(documents.insert(things, {{"_id", thing_id(9)}, {"name", "stays"}}));
    clock.advance(2000);
    EXPECT_EQ(documents.sweep(), false);
    check_indexes(*disk);
    int rows = 0;
    for (auto cursor = disk->scan(table_documents, {}); cursor->valid(); cursor->next()) ++rows;
    EXPECT_EQ(rows, 2);
    EXPECT_TRUE(documents.get(things, thing_id(3))->has_value());
}

TEST(EmbeddedDocuments, RefusesToDeclareAUniqueIndexOverDoubles) {
    auto const disk = kv::open_memory(kv::new_memory_state(), table_specs());
    ManualClock clock;
    EmbeddedDocuments documents(*disk, clock);
    Collection const bare{.name = "things", .indexes = {}};
    ASSERT_TRUE(documents.declare(bare));
    for (int n = 1; n <= 2; ++n) ASSERT_TRUE(documents.insert(bare, {{"_id", thing_id(n)}, {"name", "same"}}));
    auto const declared = documents.declare(things);
    ASSERT_FALSE(declared);
    EXPECT_EQ(declared.error().kind, ErrorKind::conflict);
}

// So that nothing is forgotten when a store is moved.
TEST(EmbeddedDocuments, RefusesDocumentsOfACollectionThatWasNotDeclared) {
    auto const disk = kv::open_memory(kv::new_memory_state(), table_specs());
    ManualClock clock;
    EmbeddedDocuments documents(*disk, clock);
    bson::Document const thing{{"_id", thing_id(1)}, {"name", "a"}};
    EXPECT_EQ(documents.insert(things, thing).error().kind, ErrorKind::internal);
    ASSERT_TRUE(documents.declare(things));
    EXPECT_TRUE(documents.insert(things, thing));
}

TEST(DocumentKeys, SortAsTheirValuesDo) {
    Array const ascending = {Array{},
                             bson::Null{},
                             -1e308,
                             -2.5,
                             -1,
                             0,
                             1e-300,
                             1,
                             std::int64_t{9007199254740992},
                             std::int64_t{9007199254740993},
                             1e308,
                             "",
                             std::string("\0", 1),
                             std::string("\0\0", 2),
                             "a",
                             std::string("a\0b", 3),
                             "aa",
                             "b",
                             Document{{"a", 1}},
                             Array{1},
                             bson::Binary{"b", 0},
                             bson::Binary{"aa", 0},
                             thing_id(1),
                             thing_id(2),
                             false,
                             true,
                             Date{-5},
                             Date{0},
                             Date{5}};
    for (std::size_t i = 1; i < ascending.size(); ++i)
        EXPECT_LT(key_of(ascending[i - 1]), key_of(ascending[i])) << "at " << i;
}

TEST(DocumentKeys, AreEqualForEqualNumbersOfAnyType) {
    EXPECT_EQ(key_of(5), key_of(5.0));
    EXPECT_EQ(key_of(5), key_of(std::int64_t{5}));
    EXPECT_EQ(key_of(0.0), key_of(-0.0));
}

}  // namespace
}  // namespace mallard::store::embedded
