// Several processes on one database: what one does the other sees, nothing is lost between them, and an opened mailbox
// costs no round trip to look at.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <random>

#include "store/cluster/mail_backend.hpp"
#include "store/cluster/message_document.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Document;

// Hears nothing, and believes that there is nothing to hear.
struct Deaf final : ChangeSignals {
    struct Silence final : Watch {
        std::optional<std::uint64_t> moment() const override { return 1; }
    };
    std::shared_ptr<Watch> watch(UserId) override { return std::make_shared<Silence>(); }
};

class ClusterProcesses : public ClusterMail, public testing::WithParamInterface<bool> {
protected:
    void SetUp() override {
        ClusterMail::SetUp();
        if (IsSkipped()) return;
        process = backend->another_process();
        other = &process->store;
        here = &backend->mail();
    }
    void fill(MailboxId box, std::size_t count) {
        for (std::size_t i = 0; i < std::min<std::size_t>(count, 10); ++i)
            ASSERT_TRUE(append(*here, box, "A: " + std::to_string(i) + "\r\n\r\n"));
        for (std::size_t have = 10; have < count;) {
            auto const some = std::min(have, count - have);
            ASSERT_TRUE(here->copy(box, {{1, static_cast<std::uint32_t>(some)}}, box));
            have += some;
        }
    }
    static Flags flags_at(MailStore& store, MailboxId box, Uid uid) {
        auto const index = store.snapshot(box);
        EXPECT_TRUE(index);
        auto const n = index ? (*index)->find(uid) : std::nullopt;
        return n ? (*index)->flags((*index)->row(*n)) : Flags{};
    }
    static std::vector<std::string> rows_of(MailStore& store, MailboxId box) {
        std::vector<std::string> out;
        auto const index = store.snapshot(box);
        EXPECT_TRUE(index);
        for (std::uint32_t n = 0; index && n < (*index)->size(); ++n) {
            Row const& row = (*index)->row(n);
            auto flags = (*index)->flags(row);
            std::ranges::sort(flags.keywords);
            std::string text = row.id.hex() + " uid " + std::to_string(row.uid) + " modseq " +
                               std::to_string(row.modseq) + " flags " + std::to_string(flags.system);
            for (auto const& keyword : flags.keywords) text += ' ' + keyword;
            out.push_back(std::move(text));
        }
        return out;
    }
    void expect_same(MailboxId box) {
        EXPECT_TRUE(eventually([&] { return rows_of(*here, box) == rows_of(*other, box); }));
        EXPECT_EQ(rows_of(*here, box), rows_of(*other, box));
        auto const fresh = backend->another_process();
        EXPECT_EQ(rows_of(*here, box), rows_of(fresh->store, box));
    }
    // What the flags of a message say must be what its mirrors say.
    void expect_true_mirrors(MailboxId box) {
        for (auto const& message : all("messages", {{"mailbox", box}})) {
            auto const flags = own_flags(message);
            for (auto const& [key, value] : flag_mirrors(flags.system).fields())
                EXPECT_EQ(*message.find(key), value) << key << " of uid " << message.integer("uid");
            EXPECT_EQ(message.boolean("searchable"), !(flags.system & deleted));
        }
    }

    std::unique_ptr<MailBackend::Process> process;
    MailStore* here = nullptr;
    MailStore* other = nullptr;
};

