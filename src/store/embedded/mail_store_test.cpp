// The MailStore's conformance suite on memory and on RocksDB; what only this engine has: damage, repair, the disk lost
// at each write.

#include "store/embedded/mail_store.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <tuple>

#include "base/attempt.hpp"
#include "store/conformance/mail_store_expiry_suite.hpp"
#include "store/conformance/mail_store_suite.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/events.hpp"
#include "store/embedded/test_backend.hpp"

namespace mallard::store::conformance {

auto const backends =
    testing::Values(BackendFactory{"memory", [] { return std::make_unique<embedded::EmbeddedBackend>(false); }},
                    BackendFactory{"rocks", [] { return std::make_unique<embedded::EmbeddedBackend>(true); }});
INSTANTIATE_TEST_SUITE_P(Embedded, MailStoreSuite, backends, name_of_backend);
INSTANTIATE_TEST_SUITE_P(Embedded, ExpirySuite, backends, name_of_backend);

}  // namespace mallard::store::conformance

namespace mallard::store::embedded {
namespace {

using conformance::with_attachment;

// A store on an engine that can be taken away.
struct Fixture {
    std::shared_ptr<kv::MemoryState> disk = kv::new_memory_state();
    ManualClock clock;
    EmbeddedEvents events;
    std::vector<kv::TableSpec> specs = table_specs();
    UserId user = UserId::generate();

