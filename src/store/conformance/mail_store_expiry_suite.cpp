#include "store/conformance/mail_store_expiry_suite.hpp"

namespace mallard::store::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ExpirySuite);

namespace {

constexpr TimeMs hour_ms = 3600 * 1000;

TEST_P(ExpirySuite, MessagesStayWhileNothingSaysOtherwise) {
    auto const box = make_mailbox();
    append_many(box.id, 2);
    EXPECT_EQ(expiry(box.id, 1), std::nullopt);
    wait_until(backend->clock().now() + 1'000'000 * hour_ms);
    EXPECT_EQ(remove_all_expired(), 0u);
    EXPECT_EQ(snapshot(box.id)->size(), 2u);
}

TEST_P(ExpirySuite, AMessageGoesWhenItsOwnTimeHasCome) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    TimeMs const when = backend->clock().now() + hour_ms;
    expire_at(box.id, {{2, 2}}, when);
    EXPECT_EQ(expiry(box.id, 2), when);
    EXPECT_EQ(expiry(box.id, 1), std::nullopt);
    backend->reopen();
    wait_until(when - 1);
    EXPECT_EQ(remove_all_expired(), 0u);
    wait_until(when);
    EXPECT_EQ(remove_all_expired(), 1u);
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{1, 3}));
    EXPECT_TRUE(mail().vanished_since(box.id, 1)->contains(2));
    EXPECT_EQ(remove_all_expired(), 0u);
    expect_invariants();
}

TEST_P(ExpirySuite, TheRetentionOfAMailboxCountsFromWhenAMessageCameIn) {
    auto const box = make_mailbox();
    retain(box.id, hour_ms);
    append_many(box.id, 1);
    auto const first = expiry(box.id, 1);
    ASSERT_TRUE(first);
    wait_until(*first);
    EXPECT_EQ(remove_all_expired(), 1u);
    EXPECT_EQ(snapshot(box.id)->size(), 0u);
    expect_invariants();
}

TEST_P(ExpirySuite, AChangedRetentionHoldsForTheMessagesThatAreThere) {
    auto const box = make_mailbox();
    append_many(box.id, 2);
    expire_at(box.id, {{1, 1}}, backend->clock().now() + hour_ms);
    retain(box.id, 2 * hour_ms);
    auto const first = expiry(box.id, 1), second = expiry(box.id, 2);
    ASSERT_TRUE(first && second);
    EXPECT_LE(*second - *first, 2000);  // both came in at once
    EXPECT_GE(*first, backend->clock().now() + hour_ms + 1);
    EXPECT_EQ(remove_all_expired(), 0u);
    retain(box.id, 0);
    EXPECT_EQ(expiry(box.id, 1), std::nullopt);
    wait_until(*second + hour_ms);
    EXPECT_EQ(remove_all_expired(), 0u);
    retain(box.id, 1);
    EXPECT_EQ(remove_all_expired(), 2u);
}

TEST_P(ExpirySuite, AMessageMayOutliveTheRetention) {
    auto const box = make_mailbox();
    retain(box.id, hour_ms);
    append_many(box.id, 2);
    expire_at(box.id, {{1, 1}}, std::nullopt);
    EXPECT_EQ(expiry(box.id, 1), std::nullopt);
    wait_until(*expiry(box.id, 2) + hour_ms);
    EXPECT_EQ(remove_all_expired(), 1u);
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{1}));
}