TEST_F(ClusterProcesses, LookAtAnOpenedMailboxWithoutARoundTrip) {
    auto const box = make_mailbox("INBOX");
    std::atomic<int> heard = 0;
    auto const subscription = backend->redis_events().subscribe(user, [&](Event const&) { ++heard; });
    ASSERT_TRUE(append(*here, box.id, "A: 1\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return heard > 0; }));
    ASSERT_TRUE(here->snapshot(box.id));
    ASSERT_TRUE(here->change_flags(box.id, {{1, 1}}, {FlagMode::add, {seen, {}}, {}}));
    ASSERT_TRUE(eventually([&] { return heard > 1; }));  // our own echo is no reason to look again
    EXPECT_EQ(round_trips_of([&] {
                  for (int i = 0; i < 10; ++i) EXPECT_EQ(flags_at(*here, box.id, 1), (Flags{seen, {}}));
              }),
              0u);
    backend->clock().advance(index_age_max_ms + 1);
    EXPECT_EQ(round_trips_of([&] { ASSERT_TRUE(here->snapshot(box.id)); }), 1u);
}

TEST_F(ClusterProcesses, ShowWhatTheOtherDid) {
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    ASSERT_TRUE(append(*here, box.id, "A: 1\r\n\r\n"));
    EXPECT_EQ((*other->snapshot(box.id))->size(), 1u);
    EXPECT_EQ((*here->snapshot(box.id))->size(), 1u);
    EXPECT_EQ((*here->snapshot(target.id))->size(), 0u);
    ASSERT_TRUE(append(*other, box.id, "A: 2\r\n\r\n"));
    EXPECT_TRUE(eventually([&] { return (*here->snapshot(box.id))->size() == 2; }));
    ASSERT_TRUE(here->change_flags(box.id, {{1, 2}}, {FlagMode::add, {seen, {"Kw"}}, {}}));
    EXPECT_TRUE(eventually([&] { return flags_at(*other, box.id, 2) == Flags{seen, {"Kw"}}; }));
    ASSERT_TRUE(other->move(box.id, {{1, 1}}, target.id));
    EXPECT_TRUE(eventually([&] { return (*here->snapshot(box.id))->size() == 1; }));
    EXPECT_TRUE(eventually([&] { return (*here->snapshot(target.id))->size() == 1; }));
    expect_same(box.id);
    expect_same(target.id);
}

class ClusterSignals : public ClusterProcesses {};
INSTANTIATE_TEST_SUITE_P(Modes, ClusterSignals, testing::Bool(),
                         [](auto const& info) { return info.param ? "ByWorkerChannels" : "ByOneChannel"; });

TEST_P(ClusterSignals, ReachAnotherProcessWithin200Milliseconds) {
    auto const one = backend->another_process(GetParam()), two = backend->another_process(GetParam());
    auto const box = make_mailbox("INBOX");
    ASSERT_TRUE(append(one->store, box.id, "A: 1\r\n\r\n"));
    ASSERT_TRUE(two->store.snapshot(box.id));
    auto fastest = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 6; ++i) {
        auto const mode = i % 2 ? FlagMode::remove : FlagMode::add;
        ASSERT_TRUE(one->store.change_flags(box.id, {{1, 1}}, {mode, {seen, {}}, {}}));
        auto const done = std::chrono::steady_clock::now();
        ASSERT_TRUE(eventually([&] { return flags_at(two->store, box.id, 1).system == (i % 2 ? 0 : seen); }));
        fastest = std::min(fastest, std::chrono::steady_clock::now() - done);
    }
    EXPECT_LT(fastest, std::chrono::milliseconds(200));  // of six: the machine may be busy
}

TEST_P(ClusterSignals, ThatWereMissedAreMadeUpForWhenTheConnectionComesBack) {
    auto const one = backend->another_process(GetParam()), two = backend->another_process(GetParam());
    auto const box = make_mailbox("INBOX");
    ASSERT_TRUE(append(one->store, box.id, "A: 1\r\n\r\n"));
    ASSERT_TRUE(two->store.snapshot(box.id));
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(backend->redis().command({"CLIENT", "KILL", "TYPE", "pubsub"}));
        auto const mode = i % 2 ? FlagMode::remove : FlagMode::add;
        ASSERT_TRUE(one->store.change_flags(box.id, {{1, 1}}, {mode, {seen, {}}, {}}));
        EXPECT_TRUE(eventually([&] { return flags_at(two->store, box.id, 1).system == (i % 2 ? 0 : seen); }));
    }
}

TEST_F(ClusterProcesses, LookAgainAfterAWhileEvenIfNoSignalCame) {
    Deaf deaf;
    ClusterMailStore store(backend->mongo(), backend->redis(), backend->events(), &deaf, backend->clock());
    auto const box = make_mailbox("INBOX");
    EXPECT_EQ((*store.snapshot(box.id))->size(), 0u);
    ASSERT_TRUE(append(*other, box.id, "A: 1\r\n\r\n"));
    EXPECT_EQ((*store.snapshot(box.id))->size(), 0u);  // it is deaf indeed
    backend->clock().advance(index_age_max_ms + 1);
    EXPECT_EQ((*store.snapshot(box.id))->size(), 1u);
}

