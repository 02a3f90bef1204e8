#include <algorithm>
#include <atomic>
#include <thread>

#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {
namespace {

TEST_P(MailStoreSuite, CreatesAMailboxThatIsFoundByIdAndPath) {
    MailboxInfo wanted;
    wanted.user = user;
    wanted.path = "Archive/Grüße";
    wanted.special_use = "\\Archive";
    wanted.subscribed = false;
    wanted.hidden = true;
    wanted.retention_ms = 86'400'000;
    auto const created = mail().create_mailbox(wanted);
    ASSERT_TRUE(created);
    EXPECT_FALSE(created->id.is_nil());
    EXPECT_EQ(created->uid_validity, 1'700'000'000u);
    auto const by_id = mail().mailbox(created->id);
    auto const by_path = mail().find_mailbox(user, "Archive/Grüße");
    ASSERT_TRUE(by_id && *by_id && by_path && *by_path);
    for (auto const& info : {**by_id, **by_path}) {
        EXPECT_EQ(info.id, created->id);
        EXPECT_EQ(info.user, user);
        EXPECT_EQ(info.path, "Archive/Grüße");
        EXPECT_EQ(info.special_use, "\\Archive");
        EXPECT_FALSE(info.subscribed);
        EXPECT_TRUE(info.hidden);
        EXPECT_EQ(info.retention_ms, 86'400'000);
        EXPECT_EQ(info.uid_validity, created->uid_validity);
    }
}

TEST_P(MailStoreSuite, KeepsTheIdAndUidValidityThatAMailboxIsCreatedWith) {
    MailboxInfo wanted;
    wanted.id = MailboxId::generate();
    wanted.user = user;
    wanted.path = "INBOX";
    wanted.uid_validity = 77;
    auto const created = mail().create_mailbox(wanted);
    ASSERT_TRUE(created);
    EXPECT_EQ(created->id, wanted.id);
    EXPECT_EQ(created->uid_validity, 77u);
}

TEST_P(MailStoreSuite, StartsAMailboxEmpty) {
    auto const index = snapshot(make_mailbox().id);
    EXPECT_EQ(index->size(), 0u);
    EXPECT_EQ(index->uid_next, 1u);
    EXPECT_EQ(index->highest_modseq, 1u);
    EXPECT_TRUE(index->keywords.empty());
    EXPECT_EQ(index->info.path, "INBOX");
}

TEST_P(MailStoreSuite, RefusesASecondMailboxOfTheSamePath) {
    make_mailbox("Work");
    MailboxInfo again;
    again.user = user;
    again.path = "Work";
    auto const created = mail().create_mailbox(again);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().kind, ErrorKind::already_exists);
}

TEST_P(MailStoreSuite, LetsTwoUsersHaveMailboxesOfTheSamePath) {
    auto const mine = make_mailbox("INBOX");
    auto const other = UserId::generate();
    auto const theirs = make_mailbox(other, "INBOX");
    EXPECT_NE(mine.id, theirs.id);
    auto const found = mail().find_mailbox(other, "INBOX");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->id, theirs.id);
}

TEST_P(MailStoreSuite, CreatesSeveralMailboxesOrNone) {
    make_mailbox("B");
    std::vector<MailboxInfo> infos(3);
    for (std::size_t i = 0; i < infos.size(); ++i) {
        infos[i].user = user;
        infos[i].path = std::string(1, static_cast<char>('A' + i));
    }
    auto const refused = mail().create_mailboxes(infos);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::already_exists);
    EXPECT_EQ(mail().mailboxes(user)->size(), 1u);
    infos.erase(infos.begin() + 1);
    ASSERT_TRUE(mail().create_mailboxes(infos));
    EXPECT_EQ(mail().mailboxes(user)->size(), 3u);
}

TEST_P(MailStoreSuite, RefusesTheSamePathTwiceInOneCreation) {
    std::vector<MailboxInfo> infos(2);
    for (auto& info : infos) {
        info.user = user;
        info.path = "Twin";
    }
    auto const created = mail().create_mailboxes(infos);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().kind, ErrorKind::already_exists);
    EXPECT_TRUE(mail().mailboxes(user)->empty());
}

TEST_P(MailStoreSuite, ListsTheMailboxesOfOneUserOnly) {
    make_mailbox("INBOX");
    make_mailbox("Sent");
    make_mailbox(UserId::generate(), "Other");
    auto const listed = mail().mailboxes(user);
    ASSERT_TRUE(listed);
    std::vector<std::string> paths;
    for (auto const& info : *listed) paths.push_back(info.path);
    std::ranges::sort(paths);
    EXPECT_EQ(paths, (std::vector<std::string>{"INBOX", "Sent"}));
}

TEST_P(MailStoreSuite, LetsExactlyOneOfManyCreateAPath) {
    std::atomic<int> won = 0, refused = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                MailboxInfo info;
                info.user = user;
                info.path = "Race";
                auto const created = mail().create_mailbox(info);
                if (created)
                    ++won;
                else if (created.error().kind == ErrorKind::already_exists)
                    ++refused;
            });
    }
    EXPECT_EQ(won, 1);
    EXPECT_EQ(refused, 7);
    expect_invariants();
}