TEST_P(ExpirySuite, TellsWhatWasToldOfMessages) {
    using Patches = std::map<Uid, MessagePatch>;
    auto const box = make_mailbox();
    append_many(box.id, 5);
    EXPECT_EQ(mail().patches(box.id).value_or(Patches{{1, {}}}), Patches{});
    TimeMs const when = backend->clock().now() + hour_ms;
    expire_at(box.id, {{2, 2}}, when);
    expire_at(box.id, {{3, 3}}, std::nullopt);
    ASSERT_TRUE(mail().patch(box.id, {{3, 4}}, {.custom = "{\"a\":1}", .expires = {}}));
    backend->reopen();
    std::optional<TimeMs> const never;
    Patches wanted = {{2, {.custom = {}, .expires = when}},
                      {3, {.custom = "{\"a\":1}", .expires = never}},
                      {4, {.custom = "{\"a\":1}", .expires = {}}}};
    auto patches = mail().patches(box.id);
    ASSERT_TRUE(patches) << patches.error().message;
    EXPECT_EQ(*patches, wanted);
    retain(box.id, hour_ms);  // takes every `expires` back
    wanted.erase(2);
    wanted[3].expires.reset();
    patches = mail().patches(box.id);
    ASSERT_TRUE(patches) << patches.error().message;
    EXPECT_EQ(*patches, wanted);
}

TEST_P(ExpirySuite, CopiesAndMovedMessagesFollowTheMailboxTheyComeInto) {
    auto const box = make_mailbox();
    auto const trash = make_mailbox(user, "Trash");
    retain(trash.id, 30 * 24 * hour_ms);
    append_many(box.id, 2);
    expire_at(box.id, {{1, 2}}, backend->clock().now() + hour_ms);
    ASSERT_TRUE(mail().copy(box.id, {{1, 1}}, trash.id));
    ASSERT_TRUE(mail().move(box.id, {{2, 2}}, trash.id));
    for (Uid const uid : {1u, 2u}) {
        auto const when = expiry(trash.id, uid);
        ASSERT_TRUE(when);
        EXPECT_GE(*when, backend->clock().now() + hour_ms + 1);
    }
    wait_until(backend->clock().now() + hour_ms);
    EXPECT_EQ(remove_all_expired(), 1u);
    EXPECT_EQ(snapshot(box.id)->size(), 0u);
    EXPECT_EQ(snapshot(trash.id)->size(), 2u);
    expect_invariants();
}

TEST_P(ExpirySuite, MessagesOfADeletedMailboxAreNoConcern) {
    auto const box = make_mailbox(user, "Folder");
    append_many(box.id, 1);
    TimeMs const when = backend->clock().now() + hour_ms;
    expire_at(box.id, {{1, 1}}, when);
    ASSERT_TRUE(mail().delete_mailbox(box.id));
    wait_until(when);
    EXPECT_EQ(remove_all_expired(), 0u);
    expect_invariants();
}

TEST_P(ExpirySuite, CustomMetadataBelongsToOneCopyAndGoesAlongWithIt) {
    auto const box = make_mailbox();
    auto const other = make_mailbox(user, "Other");
    append_many(box.id, 1);
    auto const set = [&](MailboxId mailbox, std::string text) {
        ASSERT_TRUE(mail().patch(mailbox, {{1, 1}}, {.custom = std::move(text), .expires = {}}));
    };
    set(box.id, R"({"a":1})");
    EXPECT_EQ(custom(box.id, 1), R"({"a":1})");
    ASSERT_TRUE(mail().copy(box.id, {{1, 1}}, other.id));
    EXPECT_EQ(custom(other.id, 1), R"({"a":1})");
    set(other.id, R"({"b":2})");
    EXPECT_EQ(custom(box.id, 1), R"({"a":1})");
    ASSERT_TRUE(mail().move(other.id, {{1, 1}}, box.id));
    EXPECT_EQ(custom(box.id, 2), R"({"b":2})");
    expire_at(box.id, {{2, 2}}, backend->clock().now() + hour_ms);
    backend->reopen();
    EXPECT_EQ(custom(box.id, 2), R"({"b":2})");
    EXPECT_TRUE(mail().patch(box.id, {{7, 9}}, {.custom = "{}", .expires = {}})->empty());
    EXPECT_FALSE(mail().patch(MailboxId::generate(), {{1, 1}}, {.custom = "{}", .expires = {}}));
}

}  // namespace
}  // namespace mallard::store::conformance
