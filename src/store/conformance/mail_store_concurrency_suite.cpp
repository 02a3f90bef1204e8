#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {
namespace {

// Each snapshot a reader gets is whole: ascending UIDs, counts that agree, modseqs within bounds, never older than the
// one before.
void expect_consistent(MailboxIndex const& index, MailboxIndex const* before) {
    Uid last = 0;
    ModSeq highest = 0;
    for (std::uint32_t n = 0; n < index.size(); ++n) {
        ASSERT_GT(index.row(n).uid, last);
        last = index.row(n).uid;
        highest = std::max(highest, index.row(n).modseq);
    }
    ASSERT_LT(last, index.uid_next);
    ASSERT_LE(highest, index.highest_modseq);
    if (!before) return;
    ASSERT_GE(index.highest_modseq, before->highest_modseq);
    ASSERT_GE(index.uid_next, before->uid_next);
}

TEST_P(MailStoreSuite, KeepsOrderWhenManyChangeOneMailbox) {
    auto const box = make_mailbox();
    auto const copies = make_mailbox("Copies");
    std::atomic<bool> stop = false;
    std::mutex mutex;
    std::map<Uid, std::string> appended;  // by uid
    UidSet expunged;
    std::map<ModSeq, int> modseqs;
    auto note = [&](ModSeq modseq) {
        std::lock_guard const lock(mutex);
        ++modseqs[modseq];
    };
    {
        std::vector<std::jthread> writers;
        for (int writer = 0; writer < 4; ++writer)
            writers.emplace_back([&, writer] {
                for (int i = 0; i < 40 * backend->share_of_long_tests(); ++i) {
                    auto const source = i % 5 == 0 ? with_attachment(12'000, 5, fmt::format("{} {}", writer, i))
                                                   : message(fmt::format("{} {}", writer, i));
                    auto const result = append(box.id, source);
                    ASSERT_TRUE(result);
                    auto const index = snapshot(box.id);
                    EXPECT_GE(index->highest_modseq, result->modseq);  // visible when acknowledged
                    note(result->modseq);
                    std::lock_guard const lock(mutex);
                    EXPECT_TRUE(appended.emplace(result->uid, source).second) << "UID used twice";
                }
            });
        std::vector<std::jthread> others;
        others.emplace_back([&] {
            while (!stop) {
                auto const changed = mail().change_flags(box.id, all(), {FlagMode::add, {seen, {"kw"}}, {}});
                ASSERT_TRUE(changed);
                if (changed->modseq) note(changed->modseq);
                ASSERT_TRUE(mail().change_flags(box.id, all(), {FlagMode::remove, {seen, {}}, {}}));
            }
        });
        others.emplace_back([&] {
            while (!stop) {
                auto const index = snapshot(box.id);
                if (index->size() < 20) continue;
                Uid const uid = index->row(index->size() / 2).uid;
                auto const gone = mail().expunge(box.id, {{uid, uid}}, false);
                ASSERT_TRUE(gone);
                std::lock_guard const lock(mutex);
                for (auto const& range : gone->ranges()) expunged.add(range.first, range.last);
            }
        });
        others.emplace_back([&] {
            while (!stop) {
                auto const index = snapshot(box.id);
                if (index->size() == 0) continue;
                Uid const uid = index->row(0).uid;
                ASSERT_TRUE(mail().copy(box.id, {{uid, uid + 3}}, copies.id));
                ASSERT_TRUE(mail().move(copies.id, {{1, 1}}, box.id));
                ASSERT_TRUE(mail().expunge(box.id, {{index->row(index->size() - 1).uid + 1000, UINT32_MAX}}, false));
                ASSERT_TRUE(mail().expunge(copies.id, all(), false));
            }
        });
        others.emplace_back([&] {
            Snapshot before;
            while (!stop) {
                auto const index = snapshot(box.id);
                expect_consistent(*index, before.get());
                before = index;
            }
        });
        others.emplace_back([&] {
            while (!stop) ASSERT_TRUE(mail().sweep());
        });
        writers.clear();
        stop = true;
    }
    auto const index = snapshot(box.id);
    for (auto const& [uid, source] : appended) {
        if (!index->find(uid))
            EXPECT_TRUE(expunged.contains(uid)) << uid;
        else
            EXPECT_EQ(body_of(box.id, uid), source) << uid;
    }
    for (auto const& [modseq, uses] : modseqs) EXPECT_EQ(uses, 1) << "modseq " << modseq;
    expect_invariants();
    backend->reopen();
    EXPECT_EQ(uids(*snapshot(box.id)), uids(*index));
    expect_invariants();
}

TEST_P(MailStoreSuite, MovesBothWaysAtOnceWithoutLoss) {
    auto const a = make_mailbox("A");
    auto const b = make_mailbox("B");
    append_many(a.id, 10);
    append_many(b.id, 10);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&, i] {
                for (int n = 0; n < 25; ++n)
                    ASSERT_TRUE(i % 2 ? mail().move(a.id, all(), b.id) : mail().move(b.id, all(), a.id));
            });
    }
    EXPECT_EQ(snapshot(a.id)->size() + snapshot(b.id)->size(), 20u);
    expect_invariants();
}

TEST_P(MailStoreSuite, DeletesAMailboxThatIsInUse) {
    auto const box = make_mailbox("Busy");
    auto const other = make_mailbox("Other");
    append_many(box.id, 5);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&, i] {
                while (true) {
                    Result<void> result;
                    if (i == 0)
                        if (auto const done = append(box.id, with_attachment(10'000, 1)); !done)
                            result = std::unexpected(done.error());
                    if (i == 1)
                        if (auto const done = mail().move(other.id, all(), box.id); !done)
                            result = std::unexpected(done.error());
                    if (i == 2)
                        if (auto const done = mail().copy(box.id, {{1, 2}}, other.id); !done)
                            result = std::unexpected(done.error());
                    if (result) continue;
                    EXPECT_EQ(result.error().kind, ErrorKind::not_found);
                    return;
                }
            });
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_TRUE(mail().delete_mailbox(box.id));
    }
    expect_invariants();
    ASSERT_TRUE(mail().delete_mailbox(other.id));
    expect_invariants();
    EXPECT_EQ(*mail().storage_used(user), 0);
}

TEST_P(MailStoreSuite, FreesAndStoresTheSameAttachmentAtOnce) {
    auto const box = make_mailbox();
    auto const source = with_attachment(20'000, 21);
    std::atomic<bool> stop = false;
    {
        std::jthread sweeper([&] {
            while (!stop) ASSERT_TRUE(mail().sweep());
        });
        std::vector<std::jthread> writers;
        for (int i = 0; i < 3; ++i)
            writers.emplace_back([&] {
                for (int n = 0; n < 60 * backend->share_of_long_tests(); ++n) {
                    auto const appended = append(box.id, source);
                    ASSERT_TRUE(appended);
                    ASSERT_EQ(body_of(box.id, appended->uid), source);
                    ASSERT_TRUE(mail().expunge(box.id, {{appended->uid, appended->uid}}, false));
                }
            });
        writers.clear();
        stop = true;
    }
    expect_invariants();
}

}  // namespace
}  // namespace mallard::store::conformance