TEST_P(MailStoreSuite, RenamesAMailboxWithAllItHolds) {
    auto const box = make_mailbox("Old");
    append_many(box.id, 2);
    auto const updated = mail().update_mailbox(box.id, {.path = "New"});
    ASSERT_TRUE(updated);
    EXPECT_EQ(updated->path, "New");
    EXPECT_FALSE(*mail().find_mailbox(user, "Old"));
    EXPECT_EQ((*mail().find_mailbox(user, "New"))->id, box.id);
    auto const index = snapshot(box.id);
    EXPECT_EQ(index->info.path, "New");
    EXPECT_EQ(index->info.uid_validity, box.uid_validity);
    EXPECT_EQ(index->size(), 2u);
    expect_invariants();
}

TEST_P(MailStoreSuite, RefusesToRenameOntoAnotherMailbox) {
    auto const box = make_mailbox("One");
    make_mailbox("Two");
    auto const updated = mail().update_mailbox(box.id, {.path = "Two"});
    ASSERT_FALSE(updated);
    EXPECT_EQ(updated.error().kind, ErrorKind::already_exists);
    EXPECT_EQ((*mail().find_mailbox(user, "One"))->id, box.id);
}

TEST_P(MailStoreSuite, ChangesOnlyTheSettingsThatAreNamed) {
    auto const box = make_mailbox("Box");
    ASSERT_TRUE(mail().update_mailbox(box.id, {.subscribed = false}));
    ASSERT_TRUE(mail().update_mailbox(
        box.id, {.hidden = true, .encrypt_messages = true, .retention_ms = 5, .special_use = "\\Junk"}));
    backend->reopen();
    auto const info = mail().mailbox(box.id);
    ASSERT_TRUE(info && *info);
    EXPECT_EQ((*info)->path, "Box");
    EXPECT_FALSE((*info)->subscribed);
    EXPECT_TRUE((*info)->hidden);
    EXPECT_TRUE((*info)->encrypt_messages);
    EXPECT_EQ((*info)->retention_ms, 5);
    EXPECT_EQ((*info)->special_use, "\\Junk");
    EXPECT_EQ(snapshot(box.id)->info.special_use, "\\Junk");
}

TEST_P(MailStoreSuite, DeletesAMailboxWithItsMessagesAndTheirOctets) {
    auto const keep = make_mailbox("Keep");
    auto const box = make_mailbox("Gone");
    append_many(keep.id, 1);
    auto const kept = mail().storage_used(user);
    append_many(box.id, 3);
    ASSERT_TRUE(mail().delete_mailbox(box.id));
    EXPECT_EQ(*mail().storage_used(user), *kept);
    EXPECT_FALSE(*mail().mailbox(box.id));
    EXPECT_FALSE(*mail().find_mailbox(user, "Gone"));
    EXPECT_EQ(mail().snapshot(box.id).error().kind, ErrorKind::not_found);
    expect_invariants();
}

TEST_P(MailStoreSuite, AnswersNotFoundForAMailboxThatIsNotThere) {
    auto const nowhere = MailboxId::generate();
    auto const box = make_mailbox();
    EXPECT_EQ(mail().snapshot(nowhere).error().kind, ErrorKind::not_found);
    EXPECT_EQ(append(nowhere, message("x")).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().change_flags(nowhere, all(), {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().copy(nowhere, all(), box.id).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().copy(box.id, all(), nowhere).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().move(box.id, all(), nowhere).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().expunge(nowhere, all(), false).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().vanished_since(nowhere, 1).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().update_mailbox(nowhere, {.hidden = true}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().delete_mailbox(nowhere).error().kind, ErrorKind::not_found);
    EXPECT_EQ(*mail().storage_used(user), 0);
}

TEST_P(MailStoreSuite, GivesARecreatedMailboxOfTheSamePathAnotherId) {
    auto const first = make_mailbox("Again");
    append_many(first.id, 2);
    ASSERT_TRUE(mail().delete_mailbox(first.id));
    auto const second = make_mailbox("Again");
    EXPECT_NE(first.id, second.id);
    EXPECT_EQ(snapshot(second.id)->size(), 0u);
}

TEST_P(MailStoreSuite, DeletesAUserWithAllMailboxes) {
    auto const other = UserId::generate();
    auto const theirs = make_mailbox(other, "INBOX");
    ASSERT_TRUE(append(theirs.id, message("stays")));
    auto const box = make_mailbox("INBOX");
    append_many(box.id, 2);
    append_many(make_mailbox("Sent").id, 2);
    ASSERT_TRUE(mail().delete_user(user));
    EXPECT_TRUE(mail().mailboxes(user)->empty());
    EXPECT_EQ(*mail().storage_used(user), 0);
    EXPECT_EQ(mail().snapshot(box.id).error().kind, ErrorKind::not_found);
    EXPECT_EQ(snapshot(theirs.id)->size(), 1u);
    expect_invariants();
}

}  // namespace
}  // namespace mallard::store::conformance
