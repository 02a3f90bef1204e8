#include <atomic>
#include <map>
#include <thread>

#include "accounts/entities.hpp"
#include "accounts/test_backend.hpp"
#include "accounts/user_lock.hpp"

namespace mallard::accounts {
namespace {

constexpr TimeMs day_ms = 24LL * 3600 * 1000;

class Deletion : public testing::Test {
protected:
    TestBackend backend;
    User user = backend.add_user("leaver");
    TimeMs when = backend.clock.now() + 7 * day_ms;

    void wait_until(TimeMs time) { backend.clock.advance(time - backend.clock.now()); }
    bool has_mail() const { return !backend.mail.mailboxes(user.id)->empty(); }
};

TEST_F(Deletion, LaterTakesTheUserAndItsAddressesAwayButKeepsTheMail) {
    auto const scheduled = backend.accounts.schedule_deletion(user.id, when);
    ASSERT_TRUE(scheduled) << scheduled.error().message;
    EXPECT_EQ(scheduled->addresses, 1u);
    EXPECT_FALSE(backend.accounts.get(user.id).value());
    EXPECT_FALSE(backend.accounts.resolve("leaver@example.com", true).value());
    EXPECT_EQ(kind_of(backend.log_in("leaver", "secret")), ErrorKind::auth_failed);
    EXPECT_TRUE(has_mail());
    auto const deleted = backend.accounts.deleted_user(user.id).value();
    ASSERT_TRUE(deleted);
    EXPECT_EQ(deleted->username, "leaver");
    EXPECT_EQ(deleted->addresses, std::vector<std::string>{"leaver@example.com"});
    EXPECT_EQ(deleted->deleted, backend.clock.now());
}

TEST_F(Deletion, IsDoneWhenItsTimeHasComeAndNotBefore) {
    ASSERT_TRUE(backend.accounts.schedule_deletion(user.id, when));
    wait_until(when - 1);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    EXPECT_TRUE(has_mail());
    wait_until(when);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_FALSE(has_mail());
    EXPECT_FALSE(backend.accounts.deleted_user(user.id).value());
    EXPECT_EQ(kind_of(backend.accounts.restore(user.id)), ErrorKind::not_found);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
}

TEST_F(Deletion, AskedForAgainKeepsItsTaskAndTakesTheNewTime) {
    auto const first = backend.accounts.schedule_deletion(user.id, when).value();
    auto const second = backend.accounts.schedule_deletion(user.id, when + day_ms).value();
    EXPECT_EQ(first.task, second.task);
    EXPECT_EQ(second.addresses, 0u);
    wait_until(when);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    EXPECT_EQ(backend.accounts.deleted_user(user.id).value()->addresses.size(), 1u);
    ASSERT_TRUE(backend.accounts.erase(user.id));  // now, after all
    EXPECT_FALSE(has_mail());
    EXPECT_FALSE(backend.accounts.deleted_user(user.id).value());
}

TEST_F(Deletion, AtOnceIsDoneByATaskAndCanNotBeTakenBack) {
    auto const scheduled = backend.accounts.schedule_deletion(user.id, backend.clock.now());
    ASSERT_TRUE(scheduled) << scheduled.error().message;
    auto const task = backend.documents.get(tasks_collection(), scheduled->task).value().value();
    EXPECT_EQ(task.text("task"), "user-delete");
    EXPECT_EQ(task.document("data")->id("user"), user.id);
    EXPECT_EQ(task.text("status"), "waiting");
    EXPECT_FALSE(task.boolean("locked", true));
    EXPECT_TRUE(has_mail());
    EXPECT_EQ(backend.accounts.deleted_user(user.id).value()->username, "leaver");
    EXPECT_EQ(kind_of(backend.accounts.restore(user.id)), ErrorKind::conflict);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_FALSE(has_mail());
    EXPECT_FALSE(backend.documents.get(tasks_collection(), scheduled->task).value());
    EXPECT_EQ(kind_of(backend.accounts.restore(user.id)), ErrorKind::not_found);
}

TEST_F(Deletion, TakesWhatBelongsToItsUserAndNothingOfOthers) {
    auto const other = backend.add_user("other");
    store::Collection const* const collections[] = {&filters_collection(), &autoreplies_collection(),
                                                    &address_register_collection(), &asps_collection()};
    std::map<ObjectId, store::Collection const*> of_leaver, of_other;
    for (auto const* collection : collections)
        for (auto const& owner : {user, other}) {
            auto const id = ObjectId::generate();
            ASSERT_TRUE(backend.documents.insert(*collection, {{"_id", id}, {"user", owner.id}}));
            (owner.id == user.id ? of_leaver : of_other)[id] = collection;
        }
    ASSERT_TRUE(backend.accounts.schedule_deletion(user.id, backend.clock.now()));
    for (auto const& [id, collection] : of_leaver) EXPECT_TRUE(backend.documents.get(*collection, id).value());
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    for (auto const& [id, collection] : of_leaver) EXPECT_FALSE(backend.documents.get(*collection, id).value());
    for (auto const& [id, collection] : of_other) EXPECT_TRUE(backend.documents.get(*collection, id).value());
}

TEST_F(Deletion, ThatFailedIsTriedAgainAMinuteLaterAndKeepsNobodyElseWaiting) {
    auto const other = backend.add_user("other");
    ASSERT_TRUE(backend.accounts.schedule_deletion(user.id, backend.clock.now()));
    backend.mail.keeps_users = true;
    EXPECT_EQ(kind_of(backend.accounts.run_due_tasks()), ErrorKind::io);
    EXPECT_EQ(kind_of(backend.accounts.restore(user.id)), ErrorKind::conflict);
    backend.mail.keeps_users = false;
    ASSERT_TRUE(backend.accounts.schedule_deletion(other.id, backend.clock.now()));
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_FALSE(backend.accounts.deleted_user(other.id).value());
    EXPECT_TRUE(backend.accounts.deleted_user(user.id).value());
    backend.clock.advance(60'000);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_FALSE(has_mail());
}

TEST_F(Deletion, OfAServerThatDiedIsTakenOverWhenItsLockHasRunOut) {
    auto const task = backend.accounts.schedule_deletion(user.id, backend.clock.now())->task;
    TimeMs const until = backend.clock.now() + 3'600'000;
    ASSERT_TRUE(backend.documents.update(tasks_collection(), task,
                                         {.set = {{"locked", bson::Binary{std::string(12, '\x9f')}},
                                                  {"lockedUntil", bson::Date{until}},
                                                  {"status", "active"}}}));
    ASSERT_TRUE(backend.accounts.release_dead_tasks());
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    wait_until(until);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    ASSERT_TRUE(backend.accounts.release_dead_tasks());
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_FALSE(has_mail());
}

TEST_F(Deletion, ACountOfAllStorageIsATaskToo) {
    auto const other = backend.add_user("other");
    auto const task = backend.accounts.schedule_recount();
    ASSERT_TRUE(task);
    EXPECT_EQ(backend.documents.get(tasks_collection(), *task).value()->text("task"), "quota");
    backend.mail.keeps_users = true;
    EXPECT_EQ(kind_of(backend.accounts.run_due_tasks()), ErrorKind::io);
    backend.mail.keeps_users = false;
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    backend.clock.advance(60'000);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);
    EXPECT_EQ(backend.mail.recounted, (std::vector<UserId>{user.id, other.id}));
    EXPECT_FALSE(backend.documents.get(tasks_collection(), *task).value());
}

TEST_F(Deletion, IsTakenBackByRestoring) {
    ASSERT_TRUE(backend.accounts.add_address(user.id, "second@example.com", "", {}, "", "", false, false));
    auto const task = backend.accounts.schedule_deletion(user.id, when)->task;
    auto const restored = backend.accounts.restore(user.id);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(restored->task, task);
    EXPECT_EQ(restored->addresses, 2u);
    EXPECT_EQ(restored->main, "leaver@example.com");
    EXPECT_EQ(backend.accounts.get(user.id).value()->address, "leaver@example.com");
    EXPECT_TRUE(backend.accounts.resolve("second@example.com", false).value());
    EXPECT_TRUE(backend.log_in("leaver", "secret"));
    wait_until(when);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    EXPECT_TRUE(has_mail());
}

TEST_F(Deletion, LeavesNameAndAddressesToOthersWhoKeepThem) {
    ASSERT_TRUE(backend.accounts.schedule_deletion(user.id, when));
    auto const heir = backend.accounts.create({.username = "heir", .password = "x", .address = "leaver@example.com"});
    ASSERT_TRUE(heir) << heir.error().message;
    EXPECT_TRUE(has_mail());  // of who waits
    EXPECT_TRUE(backend.accounts.deleted_user(user.id).value()->addresses.empty());
    auto const restored = backend.accounts.restore(user.id);
    ASSERT_TRUE(restored);
    EXPECT_EQ(restored->addresses, 0u);
    EXPECT_EQ(backend.accounts.resolve("leaver@example.com", false).value()->user, heir->id);

    auto const other = backend.add_user("other");
    ASSERT_TRUE(backend.accounts.schedule_deletion(other.id, when));
    backend.add_user("ot.her");
    EXPECT_EQ(kind_of(backend.accounts.restore(other.id)), ErrorKind::already_exists);
    wait_until(when);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 1u);  // still to be done
}

TEST(DeletionFaults, LoseNoMailAndCanBeRepeatedWhereverTheyAreCutOff) {
    for (int fail_at = 1;; ++fail_at) {
        auto const memory = kv::new_memory_state();
        UserId id;
        TimeMs const when = ManualClock().now() + 10 * day_ms;
        bool fired = false;
        int before = 0;
        {
            TestBackend counting(TestBackend::quick(), 0, memory);
            id = counting.add_user("leaver").id;
            before = counting.faulty->commits();
        }
        {
            TestBackend backend(TestBackend::quick(), fail_at, memory);
            if (backend.opened) {
                (void)backend.accounts.schedule_deletion(id, when);
                (void)backend.accounts.restore(id);
            }
            fired = backend.faulty->fired();
        }
        TestBackend again(TestBackend::quick(), 0, memory);
        ASSERT_TRUE(again.opened);
        auto const user = again.accounts.get(id).value();
        auto const deleted = again.accounts.deleted_user(id).value();
        EXPECT_TRUE(user || deleted) << "commit " << fail_at;
        ASSERT_TRUE(again.accounts.schedule_deletion(id, when)) << "commit " << fail_at;
        auto const restored = again.accounts.restore(id);
        ASSERT_TRUE(restored) << "commit " << fail_at << ": " << restored.error().message;
        EXPECT_EQ(restored->addresses, 1u) << "commit " << fail_at;
        EXPECT_EQ(restored->main, "leaver@example.com") << "commit " << fail_at;
        EXPECT_TRUE(again.log_in("leaver", "secret")) << "commit " << fail_at;
        if (!fired) break;
        ASSERT_LT(fail_at, before + 1000);
    }
}

TEST_F(Deletion, AndRestoringAtOnceLeaveTheUserInOnePlaceWithAllAddresses) {
    ASSERT_TRUE(backend.accounts.add_address(user.id, "second@example.com", "", {}, "", "", false, false));
    std::vector<std::unique_ptr<Accounts>> processes;  // each as another would be
    for (int i = 0; i < 8; ++i)
        processes.push_back(std::make_unique<Accounts>(backend.documents, backend.state, backend.mail, backend.events,
                                                       backend.clock, TestBackend::quick()));
    for (int round = 0; round < 5 && !HasFailure(); ++round) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&, i] {
                if (i % 2)
                    EXPECT_TRUE(processes[i]->schedule_deletion(user.id, when));
                else
                    (void)processes[i]->restore(user.id);
            });
        for (auto& thread : threads) thread.join();
        auto& accounts = *processes[round];
        bool const there = accounts.get(user.id).value().has_value();
        auto const waits = accounts.deleted_user(user.id).value();
        EXPECT_NE(there, waits.has_value());
        if (waits) EXPECT_EQ(waits->addresses.size(), 2u);
        EXPECT_EQ(accounts.addresses(user.id).value().size(), there ? 2u : 0u);
        ASSERT_TRUE(accounts.schedule_deletion(user.id, when));
        auto const restored = accounts.restore(user.id);
        ASSERT_TRUE(restored) << restored.error().message;
        EXPECT_EQ(restored->addresses, 2u);
    }
    wait_until(when);
    EXPECT_EQ(backend.accounts.run_due_tasks().value(), 0u);
    EXPECT_TRUE(has_mail());
    EXPECT_TRUE(backend.log_in("leaver", "secret"));
}

