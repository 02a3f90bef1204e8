#include "tasks/upkeep.hpp"

#include <gtest/gtest.h>

#include "kv/engine.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::tasks {
namespace {

constexpr TimeMs day_ms = 24LL * 3600 * 1000;

class UpkeepTest : public testing::Test {
protected:
    UpkeepTest() { EXPECT_TRUE(accounts.open()); }

    MailboxId trash_of(UserId user) { return mailboxes.find_special(user, "\\Trash")->id; }
    std::uint32_t messages(MailboxId mailbox) { return (*mailboxes.snapshot(mailbox))->size(); }
    void append(UserId user, MailboxId mailbox) {
        ASSERT_TRUE(mailboxes.append({.user = user, .mailbox = mailbox, .source = "Subject: x\r\n\r\nx\r\n"}));
    }
    void run(UpkeepConfig config = {}) { Upkeep(accounts, mailboxes, store->state(), config).run(); }

    static accounts::AccountsConfig quick() {
        accounts::AccountsConfig config;
        config.email_domain = "example.com";
        config.pbkdf2_iterations = 100;
        return config;
    }

    ManualClock clock{SystemClock().now()};  // ids carry the system's time
    std::unique_ptr<kv::Engine> engine = kv::open_memory(kv::new_memory_state(), store::embedded::table_specs());
    std::unique_ptr<store::embedded::EmbeddedStore> store =
        std::move(*store::embedded::EmbeddedStore::open(*engine, {.upkeep = false}, clock));
    accounts::Accounts accounts{store->documents(), store->state(), store->mail(), store->events(), clock, quick()};
    mailboxes::Mailboxes mailboxes{store->mail(), accounts, clock};
};

TEST_F(UpkeepTest, EmptiesTrashAfterThirtyDays) {
    auto const user = accounts.create({.username = "user", .password = "x"})->id;
    auto const inbox = mailboxes.find(user, "INBOX")->id;
    append(user, inbox);
    append(user, trash_of(user));
    clock.advance(29 * day_ms);
    run();
    EXPECT_EQ(messages(trash_of(user)), 1u);
    clock.advance(2 * day_ms);
    run({.retention = false});
    EXPECT_EQ(messages(trash_of(user)), 1u);
    run();
    EXPECT_EQ(messages(trash_of(user)), 0u);
    EXPECT_EQ(messages(inbox), 1u);
    auto const report = store->mail().check(false, {});
    EXPECT_EQ(report->problem_count, 0u);
}

TEST_F(UpkeepTest, LooksForExpiredMessagesOnceInAnInterval) {
    auto const user = accounts.create({.username = "user", .password = "x"})->id;
    run();
    append(user, trash_of(user));
    ASSERT_TRUE(mailboxes.patch(trash_of(user), {{1, 1}}, {.custom = {}, .expires = {clock.now()}}));
    run();  // another process has just looked
    EXPECT_EQ(messages(trash_of(user)), 1u);
    clock.advance(901'000);
    run();
    EXPECT_EQ(messages(trash_of(user)), 0u);
}

TEST_F(UpkeepTest, DeletesUsersWhoseTimeHasCome) {
    auto const user = accounts.create({.username = "user", .password = "x"})->id;
    ASSERT_TRUE(accounts.schedule_deletion(user, clock.now() + day_ms));
    run();
    EXPECT_TRUE(accounts.deleted_user(user)->has_value());
    clock.advance(day_ms);
    run();
    EXPECT_FALSE(accounts.deleted_user(user)->has_value());
    EXPECT_TRUE(mailboxes.list(user)->empty());
}

TEST_F(UpkeepTest, EndsAtOnceWhenItIsNoLongerNeeded) {
    Upkeep upkeep(accounts, mailboxes, store->state(), {});
    upkeep.start();
}

}  // namespace
}  // namespace mallard::tasks