// What was acknowledged before a client opens a mailbox is there, also while the signal of it is still on its way.
TEST_F(ClusterProcesses, MeetWhatWasAcknowledgedWhenTheyFindTheMailboxFirst) {
    Deaf deaf;
    ClusterMailStore store(backend->mongo(), backend->redis(), backend->events(), &deaf, backend->clock());
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    ASSERT_TRUE(store.snapshot(box.id));
    ASSERT_TRUE(store.snapshot(target.id));
    ASSERT_TRUE(append(*other, box.id, "A: 1\r\n\r\n"));
    EXPECT_EQ((*store.snapshot(box.id))->size(), 0u);  // it is deaf indeed
    ASSERT_TRUE(store.find_mailbox(user, "INBOX"));
    EXPECT_EQ((*store.snapshot(box.id))->size(), 1u);
    ASSERT_TRUE(other->change_flags(box.id, {{1, 1}}, {FlagMode::add, {seen, {}}, {}}));
    ASSERT_TRUE(store.mailbox(box.id));
    EXPECT_EQ(flags_at(store, box.id, 1).system, seen);
    ASSERT_TRUE(other->move(box.id, {{1, 1}}, target.id));
    ASSERT_TRUE(store.mailboxes(user));
    EXPECT_EQ((*store.snapshot(box.id))->size(), 0u);
    EXPECT_EQ((*store.snapshot(target.id))->size(), 1u);
    ASSERT_TRUE(store.mailbox(target.id));
    EXPECT_EQ(round_trips_of([&] { EXPECT_EQ((*store.snapshot(target.id))->size(), 1u); }), 0u);
}

TEST_F(ClusterProcesses, MeetWhatWasOnItsWayWhenTheyLookedLast) {
    Deaf deaf;
    ClusterMailStore store(backend->mongo(), backend->redis(), backend->events(), &deaf, backend->clock());
    auto const box = make_mailbox("INBOX");
    auto const message = append(*other, box.id, "A: 1\r\n\r\n");
    ASSERT_TRUE(message);
    ASSERT_TRUE(store.snapshot(box.id));
    ASSERT_TRUE(backend->mongo().find_and_modify(
        Db::main, "mailboxes", {.filter = {{"_id", box.id}}, .update = {{"$inc", Document{{"modifyIndex", 1}}}}}));
    ASSERT_TRUE(store.mailbox(box.id));
    EXPECT_EQ(flags_at(store, box.id, 1).system, 0u);  // it has met the modseq, and nothing that has it
    ASSERT_TRUE(backend->mongo().write(
        Db::main, "messages",
        {.filter = {{"_id", message->id}, {"mailbox", box.id}, {"uid", 1}},
         .document = {{"$set", Document{{"flags", bson::Array{"\\Seen"}},
                                        {"modseq", bson::number(static_cast<std::int64_t>(message->modseq + 1))}}}}}));
    EXPECT_EQ(flags_at(store, box.id, 1).system, 0u);  // it is deaf indeed
    ASSERT_TRUE(store.mailbox(box.id));
    EXPECT_EQ(flags_at(store, box.id, 1).system, seen);
}

TEST_F(ClusterProcesses, NeverDoNothingBecauseOfWhatTheyHaveNotHeardYet) {
    Deaf deaf;
    ClusterMailStore store(backend->mongo(), backend->redis(), backend->events(), &deaf, backend->clock());
    auto const box = make_mailbox("INBOX");
    ASSERT_TRUE(append(store, box.id, "A: 1\r\n\r\n", {seen, {}}));
    ASSERT_TRUE(store.snapshot(box.id));
    ASSERT_TRUE(other->change_flags(box.id, {{1, 1}}, {FlagMode::remove, {seen, {}}, {}}));
    auto const changed = store.change_flags(box.id, {{1, 1}}, {FlagMode::add, {seen, {}}, {}});
    ASSERT_TRUE(changed);
    EXPECT_TRUE(changed->changed.contains(1));
    EXPECT_EQ(flags_at(store, box.id, 1).system, seen);
}

