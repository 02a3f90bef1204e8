#include "migrate/migration.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "migrate/mark.hpp"
#include "migrate/test_stores.hpp"

namespace mallard::migrate {

namespace {

MigrationConfig const names{.from = "embedded", .to = "mongodb"};

TEST(MigrationServers, AreThere) {
    if (have_cluster()) return;
    char const* const missing = "no test servers: run under tests/mongo/with-servers";
    std::puts(missing);
    GTEST_SKIP() << missing;
}

class MigrationBetween : public testing::TestWithParam<bool> {  // whether the other store is a cluster's
protected:
    void SetUp() override {
        if (GetParam() && !have_cluster()) GTEST_SKIP();
        other = GetParam() ? make_cluster_store() : std::make_unique<EmbeddedTestStore>();
    }
    int steps(int n) const { return GetParam() ? n / 8 : n; }
    EmbeddedTestStore source;
    std::unique_ptr<TestStore> other;
};

TEST_P(MigrationBetween, MakesAnEqualStoreThereAndBack) {
    Usage(source.side(), 1).some(steps(1'200));
    Migration there(source.side(), other->side(), source.clock, names, {});
    move_all(there);
    expect_equal(source.side(), other->side());
    ASSERT_TRUE(there.finish());

    EmbeddedTestStore third;
    Migration back(other->side(), third.side(), source.clock, {.from = "mongodb", .to = "embedded"}, {});
    move_all(back);
    expect_equal(source.side(), third.side());
}

TEST_P(MigrationBetween, FollowsWhatIsChangedMeanwhile) {
    Usage usage(source.side(), 2);
    usage.some(steps(600));
    std::atomic<bool> stop = false;
    std::atomic<int> rounds = 0;
    int const rounds_max = steps(100);  // else a slow target never catches up
    Migration migration(source.side(), other->side(), source.clock, names, {});
    ASSERT_TRUE(migration.begin());
    {
        std::jthread const user([&] {
            for (; !stop && rounds < rounds_max; ++rounds) usage.some(5);
        });
        for (int i = 0; i < 4; ++i) {
            int const before = rounds;
            auto const changes = migration.pass();
            EXPECT_TRUE(changes) << changes.error().message << " " << changes.error().context;
            auto const verified = migration.verify_contents();
            EXPECT_TRUE(verified) << verified.error().message << " " << verified.error().context;
            if (verified)
                for (auto const& problem : verified->problems) ADD_FAILURE() << problem;
            while (rounds == before && rounds < rounds_max) std::this_thread::yield();  // something has changed, surely
        }
        stop = true;
    }
    move_all(migration);
    expect_equal(source.side(), other->side());
}

TEST_P(MigrationBetween, GoesOnWhereItBrokeOff) {
    Usage usage(source.side(), 3);
    usage.some(steps(800));
    int runs = 0;
    for (bool done = false; !done; ++runs) {
        ASSERT_LT(runs, 10'000);
        other->reopen();
        int left = 3;  // portions
        Migration migration(source.side(), other->side(), source.clock, names,
                            [&](std::string_view what, std::uint64_t, std::uint64_t) {
                                return what != "Copying messages" || --left > 0;
                            });
        ASSERT_TRUE(migration.begin());
        auto const changes = migration.pass();
        done = changes.has_value();
        if (!done) EXPECT_EQ(changes.error().kind, ErrorKind::closed);
        if (runs < 3) usage.some(10);
    }
    EXPECT_GT(runs, 1);
    Migration migration(source.side(), other->side(), source.clock, names, {});
    move_all(migration);
    expect_equal(source.side(), other->side());
}

TEST_P(MigrationBetween, SwapsNamesAndUniqueKeys) {
    auto const side = source.side();
    Usage usage(side, 4);
    UserId const one = usage.add_user(), two = usage.add_user();
    auto const a = side.mail.create_mailbox({.user = one, .path = "A"}),
               b = side.mail.create_mailbox({.user = one, .path = "B"});
    Migration migration(side, other->side(), source.clock, names, {});
    move_all(migration);
    auto const rename = [&](MailboxId id, std::string path) {
        ASSERT_TRUE(side.mail.update_mailbox(id, {.path = std::move(path)}));
    };
    rename(a->id, "C");
    rename(b->id, "A");
    rename(a->id, "B");
    auto const name = [&](UserId id, std::string const& view) {
        ASSERT_TRUE(side.documents.update(test_users(), id, {.set = {{"unameview", view}}}));
    };
    name(one, "aside");
    name(two, one.hex());
    name(one, two.hex());
    move_all(migration);
    EXPECT_EQ(other->side().mail.find_mailbox(one, "A").value()->id, b->id);
    expect_equal(side, other->side());
}

// Neither has a modseq, so a pass must look for it.
TEST_P(MigrationBetween, FollowsWhatMessagesAreTold) {
    auto const side = source.side();
    Usage usage(side, 10);
    usage.some(40);
    Migration migration(side, other->side(), source.clock, names, {});
    move_all(migration);
    UserId const user = usage.add_user();
    auto const box = side.mail.find_mailbox(user, "INBOX");
    ASSERT_TRUE(box && *box);
    MailboxId const id = (*box)->id;
    while (!side.mail.snapshot(id) || (*side.mail.snapshot(id))->size() < 3) usage.append(id);
    move_all(migration);
    std::optional<TimeMs> const never;
    for (auto const& patch : {store::MessagePatch{.custom = "{\"a\":1}", .expires = 4'000'000'000'000},
                              store::MessagePatch{.custom = "{\"a\":2}", .expires = never}}) {
        ASSERT_TRUE(side.mail.patch(id, {{2, 3}}, patch));
        move_all(migration);
        EXPECT_EQ(other->side().mail.patches(id)->at(3), patch);
    }
    for (std::int64_t const retention : {1'000'000'000'000, 0L})  // takes them back, and is the same in the end
        ASSERT_TRUE(side.mail.update_mailbox(id, {.retention_ms = retention}));
    move_all(migration);
    EXPECT_FALSE(other->side().mail.patches(id)->at(3).expires);
    expect_equal(side, other->side());
}

TEST_P(MigrationBetween, CarriesTheMailOfUsersWhoCanBeBroughtBack) {
    auto const side = source.side();
    Usage usage(side, 11);
    UserId const user = usage.add_user();
    usage.append(side.mail.find_mailbox(user, "INBOX").value()->id);
    Migration migration(side, other->side(), source.clock, names, {});
    move_all(migration);
    ASSERT_TRUE(side.documents.insert(test_deleted_users(), **side.documents.get(test_users(), user)));
    ASSERT_TRUE(side.documents.erase(test_users(), user));
    move_all(migration);
    EXPECT_EQ((*other->side().mail.snapshot(other->side().mail.find_mailbox(user, "INBOX").value()->id))->size(), 1u);
    auto const deleted = other->side().documents.get(test_deleted_users(), user);
    ASSERT_TRUE(deleted && *deleted);
    EXPECT_EQ((*deleted)->integer("storageUsed"), *side.mail.storage_used(user));
    EXPECT_FALSE(*other->side().documents.get(test_users(), user));
    expect_equal(side, other->side());
}

TEST_P(MigrationBetween, RefusesAStoreThatIsInUse) {
    Usage(source.side(), 5).some(10);
    Usage(other->side(), 6).some(10);
    Migration migration(source.side(), other->side(), source.clock, names, {});
    auto const begun = migration.begin();
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().kind, ErrorKind::conflict);
}

TEST_P(MigrationBetween, MarksWhatMustNotBeServed) {
    Usage(source.side(), 7).some(10);
    Migration migration(source.side(), other->side(), source.clock, names, {});
    ASSERT_TRUE(migration.begin());
    auto mark = read_mark(other->side().documents);
    ASSERT_TRUE(mark && *mark);
    EXPECT_EQ((*mark)->state, Mark::State::arriving);
    EXPECT_EQ((*mark)->other, "embedded");
    move_all(migration);
    ASSERT_TRUE(migration.finish());
    EXPECT_FALSE(*read_mark(other->side().documents));
    mark = read_mark(source.side().documents);
    ASSERT_TRUE(mark && *mark);
    EXPECT_EQ((*mark)->state, Mark::State::moved);
    EXPECT_FALSE(migration.begin());
    ASSERT_TRUE(abandon(source.side().documents));
    EXPECT_FALSE(*read_mark(source.side().documents));
}

INSTANTIATE_TEST_SUITE_P(Stores, MigrationBetween, testing::Bool(),
                         [](auto const& info) { return info.param ? "cluster" : "embedded"; });

// Every write of the target fails once; the next run ends with an equal store all the same.
TEST(Migration, SurvivesEveryFailedWrite) {
    EmbeddedTestStore source;
    Usage(source.side(), 8).some(60);
    int failed = 0;
    for (int fail_at = 1; fail_at < 10'000; fail_at += 1 + fail_at / 20) {
        EmbeddedTestStore target(fail_at);
        Migration first(source.side(), target.side(), source.clock, {.from = "a", .to = "b", .threads = 1}, {});
        if (first.begin()) (void)first.pass();
        if (!target.fault_fired()) break;
        ++failed;
        target.reopen();
        Migration second(source.side(), target.side(), source.clock, {.from = "a", .to = "b", .threads = 1}, {});
        move_all(second);
        expect_equal(source.side(), target.side());
    }
    EXPECT_GT(failed, 10);
}

class VerifierTest : public testing::Test {
protected:
    VerifierTest() : usage(source.side(), 9), user(usage.add_user()) {
        usage.some(100);
        Migration migration(source.side(), target.side(), source.clock, names, {});
        move_all(migration);
        for (auto const& info : *target.side().mail.mailboxes(user))
            if (auto const snapshot = *target.side().mail.snapshot(info.id); snapshot->size() > 2) box = info.id;
    }
    std::uint64_t problems() {
        Migration both(source.side(), target.side(), source.clock, names, {});
        auto const verified = both.verify();
        EXPECT_TRUE(verified);
        return verified->problem_count;
    }
    store::Row first() { return (*target.side().mail.snapshot(box))->row(0); }

    EmbeddedTestStore source, target;
    Usage usage;
    UserId user;
    MailboxId box;
};

TEST_F(VerifierTest, FindsNothingInEqualStores) {
    ASSERT_FALSE(box.is_nil());
    EXPECT_EQ(problems(), 0u);
}

TEST_F(VerifierTest, FindsOtherFlags) {
    ASSERT_TRUE(target.side().mail.restore_changes(
        box, std::vector<store::RestoredFlags>{{first().uid, first().modseq, {.system = 0, .keywords = {"Other"}}}},
        {}));
    EXPECT_EQ(problems(), 1u);
}

TEST_F(VerifierTest, FindsAnotherModseq) {
    auto const index = *target.side().mail.snapshot(box);
    auto const flags = index->flags(index->row(0));
    ASSERT_TRUE(target.side().mail.restore_changes(
        box, std::vector<store::RestoredFlags>{{first().uid, first().modseq - 1, flags}}, {}));
    EXPECT_EQ(problems(), 1u);
}

TEST_F(VerifierTest, FindsOtherBytes) {
    store::Row const row = first();
    store::RestoredMessage other{.id = row.id, .uid = row.uid, .modseq = row.modseq, .message = {}};
    auto const index = *target.side().mail.snapshot(box);
    std::string const bytes(row.size, 'x');
    other.message.source = bytes;
    other.message.internal_date = row.internal_date;
    other.message.flags = index->flags(row);
    store::Row const* const one = &row;
    ASSERT_TRUE(target.side().mail.records(box, {&one, 1}, store::want_all,
                                           [&](std::size_t, auto const& record) { other.message.record = record; }));
    ASSERT_TRUE(target.side().mail.restore_changes(box, {}, {{row.uid, row.uid}}));
    ASSERT_TRUE(target.side().mail.restore_messages(box, {&other, 1}));
    EXPECT_EQ(problems(), 1u);
}

TEST_F(VerifierTest, FindsAMissingMessage) {
    ASSERT_TRUE(target.side().mail.restore_changes(box, {}, {{first().uid, first().uid}}));
    EXPECT_EQ(problems(), 2u);  // the number of messages, and which
}

TEST_F(VerifierTest, FindsOtherMarks) {
    auto const index = *target.side().mail.snapshot(box);
    ASSERT_TRUE(target.side().mail.restore_marks(box, index->uid_next + 1, index->highest_modseq + 1));
    EXPECT_EQ(problems(), 2u);
}

TEST_F(VerifierTest, FindsOtherSettingsOfAMailbox) {
    ASSERT_TRUE(target.side().mail.update_mailbox(box, {.hidden = true}));
    EXPECT_EQ(problems(), 1u);
}

TEST_F(VerifierTest, FindsOtherMetadataAndDatesOfExpiry) {
    ASSERT_TRUE(source.side().mail.patch(box, {{first().uid, first().uid}}, {.custom = "{}", .expires = {}}));
    EXPECT_EQ(problems(), 1u);
    ASSERT_TRUE(
        target.side().mail.patch(box, {{first().uid, first().uid}}, {.custom = "{}", .expires = 4'000'000'000}));
    EXPECT_EQ(problems(), 1u);
}

TEST_F(VerifierTest, FindsOtherDocumentsAndTokens) {
    ASSERT_TRUE(target.side().documents.update(test_users(), user, {.set = {{"quota", 99'999}}}));
    EXPECT_EQ(problems(), 1u);
    ASSERT_TRUE(target.side().state.erase("tn:token:" + user.hex()));
    EXPECT_EQ(problems(), 2u);
}

}  // namespace

}  // namespace mallard::migrate