TEST_F(Deletion, WaitsForWhoeverIsAtItButNotForEver) {
    using std::chrono::milliseconds;
    {
        auto const held = UserLock::take(backend.state, user.id, milliseconds(0));
        ASSERT_TRUE(held);
        EXPECT_EQ(kind_of(UserLock::take(backend.state, user.id, milliseconds(30))), ErrorKind::unavailable);
        EXPECT_TRUE(UserLock::take(backend.state, UserId::generate(), milliseconds(0)));
    }
    ASSERT_TRUE(backend.state.count("mallard:moving:" + user.id.hex(), 1, 1, std::chrono::seconds(300)));  // and died
    EXPECT_FALSE(UserLock::take(backend.state, user.id, milliseconds(0)));
    backend.clock.advance(301'000);
    EXPECT_TRUE(backend.accounts.schedule_deletion(user.id, when));
}

TEST_F(Deletion, AtOnceWaitsForWhoeverIsAtItToo) {
    std::jthread eraser;
    std::atomic<bool> erased = false;
    {
        auto const held = UserLock::take(backend.state, user.id, std::chrono::milliseconds(0));
        ASSERT_TRUE(held);
        eraser = std::jthread([&] {
            EXPECT_TRUE(backend.accounts.erase(user.id));
            erased = true;
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        EXPECT_FALSE(erased);
        EXPECT_TRUE(has_mail());
    }
    eraser.join();
    EXPECT_FALSE(has_mail());
}

}  // namespace
}  // namespace mallard::accounts