TEST_F(ClusterProcesses, WithholdAMessageWhileALowerUidIsOnItsWay) {  // RFC 9051 §2.3.1.1
    auto const box = make_mailbox("INBOX");
    auto const first = append(*here, box.id, "A: 1\r\n\r\n");
    ASSERT_TRUE(first);
    ASSERT_TRUE(here->snapshot(box.id));
    // A third process has taken UID 2, and is not done yet.
    Document const taken{{"$inc", Document{{"uidNext", 1}, {"modifyIndex", 1}}}};
    ASSERT_TRUE(
        backend->mongo().find_and_modify(Db::main, "mailboxes", {.filter = {{"_id", box.id}}, .update = taken}));
    ASSERT_EQ(append(*here, box.id, "A: 3\r\n\r\n")->uid, 3u);
    EXPECT_EQ((*here->snapshot(box.id))->size(), 1u);
    EXPECT_EQ((*here->snapshot(box.id))->uid_next, 2u);
    auto const since = (*here->snapshot(box.id))->highest_modseq;
    EXPECT_LT(since, first->modseq + 1);  // so that nobody who asks for the changes since then misses it
    Document late = one("messages", {{"_id", first->id}});
    late.set("_id", ObjectId::generate());
    late.set("uid", 2);
    late.set("modseq", bson::number(static_cast<std::int64_t>(first->modseq + 1)));
    ASSERT_TRUE(backend->mongo().insert(Db::main, "messages", late));
    process->events.publish({.user = user, .mailbox = box.id});
    EXPECT_TRUE(eventually([&] { return (*here->snapshot(box.id))->size() == 3; }));
    expect_same(box.id);
    // Another that never ends.
    ASSERT_TRUE(
        backend->mongo().find_and_modify(Db::main, "mailboxes", {.filter = {{"_id", box.id}}, .update = taken}));
    ASSERT_EQ(append(*here, box.id, "A: 5\r\n\r\n")->uid, 5u);
    EXPECT_EQ((*here->snapshot(box.id))->size(), 3u);
    backend->clock().advance(11'000);
    EXPECT_EQ((*here->snapshot(box.id))->size(), 4u);
    EXPECT_EQ((*here->snapshot(box.id))->uid_next, 6u);
}

TEST_F(ClusterProcesses, LoseNoFlagToEachOther) {
    auto const box = make_mailbox("INBOX");
    constexpr Uid last = 12;
    fill(box.id, last);
    std::vector<MailStore*> const stores{here, other};
    {
        std::vector<std::jthread> writers;
        for (std::size_t w = 0; w < 4; ++w)
            writers.emplace_back([&, w] {
                for (int i = 0; i < 6; ++i) {
                    auto const done = stores[w % 2]->change_flags(
                        box.id, {{1, last}},
                        {FlagMode::add, {0, {"kw" + std::to_string(w) + "-" + std::to_string(i)}}, {}});
                    EXPECT_TRUE(done) << done.error().context;
                    if (done) EXPECT_EQ(done->changed, (UidSet{{1, last}}));
                }
                if (w == 0) EXPECT_TRUE(stores[0]->change_flags(box.id, {{1, last}}, {FlagMode::add, {seen, {}}, {}}));
                if (w == 1) EXPECT_TRUE(stores[1]->change_flags(box.id, {{2, 2}}, {FlagMode::add, {flagged, {}}, {}}));
            });
    }
    expect_same(box.id);
    for (Uid uid = 1; uid <= last; ++uid) {
        EXPECT_EQ(flags_at(*here, box.id, uid).keywords.size(), 24u);
        EXPECT_EQ(flags_at(*here, box.id, uid).system, uid == 2 ? seen | flagged : seen);
    }
    expect_true_mirrors(box.id);
    EXPECT_EQ(one("mailboxes", {{"_id", box.id}}).array("flags")->size(), 24u);
}

TEST_F(ClusterProcesses, LetOneOfTwoConditionalStoresWin) {  // RFC 7162 §3.1.3
    auto const box = make_mailbox("INBOX");
    ASSERT_TRUE(append(*here, box.id, "A: 1\r\n\r\n"));
    for (int round = 0; round < 5; ++round) {
        ASSERT_TRUE(eventually([&] { return rows_of(*here, box.id) == rows_of(*other, box.id); }));
        ModSeq const since = (*here->snapshot(box.id))->row(0).modseq;
        std::array<std::optional<FlagsChanged>, 2> results;
        {
            std::vector<std::jthread> writers;
            for (std::size_t w = 0; w < 2; ++w)
                writers.emplace_back([&, w] {
                    auto done =
                        (w ? other : here)
                            ->change_flags(
                                box.id, {{1, 1}},
                                {FlagMode::set, {0, {"r" + std::to_string(round) + "-" + std::to_string(w)}}, since});
                    EXPECT_TRUE(done) << done.error().context;
                    if (done) results[w] = *done;
                });
        }
        ASSERT_TRUE(results[0] && results[1]);
        EXPECT_EQ(results[0]->changed.contains(1) + results[1]->changed.contains(1), 1);
        EXPECT_EQ(results[0]->modified.contains(1) + results[1]->modified.contains(1), 1);
    }
    expect_same(box.id);
}

TEST_F(ClusterProcesses, LetOneOfManyConditionalStoresWinEachMessage) {
    auto const box = make_mailbox("INBOX");
    fill(box.id, 24);
    std::vector<MailStore*> const stores{here, other};
    for (int round = 0; round < 4; ++round) {
        // Those of up to 16 messages are written one by one, larger ones by their UIDs.
        UidSet const uids{{1, round % 2 ? 24u : 12u}};
        ASSERT_TRUE(eventually([&] { return rows_of(*here, box.id) == rows_of(*other, box.id); }));
        auto const index = *here->snapshot(box.id);
        ModSeq since = 0;
        for (std::uint32_t n = 0; n < index->size(); ++n) since = std::max(since, index->row(n).modseq);
        std::array<std::optional<FlagsChanged>, 4> results;
        auto const keyword = [&](std::size_t w) { return "r" + std::to_string(round) + "-" + std::to_string(w); };
        {
            std::vector<std::jthread> writers;
            for (std::size_t w = 0; w < results.size(); ++w)
                writers.emplace_back([&, w] {
                    auto done = stores[w % 2]->change_flags(box.id, uids, {FlagMode::add, {0, {keyword(w)}}, since});
                    EXPECT_TRUE(done) << done.error().context;
                    if (done) results[w] = *done;
                });
        }
        for (Uid uid = 1; uid <= uids.ranges().back().last; ++uid) {
            int winners = 0;
            auto const keywords = flags_at(*here, box.id, uid).keywords;
            for (std::size_t w = 0; w < results.size(); ++w) {
                ASSERT_TRUE(results[w]);
                bool const has = std::ranges::find(keywords, keyword(w)) != keywords.end();
                EXPECT_EQ(results[w]->changed.contains(uid), has) << keyword(w) << " of uid " << uid;
                EXPECT_EQ(results[w]->modified.contains(uid), !has) << keyword(w) << " of uid " << uid;
                winners += has;
            }
            EXPECT_EQ(winners, 1) << "uid " << uid;
        }
    }
    expect_same(box.id);
}

TEST_F(ClusterProcesses, MoveAMessageOnce) {
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    fill(box.id, 10);
    std::array<Copied, 2> moved;
    {
        std::vector<std::jthread> movers;
        for (std::size_t w = 0; w < 2; ++w)
            movers.emplace_back([&, w] {
                auto done = (w ? other : here)->move(box.id, {{1, 10}}, target.id);
                EXPECT_TRUE(done) << done.error().context;
                if (done) moved[w] = *done;
            });
    }
    EXPECT_EQ(moved[0].source.count() + moved[1].source.count(), 10u);
    expect_same(box.id);
    expect_same(target.id);
    EXPECT_EQ((*here->snapshot(target.id))->size(), 10u);
    EXPECT_EQ((*here->snapshot(box.id))->size(), 0u);
}

TEST_F(ClusterProcesses, MoveNoMessageWithoutTheFlagsItHasBeenGiven) {
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    fill(box.id, 20);
    std::map<Uid, Uid> moved;
    std::vector<std::pair<std::string, UidSet>> acknowledged;
    {
        std::jthread const flagger([&] {
            for (int i = 0; i < 8; ++i) {
                std::string const keyword = "kw" + std::to_string(i);
                auto const done = other->change_flags(box.id, {{1, 20}}, {FlagMode::add, {0, {keyword}}, {}});
                EXPECT_TRUE(done) << done.error().context;
                if (done) acknowledged.emplace_back(keyword, done->changed);
            }
        });
        std::jthread const mover([&] {
            for (Uid uid = 1; uid <= 20; uid += 2) {
                auto const done = here->move(box.id, {{uid, uid + 1}}, target.id);
                ASSERT_TRUE(done) << done.error().context;
                ASSERT_EQ(done->target.count(), 2u);
                moved[uid] = done->target.ranges().front().first;
                moved[uid + 1] = moved[uid] + 1;
            }
        });
    }
    for (auto const& [keyword, uids] : acknowledged)
        for (auto const& [uid, copy] : moved)
            if (uids.contains(uid)) {
                auto const keywords = flags_at(*here, target.id, copy).keywords;
                EXPECT_TRUE(std::ranges::find(keywords, keyword) != keywords.end()) << keyword << " of uid " << uid;
            }
    expect_same(box.id);
    expect_same(target.id);
}

// Random work of two processes with two threads each. Every message is known by its bytes.
TEST_F(ClusterProcesses, EndInTheSameStateWhateverTheyDoAtOnce) {
    auto const seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    ASSERT_TRUE(backend->mongo().insert(Db::users, "users", {{"_id", user}, {"username", "u"}, {"storageUsed", 0}}));
    auto const box = make_mailbox("INBOX"), target = make_mailbox("Target");
    std::mutex mutex;
    std::map<std::pair<MailboxId, Uid>, int> given;  // how often each UID was given out
    std::size_t appended = 0, expunged = 0;
    {
        std::vector<std::jthread> workers;
        for (unsigned w = 0; w < 4; ++w)
            workers.emplace_back([&, w] {
                std::mt19937 random(seed + w);
                MailStore& store = w % 2 ? *other : *here;
                for (int i = 0; i < 15; ++i) {
                    bool const forth = random() % 2;
                    MailboxId const from = forth ? box.id : target.id, to = forth ? target.id : box.id;
                    Uid const uid = 1 + random() % 12;
                    switch (random() % 5) {
                        case 0:
                        case 1: {
                            auto const text = "X: " + std::to_string(w) + " " + std::to_string(i) + "\r\n\r\nx";
                            auto const done = append(store, from, text);
                            ASSERT_TRUE(done) << done.error().context;
                            std::lock_guard const lock(mutex);
                            ++given[{from, done->uid}];
                            ++appended;
                            break;
                        }
                        case 2: {
                            auto const mode = random() % 2 ? FlagMode::add : FlagMode::remove;
                            auto const done = store.change_flags(from, {{uid, uid + 2}}, {mode, {seen, {"Kw"}}, {}});
                            ASSERT_TRUE(done) << done.error().context;
                            break;
                        }
                        case 3: {
                            auto const done = store.move(from, {{uid, uid + 1}}, to);
                            ASSERT_TRUE(done) << done.error().context;
                            std::lock_guard const lock(mutex);
                            for (auto const& range : done->target.ranges())
                                for (Uid at = range.first; at <= range.last; ++at) ++given[{to, at}];
                            break;
                        }
                        default: {
                            auto const done = store.expunge(from, {{uid, uid}}, false);
                            ASSERT_TRUE(done) << done.error().context;
                            std::lock_guard const lock(mutex);
                            expunged += done->count();
                        }
                    }
                }
            });
    }
    for (auto const& [uid, times] : given) EXPECT_EQ(times, 1) << "UID " << uid.second << " given twice";
    expect_same(box.id);
    expect_same(target.id);
    EXPECT_EQ((*here->snapshot(box.id))->size() + (*here->snapshot(target.id))->size(), appended - expunged);
    EXPECT_EQ(all("archived").size(), expunged);
    expect_true_mirrors(box.id);
    expect_true_mirrors(target.id);
    auto const report = here->check(false, {});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->problems, std::vector<std::string>{});
}

}  // namespace
}  // namespace mallard::store::cluster
