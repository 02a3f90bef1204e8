// One suite for every engine: what kv::Engine promises.

#include "kv/engine.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/attempt.hpp"
#include "base/random.hpp"

namespace mallard::kv {
namespace {

enum TestTable : Table { records, blobs, counters, journal };

std::vector<TableSpec> const specs = {{"records", TableUse::records},
                                      {"blobs", TableUse::blobs},
                                      {"counters", TableUse::counters},
                                      {"journal", TableUse::journal}};

std::int64_t number(std::string_view bytes) {
    std::int64_t value = 0;
    EXPECT_EQ(bytes.size(), sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

// A store that can be closed and opened again.
class EngineTest : public testing::TestWithParam<std::string_view> {
protected:
    void SetUp() override {
        directory_ = std::filesystem::temp_directory_path() / ("mallard-kv-" + random_hex(8));
        std::filesystem::create_directories(directory_);
        reopen();
    }
    void TearDown() override {
        engine.reset();
        std::filesystem::remove_all(directory_);
    }
    void reopen() {
        engine.reset();
        if (GetParam() == "memory") {
            engine = open_memory(state_, specs);
            return;
        }
        auto opened = open_rocks({.directory = directory_ / "db"}, specs);
        ASSERT_TRUE(opened) << opened.error().context;
        engine = std::move(*opened);
    }

    void put(Table table, std::string_view key, std::string_view value) {
        WriteBatch batch;
        batch.put(table, key, value);
        ASSERT_TRUE(engine->commit(batch, Durability::sync));
    }
    std::string get(Table table, std::string_view key, View const* view = nullptr) {
        auto value = engine->get(table, key, view);
        if (!value) return "error";
        return value->value_or("absent");
    }
    std::string scan(Table table, KeyRange range, View const* view = nullptr) {
        std::string keys;
        auto cursor = engine->scan(table, std::move(range), view);
        for (; cursor->valid(); cursor->next()) {
            keys.append(cursor->key()).append("=").append(cursor->value()).append(" ");
        }
        EXPECT_TRUE(cursor->status());
        return keys;
    }

    std::unique_ptr<Engine> engine;
    std::filesystem::path directory_;

private:
    std::shared_ptr<MemoryState> state_ = new_memory_state();
};

TEST_P(EngineTest, GivesBackWhatWasPutAndNothingElse) {
    put(records, "a", "1");
    put(records, std::string_view("\0\xff", 2), std::string_view("x\0y", 3));
    EXPECT_EQ(get(records, "a"), "1");
    EXPECT_EQ(get(records, std::string_view("\0\xff", 2)), std::string_view("x\0y", 3));
    EXPECT_EQ(get(records, "b"), "absent");
    EXPECT_EQ(get(blobs, "a"), "absent");
}

TEST_P(EngineTest, KeepsWhatWasCommittedWhenReopened) {
    put(records, "a", "1");
    put(blobs, "b", std::string(200'000, 'x'));
    WriteBatch batch;
    batch.add(counters, "c", 5);
    ASSERT_TRUE(engine->commit(batch, Durability::async));
    reopen();
    EXPECT_EQ(get(records, "a"), "1");
    EXPECT_EQ(get(blobs, "b"), std::string(200'000, 'x'));
    EXPECT_EQ(number(get(counters, "c")), 5);
    ASSERT_TRUE(engine->flush());
    ASSERT_TRUE(engine->compact());
    reopen();
    EXPECT_EQ(get(blobs, "b"), std::string(200'000, 'x'));
    EXPECT_EQ(number(get(counters, "c")), 5);
}

TEST_P(EngineTest, AppliesABatchInOrderOverAllTables) {
    WriteBatch batch;
    batch.put(records, "a", "1");
    batch.put(records, "a", "2");
    batch.put(blobs, "a", "3");
    batch.put(records, "b", "4");
    batch.erase(records, "b");
    batch.add(counters, "n", 7);
    batch.add(counters, "n", -10);
    EXPECT_EQ(batch.count(), 7u);
    ASSERT_TRUE(engine->commit(batch, Durability::sync));
    EXPECT_EQ(get(records, "a"), "2");
    EXPECT_EQ(get(blobs, "a"), "3");
    EXPECT_EQ(get(records, "b"), "absent");
    EXPECT_EQ(number(get(counters, "n")), -3);
}

TEST_P(EngineTest, AppendsOneBatchToAnother) {
    WriteBatch first, second;
    first.put(records, "a", "1");
    second.put(records, "a", "2");
    second.put(records, "b", "");
    first.append(second);
    ASSERT_TRUE(engine->commit(first, Durability::sync));
    EXPECT_EQ(scan(records, {}), "a=2 b= ");
    first.clear();
    EXPECT_TRUE(first.empty());
    EXPECT_TRUE(engine->commit(first, Durability::sync));
}

TEST_P(EngineTest, ErasesARangeWithoutItsEnd) {
    for (auto key : {"a", "b", "ba", "c", "d"}) put(records, key, "1");
    WriteBatch batch;
    batch.erase_range(records, "b", "c");
    batch.erase_range(records, "z", "a");  // empty: nothing
    ASSERT_TRUE(engine->commit(batch, Durability::sync));
    EXPECT_EQ(scan(records, {}), "a=1 c=1 d=1 ");
}

TEST_P(EngineTest, ScansInByteOrderInsideTheRange) {
    for (std::string_view key : {"b", "a", "\xff", "B", "ab"}) put(records, key, "1");
    EXPECT_EQ(scan(records, {}), "B=1 a=1 ab=1 b=1 \xff=1 ");
    EXPECT_EQ(scan(records, {"a", "b"}), "a=1 ab=1 ");
    EXPECT_EQ(scan(records, KeyRange::prefix("a")), "a=1 ab=1 ");
    EXPECT_EQ(scan(records, KeyRange::prefix("\xff")), "\xff=1 ");
    EXPECT_EQ(scan(records, KeyRange::prefix("c")), "");
}

TEST_P(EngineTest, SeeksInBothDirectionsAndStaysInTheRange) {
    for (auto key : {"a", "c", "e", "g", "i"}) put(records, key, key);
    auto cursor = engine->scan(records, {"c", "i"}, nullptr);
    ASSERT_TRUE(cursor->valid());
    EXPECT_EQ(cursor->key(), "c");
    cursor->seek("d");
    EXPECT_EQ(cursor->key(), "e");
    cursor->previous();
    EXPECT_EQ(cursor->key(), "c");
    cursor->previous();
    EXPECT_FALSE(cursor->valid());
    cursor->seek("a");
    EXPECT_EQ(cursor->key(), "c");
    cursor->seek_last();
    EXPECT_EQ(cursor->key(), "g");
    cursor->next();
    EXPECT_FALSE(cursor->valid());
    cursor->seek_for_previous("z");
    EXPECT_EQ(cursor->key(), "g");
    cursor->seek_for_previous("f");
    EXPECT_EQ(cursor->key(), "e");
    cursor->seek_for_previous("e");
    EXPECT_EQ(cursor->value(), "e");
    cursor->seek_for_previous("b");
    EXPECT_FALSE(cursor->valid());
    cursor->seek("i");
    EXPECT_FALSE(cursor->valid());
}

TEST_P(EngineTest, ShowsAViewItsMomentWhateverComesAfter) {
    put(records, "a", "1");
    put(records, "b", "1");
    put(records, "c", "1");
    auto const view = engine->view();
    put(records, "a", "2");
    WriteBatch batch;
    batch.erase(records, "b");
    batch.put(records, "d", "2");
    ASSERT_TRUE(engine->commit(batch, Durability::async));
    put(records, "a", "3");

    EXPECT_EQ(get(records, "a", view.get()), "1");
    EXPECT_EQ(get(records, "d", view.get()), "absent");
    EXPECT_EQ(scan(records, {}, view.get()), "a=1 b=1 c=1 ");
    EXPECT_EQ(scan(records, {}), "a=3 c=1 d=2 ");
    std::vector<std::string> const keys = {"a", "b", "d"};
    auto const values = engine->multi_get(records, keys, view.get());
    ASSERT_TRUE(values);
    EXPECT_EQ((*values)[0], "1");
    EXPECT_EQ((*values)[1], "1");
    EXPECT_EQ((*values)[2], std::nullopt);
}

TEST_P(EngineTest, KeepsACursorAtTheMomentItWasMade) {
    put(records, "a", "1");
    put(records, "b", "1");
    auto cursor = engine->scan(records, {});
    put(records, "c", "1");
    WriteBatch batch;
    batch.erase(records, "b");
    ASSERT_TRUE(engine->commit(batch, Durability::async));
    std::string keys;
    for (; cursor->valid(); cursor->next()) keys += cursor->key();
    EXPECT_EQ(keys, "ab");
}

TEST_P(EngineTest, GetsManyKeysInTheOrderAsked) {
    put(records, "a", "1");
    put(records, "c", "3");
    std::vector<std::string> const keys = {"c", "b", "a", "c"};
    auto const values = engine->multi_get(records, keys);
    ASSERT_TRUE(values);
    EXPECT_EQ(*values, (std::vector<std::optional<std::string>>{"3", std::nullopt, "1", "3"}));
    EXPECT_TRUE(engine->multi_get(records, {})->empty());
}

TEST_P(EngineTest, AddsFromManyThreadsWithoutLosingOne) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                WriteBatch batch;
                batch.add(counters, "n", 1);
                batch.put(journal, random_hex(8), "x");
                EXPECT_TRUE(engine->commit(batch, i % 10 == 0 ? Durability::sync : Durability::async));
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(number(get(counters, "n")), 400);
}

TEST_P(EngineTest, LosesItsDiskAtTheChosenCommit) {
    auto faulty = wrap_faulty(*engine, 2);
    WriteBatch batch;
    batch.put(records, "a", "1");
    EXPECT_TRUE(faulty->commit(batch, Durability::sync));
    EXPECT_FALSE(faulty->fired());
    batch.put(records, "b", "1");
    for (int i = 0; i < 2; ++i) {
        auto const failed = faulty->commit(batch, Durability::sync);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().kind, ErrorKind::io);
    }
    EXPECT_TRUE(faulty->fired());
    EXPECT_EQ(faulty->commits(), 3);
    EXPECT_EQ(get(records, "b"), "absent");
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineTest, testing::Values("memory", "rocks"),
                         [](auto const& info) { return std::string(info.param); });

struct Scratch {
    std::string path = std::filesystem::temp_directory_path() / ("mallard-kv-" + random_hex(8));
    ~Scratch() { std::filesystem::remove_all(path); }
};

TEST_P(EngineTest, WritesNothingUnderAnAttempt) {
    put(records, "a", "1");
    {
        Attempt const attempt;
        WriteBatch batch;
        EXPECT_TRUE(engine->commit(batch, Durability::sync));
        EXPECT_FALSE(Attempt::gave_up());
        batch.put(records, "a", "2");
        EXPECT_FALSE(engine->commit(batch, Durability::sync));
        EXPECT_TRUE(Attempt::gave_up());
        EXPECT_EQ(get(records, "a"), "1");
    }
    EXPECT_FALSE(Attempt::gave_up());
    EXPECT_EQ(get(records, "a"), "1");
}

TEST_P(EngineTest, AnswersAnAttemptFromMemoryOrNotAtAll) {
    put(blobs, "a", "1");
    ASSERT_TRUE(engine->flush());
    reopen();
    bool const on_disk = GetParam() == "rocks";
    std::vector<std::string> const keys = {"a"};
    {
        Attempt const attempt;
        EXPECT_EQ(get(blobs, "a"), on_disk ? "error" : "1");
        EXPECT_EQ(Attempt::gave_up(), on_disk);
        EXPECT_EQ(engine->multi_get(blobs, keys).has_value(), !on_disk);
        auto const cursor = engine->scan(blobs, {});
        EXPECT_EQ(cursor->valid(), !on_disk);
        EXPECT_EQ(cursor->status().has_value(), !on_disk);
    }
    EXPECT_EQ(get(blobs, "a"), "1");  // and is in memory from now on
    Attempt const again;
    EXPECT_EQ(get(blobs, "a"), "1");
    EXPECT_TRUE(engine->multi_get(blobs, keys));
    EXPECT_EQ(scan(blobs, {}), "a=1 ");
    EXPECT_FALSE(Attempt::gave_up());
}

// Readers under an Attempt beside a writer, while blocks leave a cache that is far too small and files come and go: an
// answer is right, or there is none, and the same read without an Attempt always has one.
TEST_P(EngineTest, AnswersManyAttemptsRightlyOrNotAtAllWhileItIsWritten) {
    constexpr int count = 400;
    auto const key_of = [](int n) { return "key" + std::to_string(1000 + n); };
    auto const write_all = [&](int round) {
        WriteBatch batch;
        for (int n = 0; n < count; ++n)
            batch.put(records, key_of(n), key_of(n) + std::string(200, static_cast<char>('a' + round % 26)));
        ASSERT_TRUE(engine->commit(batch, Durability::async));
    };
    write_all(0);
    ASSERT_TRUE(engine->flush());
    if (GetParam() == "rocks") {
        engine.reset();
        auto opened = open_rocks(
            {.directory = directory_ / "db", .block_cache_bytes = 16 << 10, .write_buffer_bytes = 256 << 10}, specs);
        ASSERT_TRUE(opened);
        engine = std::move(*opened);
    }
    std::atomic<bool> stop = false;
    std::atomic<int> answered = 0, given_up = 0;
    auto const read_one = [&](int n) {
        std::string const key = key_of(n);
        {
            Attempt const attempt;
            auto const got = engine->get(records, key);
            EXPECT_EQ(got.has_value(), !Attempt::gave_up());
            if (got) {
                ++answered;
                EXPECT_TRUE(*got && (*got)->starts_with(key)) << key;
                return;
            }
        }
        ++given_up;
        auto const got = engine->get(records, key);
        EXPECT_TRUE(got && *got && (*got)->starts_with(key)) << key;
    };
    auto const read_range = [&] {
        Attempt const attempt;
        int seen = 0;
        auto cursor = engine->scan(records, KeyRange::prefix("key"));
        for (; cursor->valid(); cursor->next()) ++seen;
        if (cursor->status())
            EXPECT_EQ(seen, count);
        else
            EXPECT_TRUE(Attempt::gave_up());
    };
    read_one(0);
    std::vector<std::thread> readers;
    for (int thread = 0; thread < 3; ++thread)
        readers.emplace_back([&, thread] {
            for (int n = thread; !stop; n = (n + 7) % count) {
                read_one(n);
                if (n % 50 == 0) read_range();
            }
        });
    for (int round = 1; round <= 30; ++round) {
        write_all(round);
        if (round % 5 == 0) EXPECT_TRUE(engine->flush());
    }
    stop = true;
    for (auto& reader : readers) reader.join();
    read_one(1);
    EXPECT_GT(answered, 0);
    EXPECT_EQ(given_up > 0, GetParam() == "rocks");
}

TEST(Rocks, RefusesADirectoryThatIsInUse) {
    Scratch scratch;
    auto const first = open_rocks({.directory = scratch.path}, specs);
    ASSERT_TRUE(first);
    auto const second = open_rocks({.directory = scratch.path}, specs);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

TEST(Rocks, RefusesToCreateWhenToldNotTo) {
    Scratch scratch;
    EXPECT_FALSE(open_rocks({.directory = scratch.path, .create = false}, specs));
}

// What lies on the disk the moment the process is killed: a copy of the directory while it is in use.
std::string copy_of(std::string const& directory) {
    std::string const copy = directory + "-copy";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(directory, copy, std::filesystem::copy_options::recursive);
    return copy;
}

std::filesystem::path newest_log(std::string const& directory) {
    std::filesystem::path newest;
    for (auto const& entry : std::filesystem::directory_iterator(directory))
        if (entry.path().extension() == ".log" && entry.path() > newest) newest = entry.path();
    return newest;
}

TEST(Rocks, FindsEverythingThatWasSyncedAfterBeingKilled) {
    Scratch scratch, killed{scratch.path + "-copy"};
    auto const engine = open_rocks({.directory = scratch.path}, specs);
    ASSERT_TRUE(engine);
    for (int i = 0; i < 300; ++i) {
        WriteBatch batch;
        batch.put(blobs, std::to_string(i), std::string(static_cast<std::size_t>(i) * 37, 'x'));
        batch.add(counters, "n", 1);
        ASSERT_TRUE((*engine)->commit(batch, Durability::sync));
        if (i % 50 != 7) continue;
        auto const reopened = open_rocks({.directory = copy_of(scratch.path)}, specs);
        ASSERT_TRUE(reopened) << reopened.error().context;
        EXPECT_EQ(number((*reopened)->get(counters, "n")->value()), i + 1);
        EXPECT_EQ((*reopened)->get(blobs, std::to_string(i))->value().size(), static_cast<std::size_t>(i) * 37);
    }
}

TEST(Rocks, OpensWithoutTheCommitThatWasTornByAPowerCut) {
    Scratch scratch, killed{scratch.path + "-copy"};
    auto const engine = open_rocks({.directory = scratch.path}, specs);
    ASSERT_TRUE(engine);
    for (auto key : {"first", "second"}) {
        WriteBatch batch;
        batch.put(records, key, std::string(5000, key[0]));
        batch.put(journal, key, "x");
        ASSERT_TRUE((*engine)->commit(batch, Durability::sync));
    }
    auto const copy = copy_of(scratch.path);
    std::fstream log(newest_log(copy), std::ios::in | std::ios::out | std::ios::binary);
    std::string const bytes((std::istreambuf_iterator<char>(log)), {});
    auto const at = bytes.find(std::string(100, 's'));
    ASSERT_NE(at, std::string::npos);
    log.seekp(static_cast<std::streamoff>(at) + 512);
    log << std::string(512, '\0');
    log.close();
    auto const reopened = open_rocks({.directory = copy}, specs);
    ASSERT_TRUE(reopened) << reopened.error().context;
    EXPECT_TRUE((*reopened)->get(records, "first")->has_value());
    EXPECT_FALSE((*reopened)->get(records, "second")->has_value());
    EXPECT_FALSE((*reopened)->get(journal, "second")->has_value());
    WriteBatch more;
    more.put(records, "third", "3");
    EXPECT_TRUE((*reopened)->commit(more, Durability::sync));
}

TEST(Rocks, OpensAStoreWithMoreAndWithFewerTables) {
    Scratch scratch;
    std::vector<TableSpec> const few(specs.begin(), specs.begin() + 1);
    for (auto const& tables : {specs, few, specs}) ASSERT_TRUE(open_rocks({.directory = scratch.path}, tables));
}

}  // namespace
}  // namespace mallard::kv