    std::unique_ptr<kv::Engine> engine() { return kv::open_memory(disk, specs); }
};

MailboxInfo mailbox_of(UserId user, std::string path) {
    MailboxInfo info;
    info.user = user;
    info.path = std::move(path);
    return info;
}

Result<Appended> append(EmbeddedMailStore& store, MailboxId id, std::string_view source, Flags flags = {}) {
    auto const tree = mime::parse(source);
    NewMessage message;
    message.source = source;
    message.tree = &tree;
    message.flags = std::move(flags);
    message.record.envelope = "(envelope)";
    message.thread_refs = {"ref"};
    return store.append(id, std::move(message));
}

std::string whole(EmbeddedMailStore& store, MailboxId id, Row const& row) {
    auto const reader = store.body(id, row);
    if (!reader) return "error: " + reader.error().message;
    std::string out;
    auto const read = (*reader)->read(0, UINT64_MAX, out);
    return read ? out : "error: " + read.error().message;
}

// Everything that a client can see of the user, in words.
std::string describe(EmbeddedMailStore& store, UserId user) {
    auto infos = *store.mailboxes(user);
    std::ranges::sort(infos, {}, &MailboxInfo::path);
    std::string out;
    for (auto const& info : infos) {
        auto const index = store.snapshot(info.id);
        if (!index) return "no snapshot of " + info.path;
        out += fmt::format("{} subscribed {} next {} modseq {} vanished {}\n", info.path, info.subscribed,
                           (*index)->uid_next, (*index)->highest_modseq, store.vanished_since(info.id, 1)->to_string());
        for (std::uint32_t n = 0; n < (*index)->size(); ++n) {
            Row const& row = (*index)->row(n);
            out += fmt::format("  {} flags {} modseq {} keywords {} body {}\n", row.uid, row.system, row.modseq,
                               fmt::join((*index)->flags(row).keywords, " "),
                               std::hash<std::string>{}(whole(store, info.id, row)));
        }
    }
    return out + fmt::format("stored {}\n", *store.storage_used(user));
}

void drain(EmbeddedMailStore& store) {
    while (true) {
        auto const more = store.sweep();
        ASSERT_TRUE(more) << more.error().message;
        if (!*more) return;
    }
}

void expect_clean(EmbeddedMailStore& store, std::string const& when) {
    auto const report = store.check(false, {});
    ASSERT_TRUE(report) << report.error().message;
    for (auto const& problem : report->problems) ADD_FAILURE() << when << ": " << problem;
}

struct Scenario {
    std::string name;
    std::function<Result<void>(EmbeddedMailStore&, MailboxId one, MailboxId two)> run;
};
std::ostream& operator<<(std::ostream& out, Scenario const& scenario) { return out << scenario.name; }

template <class T>
Result<void> only_errors(Result<T> result) {
    if (!result) return std::unexpected(std::move(result).error());
    return {};
}

UidSet const all{{1, UINT32_MAX}};

std::vector<Scenario> scenarios() {
    using Store = EmbeddedMailStore&;
    return {
        {"append", [](Store s, MailboxId a,
                      MailboxId) { return only_errors(append(s, a, "Subject: x\r\n\r\nx", {seen, {"New"}})); }},
        {"append_leaf",
         [](Store s, MailboxId a, MailboxId) { return only_errors(append(s, a, with_attachment(20'000, 90))); }},
        {"append_known_leaf", [](Store s, MailboxId a,
                                 MailboxId) { return only_errors(append(s, a, with_attachment(20'000, 2, "again"))); }},
        {"append_large",
         [](Store s, MailboxId a, MailboxId) { return only_errors(append(s, a, with_attachment(3'000'000, 91))); }},
        {"append_large_own",
         [](Store s, MailboxId a, MailboxId) { return only_errors(append(s, a, conformance::noise(2'500'000, 92))); }},
        {"flags", [](Store s, MailboxId a,
                     MailboxId) { return only_errors(s.change_flags(a, all, {FlagMode::add, {seen, {"Kw"}}, {}})); }},
        {"copy", [](Store s, MailboxId a, MailboxId b) { return only_errors(s.copy(a, all, b)); }},
        {"copy_within", [](Store s, MailboxId a, MailboxId) { return only_errors(s.copy(a, all, a)); }},
        {"move", [](Store s, MailboxId a, MailboxId b) { return only_errors(s.move(a, all, b)); }},
        {"move_within", [](Store s, MailboxId a, MailboxId) { return only_errors(s.move(a, {{1, 2}}, a)); }},
        {"expunge", [](Store s, MailboxId a, MailboxId) { return only_errors(s.expunge(a, {{1, 3}}, false)); }},
        {"expire",
         [](Store s, MailboxId a, MailboxId) -> Result<void> {
             MALLARD_TRY(s.patch(a, {{1, 2}}, {.custom = "{}", .expires = {{TimeMs{1}}}}));
             return only_errors(s.remove_expired());
         }},
        {"create",
         [](Store s, MailboxId a, MailboxId) {
             auto const user = (*s.mailbox(a))->user;
             return only_errors(s.create_mailboxes({mailbox_of(user, "X"), mailbox_of(user, "Y")}));
         }},
        {"rename",
         [](Store s, MailboxId a, MailboxId) {
             return only_errors(s.update_mailbox(a, {.path = "Renamed", .subscribed = false}));
         }},
        {"delete", [](Store s, MailboxId a, MailboxId) { return s.delete_mailbox(a); }},
    };
}

class FaultSweep : public testing::TestWithParam<Scenario> {
protected:
    // Two mailboxes with a message of each kind, a copy, and something expunged that is not yet swept.
    void fill(Fixture& at) {
        auto const engine = at.engine();
        EmbeddedMailStore store(*engine, at.events, at.clock);
        one = store.create_mailbox(mailbox_of(at.user, "One"))->id;
        two = store.create_mailbox(mailbox_of(at.user, "Two"))->id;
        ASSERT_TRUE(append(store, one, "Subject: a\r\n\r\nplain", {0, {"Old"}}));
        ASSERT_TRUE(append(store, one, with_attachment(20'000, 1)));
        ASSERT_TRUE(append(store, one, with_attachment(20'000, 2)));
        ASSERT_TRUE(append(store, one, conformance::noise(300'000, 3)));
        ASSERT_TRUE(store.copy(one, {{2, 2}}, two));
        ASSERT_TRUE(append(store, two, with_attachment(20'000, 4)));
        ASSERT_TRUE(store.expunge(two, {{2, 2}}, false));
    }
    MailboxId one, two;
};

TEST_P(FaultSweep, DoesAllOrNothingWhicheverWriteFails) {
    std::string after;  // as it is when nothing fails
    for (int fail_at = 0;; ++fail_at) {
        ASSERT_LT(fail_at, 100);
        Fixture at;
        fill(at);
        auto const disk = at.engine();
        std::string before;
        {
            EmbeddedMailStore store(*disk, at.events, at.clock);
            before = describe(store, at.user);
        }
        auto const faulty = kv::wrap_faulty(*disk, fail_at);
        Result<void> result;
        {
            EmbeddedMailStore store(*faulty, at.events, at.clock);
            result = GetParam().run(store, one, two);
            if (result) {  // what was acknowledged is visible
                EXPECT_NE(describe(store, at.user), before);
            }
        }
        EmbeddedMailStore store(*disk, at.events, at.clock);
        auto const found = describe(store, at.user);
        if (fail_at == 0) {
            ASSERT_TRUE(result) << result.error().message;
            after = found;
        } else {
            EXPECT_EQ(found, result ? after : before) << "write " << fail_at;
            EXPECT_EQ(static_cast<bool>(result), !faulty->fired());
        }
        drain(store);
        expect_clean(store, fmt::format("write {}", fail_at));
        EXPECT_EQ(describe(store, at.user), found);
        if (fail_at > 0 && !faulty->fired()) break;
    }
}

INSTANTIATE_TEST_SUITE_P(EmbeddedMailStore, FaultSweep, testing::ValuesIn(scenarios()),
                         [](auto const& info) { return info.param.name; });

TEST(EmbeddedMailStoreFaults, ChangeNothingThatIsSeenWhenUpkeepFails) {
    for (int fail_at = 1;; ++fail_at) {
        Fixture at;
        MailboxId box;
        std::string before;
        auto const disk = at.engine();
        {
            EmbeddedMailStore store(*disk, at.events, at.clock);
            box = store.create_mailbox(mailbox_of(at.user, "Box"))->id;
            for (int i = 0; i < 1100; ++i)
                ASSERT_TRUE(
                    append(store, box, i % 100 ? "x" : with_attachment(10'000, static_cast<unsigned>(i / 300))));
            ASSERT_TRUE(store.copy(box, {{500, 600}}, box));
            ASSERT_TRUE(store.expunge(box, {{1, 550}}, false));
            before = describe(store, at.user);
        }
        auto const faulty = kv::wrap_faulty(*disk, fail_at);
        {
            EmbeddedMailStore store(*faulty, at.events, at.clock);
            ASSERT_EQ(describe(store, at.user), before);
            (void)store.checkpoint_all();
            for (auto more = store.sweep(); more && *more;) more = store.sweep();
        }
        EmbeddedMailStore store(*disk, at.events, at.clock);
        EXPECT_EQ(describe(store, at.user), before) << "write " << fail_at;
        expect_clean(store, fmt::format("write {}", fail_at));
        drain(store);
        expect_clean(store, fmt::format("write {}, swept", fail_at));
        EXPECT_EQ(describe(store, at.user), before) << "write " << fail_at;
        if (!faulty->fired()) break;
    }
}

TEST(EmbeddedMailStore, ReadsALargeMailboxBackFromItsCheckpoint) {
    Fixture at;
    auto const disk = at.engine();
    Snapshot before;
    {
        EmbeddedMailStore store(*disk, at.events, at.clock);
        auto const box = store.create_mailbox(mailbox_of(at.user, "Box"))->id;
        ASSERT_TRUE(append(store, box, "one"));
        for (int doubling = 0; doubling < 15; ++doubling) ASSERT_TRUE(store.copy(box, {{1, UINT32_MAX}}, box));
        ASSERT_TRUE(store.change_flags(box, {{7, 20'000}}, {.mode = FlagMode::add, .flags = {.system = flagged}}));
        ASSERT_TRUE(store.expunge(box, {{300, 2'000}}, false));
        ASSERT_TRUE(store.checkpoint_all());
        before = *store.snapshot(box);
    }
    EmbeddedMailStore store(*disk, at.events, at.clock);
    auto const after = store.snapshot(before->info.id);
    ASSERT_TRUE(after) << after.error().message;
    ASSERT_EQ((*after)->size(), 32'768u - 1'701u);
    ASSERT_EQ((*after)->size(), before->size());
    for (std::uint32_t n = 0; n < before->size(); ++n) {
        Row const &then = before->row(n), &now = (*after)->row(n);
        ASSERT_EQ(std::tie(then.uid, then.system, then.modseq, then.body, then.id, then.size, then.internal_date),
                  std::tie(now.uid, now.system, now.modseq, now.body, now.id, now.size, now.internal_date));
    }
}

TEST(EmbeddedMailStore, ReadsAMailboxAgainAfterAFailedCommit) {
    Fixture at;
    auto const disk = at.engine();
    auto const box = EmbeddedMailStore(*disk, at.events, at.clock).create_mailbox(mailbox_of(at.user, "Box"))->id;
    {
        EmbeddedMailStore store(*disk, at.events, at.clock);
        ASSERT_TRUE(append(store, box, "one"));
    }
    auto const faulty = kv::wrap_faulty(*disk, 2);  // the first reserves body references
    EmbeddedMailStore store(*faulty, at.events, at.clock);
    EXPECT_EQ(append(store, box, "two").error().kind, ErrorKind::io);
    EXPECT_EQ((*store.snapshot(box))->size(), 1u);
    EXPECT_FALSE(append(store, box, "three"));
    EXPECT_EQ((*store.snapshot(box))->size(), 1u);
    EXPECT_EQ(*store.storage_used(at.user), 3);
}

// An engine with one place that cannot be read: a scan ends there, as RocksDB's does at a block that its checksum
// denies.
class DamagedEngine : public kv::Engine {
public:
    DamagedEngine(kv::Engine& inner, kv::Table table, std::string key)
        : inner_(inner), table_(table), key_(std::move(key)) {}

    Result<std::optional<std::string>> get(kv::Table table, std::string_view key, kv::View const* view) const override {
        if (table == table_ && key == key_) return fail(ErrorKind::corrupt, "damaged", "checksum");
        return inner_.get(table, key, view);
    }
    Result<std::vector<std::optional<std::string>>> multi_get(kv::Table table, std::span<std::string const> keys,
                                                              kv::View const* view) const override {
        return inner_.multi_get(table, keys, view);
    }
    Result<void> commit(kv::WriteBatch const& batch, kv::Durability durability) override {
        return inner_.commit(batch, durability);
    }
    std::unique_ptr<kv::Cursor> scan(kv::Table table, kv::KeyRange range, kv::View const* view) const override {
        auto cursor = inner_.scan(table, range, view);
        if (table != table_) return cursor;
        return std::make_unique<DamagedCursor>(std::move(cursor), key_);
    }
    std::unique_ptr<kv::View> view() const override { return inner_.view(); }
    Result<void> flush() override { return inner_.flush(); }
    Result<void> compact() override { return inner_.compact(); }
    std::vector<std::pair<std::string, double>> statistics() const override { return inner_.statistics(); }

private:
    class DamagedCursor : public kv::Cursor {
    public:
        DamagedCursor(std::unique_ptr<kv::Cursor> inner, std::string key)
            : inner_(std::move(inner)), key_(std::move(key)) {}
        bool valid() const override { return inner_->valid() && inner_->key() != key_; }
        std::string_view key() const override { return inner_->key(); }
        std::string_view value() const override { return inner_->value(); }
        void next() override { inner_->next(); }
        void previous() override { inner_->previous(); }
        void seek(std::string_view key) override { inner_->seek(key); }
        void seek_for_previous(std::string_view key) override { inner_->seek_for_previous(key); }
        void seek_last() override { inner_->seek_last(); }
        Result<void> status() const override {
            if (inner_->valid() && inner_->key() == key_) return fail(ErrorKind::corrupt, "damaged", "checksum");
            return inner_->status();
        }

    private:
        std::unique_ptr<kv::Cursor> inner_;
        std::string key_;
    };

    kv::Engine& inner_;
    kv::Table table_;
    std::string key_;
};

// Damage, and what check makes of it.
class Damage : public testing::Test {
protected:
    void SetUp() override {
        box = store.create_mailbox(mailbox_of(at.user, "Box"))->id;
        ASSERT_TRUE(append(store, box, "Subject: a\r\n\r\nplain"));
        ASSERT_TRUE(append(store, box, with_attachment(20'000, 1)));
        ASSERT_TRUE(append(store, box, with_attachment(20'000, 1, "again")));
        ASSERT_TRUE(store.copy(box, {{1, 1}}, box));
        drain(store);
        expect_clean(store, "before");
    }
    Row row(Uid uid) {
        auto const index = *store.snapshot(box);
        return index->row(*index->find(uid));
    }
    void commit(std::function<void(kv::WriteBatch&)> const& fill) {
        kv::WriteBatch batch;
        fill(batch);
        ASSERT_TRUE(disk->commit(batch, kv::Durability::sync));
    }
    // One problem that says `text`; gone after the repair when it can be repaired.
    void expect_problem(std::string_view text, bool repairable) {
        auto const report = store.check(false, {});
        ASSERT_TRUE(report);
        ASSERT_GE(report->problem_count, 1u);
        bool found = false;
        for (auto const& problem : report->problems) found = found || problem.find(text) != std::string::npos;
        EXPECT_TRUE(found) << report->problems[0];
        EXPECT_EQ(report->repaired, 0u);
        auto const repaired = store.check(true, {});
        ASSERT_TRUE(repaired);
        EXPECT_EQ(repaired->repaired > 0, repairable);
        drain(store);
        auto const after = store.check(false, {});
        EXPECT_EQ(after->problem_count == 0, repairable);
    }

    Fixture at;
    std::unique_ptr<kv::Engine> disk = at.engine();
    EmbeddedMailStore store{*disk, at.events, at.clock};
    MailboxId box;
};

TEST_F(Damage, OfAStorageCounterIsRepaired) {
    auto const before = *store.storage_used(at.user);
    commit([&](kv::WriteBatch& batch) { batch.add(table_storage, at.user.view(), 5); });
    expect_problem("the counter says", true);
    EXPECT_EQ(*store.storage_used(at.user), before);
}

TEST_F(Damage, OfABodyCounterIsRepaired) {
    commit([&](kv::WriteBatch& batch) { batch.add(table_body_refs, key_of(row(1).body), 2); });
    expect_problem("the counter says", true);
}

TEST_F(Damage, OfALeafCounterIsRepaired) {
    auto const cursor = disk->scan(table_leaf_refs, {});
    ASSERT_TRUE(cursor->valid());
    std::string const hash(cursor->key());
    commit([&](kv::WriteBatch& batch) { batch.add(table_leaf_refs, hash, -1); });
    expect_problem("the counter says", true);
}

TEST_F(Damage, ByOrphansIsSweptAway) {
    commit([&](kv::WriteBatch& batch) {
        batch.put(table_record, key_of(9'000), "orphan");
        batch.put(table_leaf, std::string(32, 'h') + std::string(4, '\0'), "orphan");
    });
    expect_problem("belongs to no message", true);
    EXPECT_FALSE(disk->scan(table_record, {key_of(9'000), {}})->valid());
}

TEST_F(Damage, ByAPathWithoutAMailboxIsRepaired) {
    commit([&](kv::WriteBatch& batch) {
        batch.put(table_mailbox_path, std::string(at.user.view()) + "Ghost", MailboxId::generate().view());
    });
    expect_problem("leads to no mailbox", true);
}

TEST_F(Damage, OfABodyIsReportedAndNeverReadAsSomethingElse) {
    auto const key = key_of(row(1).body);
    auto bytes = **disk->get(table_body, key);
    bytes.back() ^= 1;
    commit([&](kv::WriteBatch& batch) { batch.put(table_body, key, bytes); });
    auto const one = row(1);
    auto const reader = store.body(box, one);
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().kind, ErrorKind::corrupt);
    std::vector<Row const*> const rows = {&one};
    auto const read = store.bodies(box, rows, [](auto, auto) { FAIL(); });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind, ErrorKind::corrupt);
    expect_problem("cannot be read", false);
}

TEST_F(Damage, ByABodyUnderAnothersKeyIsNoticed) {
    auto const other = **disk->get(table_body, key_of(row(1).body));
    ASSERT_TRUE(append(store, box, "Subject: b\r\n\r\nother"));
    auto const last = row(5);
    commit([&](kv::WriteBatch& batch) { batch.put(table_body, key_of(last.body), other); });
    EXPECT_EQ(store.body(box, last).error().kind, ErrorKind::corrupt);
}

TEST_F(Damage, ByAMissingLeafIsReported) {
    auto const cursor = disk->scan(table_leaf, {});
    std::string const key(cursor->key());
    commit([&](kv::WriteBatch& batch) { batch.erase(table_leaf, key); });
    expect_problem("is not whole", false);
    EXPECT_EQ(whole(store, box, row(2)).substr(0, 6), "error:");
}

TEST_F(Damage, OfAMailboxFreesNothingThatMayBeItsOwn) {
    commit([&](kv::WriteBatch& batch) { batch.put(table_mailbox, box.view(), "garbage"); });
    EmbeddedMailStore again(*disk, at.events, at.clock);
    auto const report = again.check(true, {});
    ASSERT_TRUE(report);
    ASSERT_GE(report->problem_count, 1u);
    EXPECT_NE(report->problems[0].find("cannot be read"), std::string::npos) << report->problems[0];
    drain(again);
    EXPECT_EQ(report->repaired, 0u);
    EXPECT_TRUE(disk->scan(table_record, {})->valid());
    EXPECT_TRUE(disk->scan(table_body, {})->valid());
    EXPECT_TRUE(disk->scan(table_leaf, {})->valid());
}

TEST_F(Damage, OfABodyLeavesItsPartsInPeace) {
    for (Uid const uid : {2u, 3u}) {
        auto const key = key_of(row(uid).body);
        auto bytes = **disk->get(table_body, key);
        bytes.back() ^= 1;
        commit([&](kv::WriteBatch& batch) { batch.put(table_body, key, bytes); });
    }
    EXPECT_EQ(store.check(true, {})->repaired, 0u);
    EXPECT_TRUE(disk->scan(table_leaf, {})->valid());
}

TEST_F(Damage, OfAPlaceOnTheDiskCostsOnlyWhatLiesThere) {
    for (kv::Table const table : {table_record, table_body}) {
        DamagedEngine damaged(*disk, table, key_of(row(1).body));
        EmbeddedMailStore again(damaged, at.events, at.clock);
        auto const report = again.check(true, {});
        ASSERT_TRUE(report) << report.error().context;
        EXPECT_EQ(report->messages, 4u);
        ASSERT_EQ(report->problem_count, 1u) << report->problems[0] << " / " << report->problems[1];
        EXPECT_NE(report->problems[0].find("cannot be read"), std::string::npos) << report->problems[0];
        EXPECT_EQ(report->repaired, 0u);
    }
    expect_clean(store, "after");
}

TEST_F(Damage, OfAPlaceAmongThePartsIsTold) {
    std::string const key(disk->scan(table_leaf, {})->key());
    DamagedEngine damaged(*disk, table_leaf, key);
    EmbeddedMailStore again(damaged, at.events, at.clock);
    auto const report = again.check(true, {});
    ASSERT_TRUE(report);
    ASSERT_EQ(report->problem_count, 1u);
    EXPECT_NE(report->problems[0].find("is not whole"), std::string::npos) << report->problems[0];
    EXPECT_EQ(report->repaired, 0u);
}

TEST(EmbeddedMailStore, GivesUpAnAttemptBeforeAnythingHasChanged) {
    Fixture fixture;
    auto const engine = fixture.engine();
    MailboxId id;
    {
        EmbeddedMailStore store(*engine, fixture.events, fixture.clock);
        id = store.create_mailbox(mailbox_of(fixture.user, "INBOX"))->id;
        ASSERT_TRUE(append(store, id, "Subject: x\r\n\r\nx\r\n"));
    }
    EmbeddedMailStore store(*engine, fixture.events, fixture.clock);
    FlagChange change;
    change.flags.system = flagged;
    auto const flag = [&](bool expected) {
        auto const changed = store.change_flags(id, UidSet{{1, 1}}, change);
        EXPECT_EQ(changed.has_value(), expected);
        return changed ? changed->changed.to_string() : "gave up";
    };
    {
        Attempt const attempt;
        EXPECT_FALSE(store.snapshot(id));  // to be loaded from the disk
        EXPECT_TRUE(Attempt::gave_up());
    }
    auto const before = *store.snapshot(id);
    {
        Attempt const attempt;
        EXPECT_EQ(*store.snapshot(id), before);
        EXPECT_FALSE(Attempt::gave_up());
        EXPECT_EQ(flag(false), "gave up");
        EXPECT_TRUE(Attempt::gave_up());
    }
    EXPECT_EQ(*store.snapshot(id), before);
    EXPECT_EQ(flag(true), "1");
    Attempt const attempt;
    EXPECT_EQ(flag(true), "");  // nothing to change: nothing to write
    EXPECT_FALSE(Attempt::gave_up());
}

TEST(EmbeddedStore, RefusesADirectoryOfANewerRelease) {
    Fixture at;
    auto const engine = at.engine();
    kv::WriteBatch batch;
    batch.put(table_meta, "format", std::to_string(format_version + 1));
    ASSERT_TRUE(engine->commit(batch, kv::Durability::sync));
    auto const opened = EmbeddedStore::open(*engine, {.upkeep = false}, at.clock);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::not_supported);
}

TEST(EmbeddedStore, ForgetsThreadsThatAreOver) {
    Fixture at;
    auto const engine = at.engine();
    EmbeddedMailStore store(*engine, at.events, at.clock);
    auto const box = store.create_mailbox(mailbox_of(at.user, "INBOX"))->id;
    ASSERT_TRUE(append(store, box, "x"));
    ASSERT_TRUE(store.expire());
    EXPECT_TRUE(engine->scan(table_thread, {})->valid());
    at.clock.advance(TimeMs{200} * 86'400'000);
    ASSERT_TRUE(store.expire());
    EXPECT_FALSE(engine->scan(table_thread, {})->valid());
}

TEST(EmbeddedStore, FreesWhatALargeAppendThatWasRefusedHasWritten) {
    Fixture at;
    auto const engine = at.engine();
    EmbeddedMailStore store(*engine, at.events, at.clock);
    auto const box = store.create_mailbox(mailbox_of(at.user, "INBOX"))->id;
    drain(store);
    Flags many;
    for (unsigned n = 0; n <= keywords_max; ++n) many.keywords.push_back(fmt::format("k{}", n));
    ASSERT_FALSE(append(store, box, with_attachment(4'000'000, 1), many));
    EXPECT_TRUE(engine->scan(table_leaf, {})->valid());
    expect_clean(store, "before the sweep");
    drain(store);
    EXPECT_FALSE(engine->scan(table_leaf, {})->valid());
    EXPECT_FALSE(engine->scan(table_intent, {})->valid());
}

TEST(EmbeddedStore, RefusesADirectoryThatIsInUse) {
    auto const directory = std::filesystem::temp_directory_path() / ("mallard-store-" + random_hex(8));
    std::filesystem::create_directories(directory);
    SystemClock const clock;
    {
        auto const first = EmbeddedStore::open({.directory = directory / "kv"}, clock);
        ASSERT_TRUE(first);
        auto const second = EmbeddedStore::open({.directory = directory / "kv"}, clock);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().kind, ErrorKind::conflict);
    }
    EXPECT_TRUE(EmbeddedStore::open({.directory = directory / "kv"}, clock));
    std::filesystem::remove_all(directory);
}

TEST(EmbeddedStore, StoresTheSameAttachmentOnce) {
    Fixture at;
    auto const engine = at.engine();
    EmbeddedMailStore store(*engine, at.events, at.clock);
    for (int i = 0; i < 20; ++i) {
        auto const box = store.create_mailbox(mailbox_of(UserId::generate(), "INBOX"))->id;
        ASSERT_TRUE(append(store, box, with_attachment(1'000'000, 1, std::to_string(i))));
    }
    std::size_t octets = 0;
    for (kv::Table const table : {table_leaf, table_body, table_record})
        for (auto const cursor = engine->scan(table, {}); cursor->valid(); cursor->next())
            octets += cursor->key().size() + cursor->value().size();
    EXPECT_LT(octets, 1'100'000u);
}

TEST(EmbeddedStore, KeepsTheBytesOfExpungedMessagesForAWhile) {
    Fixture at;
    auto const engine = at.engine();
    auto const store =
        std::move(*EmbeddedStore::open(*engine, {.keep_expunged = std::chrono::seconds(3600)}, at.clock));
    auto& mail = store->mail();
    auto const box = mail.create_mailbox(mailbox_of(at.user, "Box"))->id;
    NewMessage message;
    message.source = "Subject: x\r\n\r\nx";
    ASSERT_TRUE(mail.append(box, std::move(message)));
    auto const index = *mail.snapshot(box);
    ASSERT_TRUE(mail.expunge(box, all, false));
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    EXPECT_TRUE(mail.body(box, index->row(0)));
}

}  // namespace
}  // namespace mallard::store::embedded
