#include <fmt/format.h>

#include <algorithm>

#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {
namespace {

TEST_P(MailStoreSuite, AppendsMessagesWithGrowingUidsAndModseqs) {
    auto const box = make_mailbox();
    auto const source = message("one");
    auto const first = append(box.id, source, {.system = seen | flagged, .keywords = {"$Work"}});
    auto const second = append(box.id, message("two"));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->uid, 1u);
    EXPECT_EQ(second->uid, 2u);
    EXPECT_LT(first->modseq, second->modseq);
    EXPECT_GT(first->modseq, 1u);
    EXPECT_EQ(first->size, source.size());
    EXPECT_EQ(first->uid_validity, box.uid_validity);
    EXPECT_NE(first->id, second->id);

    auto const index = snapshot(box.id);
    ASSERT_EQ(uids(*index), (std::vector<Uid>{1, 2}));
    EXPECT_EQ(index->uid_next, 3u);
    EXPECT_EQ(index->highest_modseq, second->modseq);
    Row const& row = index->row(0);
    EXPECT_EQ(row.id, first->id);
    EXPECT_EQ(row.modseq, first->modseq);
    EXPECT_EQ(row.size, source.size());
    EXPECT_EQ(row.internal_date, 1'700'000'000'000);
    EXPECT_EQ(index->flags(row), (Flags{seen | flagged, {"$Work"}}));
    auto const counts = index->counts();
    EXPECT_EQ(counts.messages, 2u);
    EXPECT_EQ(counts.unseen, 1u);
    EXPECT_EQ(counts.bytes, source.size() + message("two").size());
    expect_invariants();
}

TEST_P(MailStoreSuite, FindsEverythingAgainWhenReopened) {
    auto const box = make_mailbox();
    append_many(box.id, 5);
    ASSERT_TRUE(mail().change_flags(box.id, {{2, 4}}, {FlagMode::add, {answered, {"Blue", "Red"}}, {}}));
    ASSERT_TRUE(mail().expunge(box.id, {{3, 3}}, false));
    auto const before = snapshot(box.id);
    backend->reopen();
    auto const after = snapshot(box.id);
    ASSERT_EQ(uids(*after), uids(*before));
    EXPECT_EQ(after->uid_next, before->uid_next);
    EXPECT_EQ(after->highest_modseq, before->highest_modseq);
    for (std::uint32_t n = 0; n < after->size(); ++n) {
        EXPECT_EQ(after->row(n).id, before->row(n).id);
        EXPECT_EQ(after->row(n).modseq, before->row(n).modseq);
        EXPECT_EQ(after->row(n).size, before->row(n).size);
        EXPECT_EQ(after->row(n).internal_date, before->row(n).internal_date);
        EXPECT_EQ(after->flags(after->row(n)), before->flags(before->row(n)));
    }
    EXPECT_EQ(body_of(box.id, 4), message("message 3"));
    expect_invariants();
}

TEST_P(MailStoreSuite, NeverUsesAUidTwice) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    ASSERT_TRUE(mail().expunge(box.id, all(), false));
    backend->reopen();
    EXPECT_EQ(append(box.id, message("later"))->uid, 4u);
    ASSERT_TRUE(mail().expunge(box.id, all(), false));
    drain();
    backend->reopen();
    EXPECT_EQ(snapshot(box.id)->uid_next, 5u);
    EXPECT_EQ(append(box.id, message("last"))->uid, 5u);
}

TEST_P(MailStoreSuite, KeepsAnOldSnapshotAsItWas) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    auto const before = snapshot(box.id);
    ASSERT_TRUE(mail().change_flags(box.id, all(), {FlagMode::add, {seen, {}}, {}}));
    ASSERT_TRUE(mail().expunge(box.id, {{1, 1}}, false));
    append_many(box.id, 1);
    EXPECT_EQ(uids(*before), (std::vector<Uid>{1, 2, 3}));
    for (std::uint32_t n = 0; n < 3; ++n) EXPECT_EQ(before->row(n).system, 0);
    auto const changes = changes_between(*before, *snapshot(box.id));
    EXPECT_EQ(changes.vanished, (UidSet{{1, 1}}));
    EXPECT_EQ(changes.changed.size(), 2u);
    EXPECT_EQ(changes.appended, 1u);
}

TEST_P(MailStoreSuite, AddsRemovesAndSetsFlags) {
    auto const box = make_mailbox();
    ASSERT_TRUE(append(box.id, message("x"), {.system = seen, .keywords = {"A"}}));
    auto change = [&](FlagMode mode, Flags flags) {
        auto const changed = mail().change_flags(box.id, all(), {mode, std::move(flags), {}});
        EXPECT_TRUE(changed);
        return flags_of(box.id, 1);
    };
    EXPECT_EQ(change(FlagMode::add, {flagged, {"B"}}), (Flags{seen | flagged, {"A", "B"}}));
    EXPECT_EQ(change(FlagMode::remove, {seen, {"A", "Unknown"}}), (Flags{flagged, {"B"}}));
    EXPECT_EQ(change(FlagMode::set, {draft, {"C"}}), (Flags{draft, {"C"}}));
    EXPECT_EQ(change(FlagMode::set, {}), Flags{});
    EXPECT_FALSE(snapshot(box.id)->keyword("Unknown"));
}

TEST_P(MailStoreSuite, ComparesKeywordsWithoutCaseAndKeepsTheFirstSpelling) {
    auto const box = make_mailbox();
    ASSERT_TRUE(append(box.id, message("x"), {.keywords = {"$Label1"}}));
    ASSERT_TRUE(append(box.id, message("y"), {.keywords = {"$LABEL1"}}));
    EXPECT_EQ(flags_of(box.id, 2).keywords, (std::vector<std::string>{"$Label1"}));
    ASSERT_TRUE(mail().change_flags(box.id, all(), {FlagMode::remove, {0, {"$label1"}}, {}}));
    EXPECT_TRUE(flags_of(box.id, 1).keywords.empty());
}

TEST_P(MailStoreSuite, GivesOneModseqToAllThatChangeTogetherAndNoneToTheRest) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    ASSERT_TRUE(mail().change_flags(box.id, {{2, 2}}, {FlagMode::add, {seen, {}}, {}}));
    auto const before = snapshot(box.id);
    auto const changed = mail().change_flags(box.id, all(), {FlagMode::add, {seen, {}}, {}});
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->changed, (UidSet{{1, 1}, {3, 3}}));
    EXPECT_GT(changed->modseq, before->highest_modseq);
    auto const after = snapshot(box.id);
    EXPECT_EQ(after->row(0).modseq, changed->modseq);
    EXPECT_EQ(after->row(1).modseq, before->row(1).modseq);
    EXPECT_EQ(after->row(2).modseq, changed->modseq);
    EXPECT_EQ(after->highest_modseq, changed->modseq);
}

TEST_P(MailStoreSuite, ChangesNothingWhenFlagsAreAlreadySo) {
    auto const box = make_mailbox();
    ASSERT_TRUE(append(box.id, message("x"), {.system = seen}));
    auto const before = snapshot(box.id)->highest_modseq;
    auto const changed = mail().change_flags(box.id, all(), {FlagMode::add, {seen, {}}, {}});
    ASSERT_TRUE(changed);
    EXPECT_TRUE(changed->changed.empty());
    EXPECT_EQ(changed->modseq, 0u);
    EXPECT_EQ(snapshot(box.id)->highest_modseq, before);
}

TEST_P(MailStoreSuite, RefusesToChangeWhatChangedSince) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    auto const since = snapshot(box.id)->highest_modseq;
    ASSERT_TRUE(mail().change_flags(box.id, {{2, 2}}, {FlagMode::add, {flagged, {}}, {}}));
    auto const changed = mail().change_flags(box.id, all(), {FlagMode::add, {seen, {}}, since});
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->changed, (UidSet{{1, 1}, {3, 3}}));
    EXPECT_EQ(changed->modified, (UidSet{{2, 2}}));
    EXPECT_EQ(flags_of(box.id, 2).system, flagged);
    auto const none = mail().change_flags(box.id, all(), {FlagMode::add, {draft, {}}, 0});
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->changed.empty());
    EXPECT_EQ(none->modified, (UidSet{{1, 3}}));
}

TEST_P(MailStoreSuite, RefusesMoreKeywordsThanAMailboxHolds) {
    auto const box = make_mailbox();
    Flags many;
    for (unsigned n = 0; n < keywords_max; ++n) many.keywords.push_back("k" + std::to_string(n));
    ASSERT_TRUE(append(box.id, message("x"), many));
    EXPECT_EQ(flags_of(box.id, 1).keywords.size(), keywords_max);
    auto const one_more = mail().change_flags(box.id, all(), {FlagMode::add, {0, {"more"}}, {}});
    ASSERT_FALSE(one_more);
    EXPECT_EQ(one_more.error().kind, ErrorKind::limit);
    EXPECT_EQ(append(box.id, message("y"), {.keywords = {"more"}}).error().kind, ErrorKind::limit);
    EXPECT_EQ(snapshot(box.id)->size(), 1u);
    expect_invariants();
}

TEST_P(MailStoreSuite, IgnoresUidsThatAreNotThere) {
    auto const box = make_mailbox();
    append_many(box.id, 2);
    auto const changed = mail().change_flags(box.id, {{2, 90}}, {FlagMode::add, {seen, {}}, {}});
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->changed, (UidSet{{2, 2}}));
    EXPECT_EQ(*mail().expunge(box.id, {{50, 60}}, false), UidSet{});
    EXPECT_TRUE(mail().copy(box.id, {{50, 60}}, box.id)->target.empty());
}

TEST_P(MailStoreSuite, ExpungesOnlyWhatIsDeletedWhenToldSo) {
    auto const box = make_mailbox();
    append_many(box.id, 4);
    ASSERT_TRUE(mail().change_flags(box.id, {{1, 1}, {3, 4}}, {FlagMode::add, {deleted, {}}, {}}));
    EXPECT_EQ(*mail().expunge(box.id, {{1, 3}}, true), (UidSet{{1, 1}, {3, 3}}));
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{2, 4}));
    EXPECT_EQ(*mail().expunge(box.id, {{2, 2}}, false), (UidSet{{2, 2}}));
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{4}));
    expect_invariants();
}

TEST_P(MailStoreSuite, NamesWhatVanishedSinceAModseq) {
    auto const box = make_mailbox();
    append_many(box.id, 6);
    ASSERT_TRUE(mail().expunge(box.id, {{2, 2}}, false));
    auto const since = snapshot(box.id)->highest_modseq;
    ASSERT_TRUE(mail().expunge(box.id, {{4, 5}}, false));
    backend->reopen();
    auto const vanished = mail().vanished_since(box.id, since);
    ASSERT_TRUE(vanished);
    EXPECT_TRUE(vanished->contains(4) && vanished->contains(5));
    EXPECT_FALSE(vanished->contains(1) || vanished->contains(3) || vanished->contains(6));
    auto const longer = mail().vanished_since(box.id, 1);
    EXPECT_TRUE(longer->contains(2) && longer->contains(4) && longer->contains(5));
    EXPECT_TRUE(mail().vanished_since(box.id, snapshot(box.id)->highest_modseq)->empty());
}

TEST_P(MailStoreSuite, CopiesMessagesInOrderWithTheirFlags) {
    auto const from = make_mailbox("From");
    auto const to = make_mailbox("To");
    ASSERT_TRUE(append(to.id, message("there"), {.keywords = {"Own"}}));
    append_many(from.id, 3);
    ASSERT_TRUE(mail().change_flags(from.id, {{2, 2}}, {FlagMode::set, {seen, {"Own", "Other"}}, {}}));
    auto const copied = mail().copy(from.id, {{2, 3}}, to.id);
    ASSERT_TRUE(copied);
    EXPECT_EQ(copied->uid_validity, to.uid_validity);
    EXPECT_EQ(copied->source, (UidSet{{2, 3}}));
    EXPECT_EQ(copied->target, (UidSet{{2, 3}}));
    EXPECT_EQ(uids(*snapshot(from.id)), (std::vector<Uid>{1, 2, 3}));
    auto const index = snapshot(to.id);
    ASSERT_EQ(uids(*index), (std::vector<Uid>{1, 2, 3}));
    EXPECT_EQ(index->row(1).internal_date, 1'700'000'000'000);
    EXPECT_NE(index->row(1).id, snapshot(from.id)->row(1).id);
    auto const flags = flags_of(to.id, 2);
    EXPECT_EQ(flags.system, seen);
    EXPECT_EQ(flags.keywords, (std::vector<std::string>{"Own", "Other"}));
    EXPECT_EQ(body_of(to.id, 2), message("message 1"));
    expect_invariants();
}

TEST_P(MailStoreSuite, CopiesWithinOneMailbox) {
    auto const box = make_mailbox();
    append_many(box.id, 2);
    auto const copied = mail().copy(box.id, all(), box.id);
    ASSERT_TRUE(copied);
    EXPECT_EQ(copied->target, (UidSet{{3, 4}}));
    EXPECT_EQ(body_of(box.id, 4), body_of(box.id, 2));
    EXPECT_EQ(*mail().storage_used(user), static_cast<std::int64_t>(4 * message("message 0").size()));
    expect_invariants();
}

TEST_P(MailStoreSuite, KeepsACopyWhenItsOriginalIsExpunged) {
    auto const from = make_mailbox("From");
    auto const to = make_mailbox("To");
    auto const source = with_attachment(40'000, 1);
    ASSERT_TRUE(append(from.id, source));
    ASSERT_TRUE(mail().copy(from.id, all(), to.id));
    ASSERT_TRUE(mail().expunge(from.id, all(), false));
    expect_invariants();
    EXPECT_EQ(body_of(to.id, 1), source);
    ASSERT_TRUE(mail().copy(to.id, all(), to.id));
    ASSERT_TRUE(mail().expunge(to.id, {{1, 1}}, false));
    expect_invariants();
    backend->reopen();
    EXPECT_EQ(body_of(to.id, 2), source);
    ASSERT_TRUE(mail().delete_mailbox(to.id));
    expect_invariants();
    EXPECT_EQ(*mail().storage_used(user), 0);
}

TEST_P(MailStoreSuite, MovesMessagesAtOnce) {
    auto const from = make_mailbox("From");
    auto const to = make_mailbox("To");
    append_many(from.id, 3);
    auto const since = snapshot(from.id)->highest_modseq;
    auto const used = *mail().storage_used(user);
    auto const moved = mail().move(from.id, {{1, 2}}, to.id);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->source, (UidSet{{1, 2}}));
    EXPECT_EQ(moved->target, (UidSet{{1, 2}}));
    EXPECT_EQ(moved->uid_validity, to.uid_validity);
    EXPECT_EQ(uids(*snapshot(from.id)), (std::vector<Uid>{3}));
    EXPECT_EQ(uids(*snapshot(to.id)), (std::vector<Uid>{1, 2}));
    EXPECT_EQ(body_of(to.id, 2), message("message 1"));
    EXPECT_EQ(*mail().storage_used(user), used);
    EXPECT_TRUE(mail().vanished_since(from.id, since)->contains(2));
    expect_invariants();
}

TEST_P(MailStoreSuite, MovesWithinOneMailboxToNewUids) {
    auto const box = make_mailbox();
    append_many(box.id, 2);
    auto const since = snapshot(box.id)->highest_modseq;
    auto const moved = mail().move(box.id, {{1, 1}}, box.id);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->target, (UidSet{{3, 3}}));
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{2, 3}));
    EXPECT_EQ(body_of(box.id, 3), message("message 0"));
    EXPECT_TRUE(mail().vanished_since(box.id, since)->contains(1));
    backend->reopen();
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{2, 3}));
    expect_invariants();
}

TEST_P(MailStoreSuite, CountsTheOctetsOfAUser) {
    auto const box = make_mailbox();
    auto const size = static_cast<std::int64_t>(message("message 0").size());
    append_many(box.id, 3);
    EXPECT_EQ(*mail().storage_used(user), 3 * size);
    ASSERT_TRUE(mail().copy(box.id, {{1, 1}}, make_mailbox("Other").id));
    EXPECT_EQ(*mail().storage_used(user), 4 * size);
    ASSERT_TRUE(mail().expunge(box.id, {{2, 3}}, false));
    EXPECT_EQ(*mail().storage_used(user), 2 * size);
    backend->reopen();
    EXPECT_EQ(*mail().storage_used(user), 2 * size);
}

TEST_P(MailStoreSuite, AppendsByPath) {
    auto const box = make_mailbox();
    auto const other = make_mailbox("Other");
    auto const first = mail().append_to(user, "INBOX", as_new(message("one")));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->uid, 1u);
    EXPECT_EQ(first->uid_validity, box.uid_validity);
    EXPECT_EQ(body_of(box.id, 1), message("one"));
    ASSERT_TRUE(append(box.id, message("two")));
    ASSERT_TRUE(mail().append_to(user, "Other", as_new(message("three"))));
    EXPECT_EQ(body_of(other.id, 1), message("three"));
    auto const four = message("four");
    auto with_keyword = as_new(four);
    with_keyword.flags.keywords = {"kw"};
    EXPECT_EQ(mail().append_to(user, "INBOX", with_keyword)->uid, 3u);
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{1, 2, 3}));
    EXPECT_EQ(mail().append_to(user, "Nowhere", as_new(message("x"))).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().append_to(UserId::generate(), "INBOX", as_new(message("x"))).error().kind, ErrorKind::not_found);
    // Another mailbox under the path that was written to before.
    ASSERT_TRUE(mail().update_mailbox(other.id, {.path = "Elsewhere"}));
    auto const heir = make_mailbox("Other");
    ASSERT_TRUE(mail().append_to(user, "Other", as_new(message("five"))));
    EXPECT_EQ(uids(*snapshot(heir.id)), (std::vector<Uid>{1}));
    EXPECT_EQ(uids(*snapshot(other.id)), (std::vector<Uid>{1}));
    expect_invariants();
}

TEST_P(MailStoreSuite, AppendsNothingAboveTheMostStorage) {
    auto const box = make_mailbox();
    auto const source = with_attachment(20'000, 1);
    auto const size = static_cast<std::int64_t>(source.size());
    auto const limited = [&](std::int64_t most) {
        auto limited = as_new(source);
        limited.storage_max = most;
        return mail().append(box.id, limited);
    };
    ASSERT_TRUE(limited(size));
    EXPECT_EQ(limited(2 * size - 1).error().kind, ErrorKind::over_quota);
    EXPECT_EQ(*mail().storage_used(user), size);
    EXPECT_EQ(snapshot(box.id)->size(), 1u);
    ASSERT_TRUE(limited(2 * size));
    EXPECT_EQ(*mail().storage_used(user), 2 * size);
    expect_invariants();
}

TEST_P(MailStoreSuite, TakesOctetsAlongWhenMovingToAnotherUser) {
    auto const box = make_mailbox();
    auto const other = UserId::generate();
    auto const theirs = make_mailbox(other, "INBOX");
    append_many(box.id, 2);
    auto const size = static_cast<std::int64_t>(message("message 0").size());
    ASSERT_TRUE(mail().move(box.id, {{1, 1}}, theirs.id));
    EXPECT_EQ(*mail().storage_used(user), size);
    EXPECT_EQ(*mail().storage_used(other), size);
    expect_invariants();
}

TEST_P(MailStoreSuite, AnnouncesEveryChangeOfAMailbox) {
    auto const box = make_mailbox();
    auto const other = make_mailbox("Other");
    std::vector<Event> events;
    auto const subscription = backend->events().subscribe(user, [&](Event const& event) { events.push_back(event); });
    auto told = [&](MailboxId id, Event::Kind kind) {
        bool const found =
            std::ranges::any_of(events, [&](Event const& event) { return event.mailbox == id && event.kind == kind; });
        events.clear();
        return found;
    };
    using enum Event::Kind;
    append_many(box.id, 1);
    EXPECT_TRUE(told(box.id, mailbox_changed));
    ASSERT_TRUE(mail().change_flags(box.id, all(), {FlagMode::add, {seen, {}}, {}}));
    EXPECT_TRUE(told(box.id, mailbox_changed));
    ASSERT_TRUE(mail().copy(box.id, all(), other.id));
    EXPECT_TRUE(told(other.id, mailbox_changed));
    ASSERT_TRUE(mail().expunge(box.id, all(), false));
    EXPECT_TRUE(told(box.id, mailbox_changed));
    ASSERT_TRUE(mail().update_mailbox(box.id, {.path = "Renamed"}));
    EXPECT_TRUE(told(box.id, mailbox_renamed));
    ASSERT_TRUE(mail().delete_mailbox(box.id));
    EXPECT_TRUE(told(box.id, mailbox_deleted));
    auto const created = make_mailbox("Third");
    EXPECT_TRUE(told(created.id, mailbox_created));
}

TEST_P(MailStoreSuite, CarriesManyChangesThroughCheckpoints) {
    double const share = backend->share_of_long_tests();
    auto const part = [&](Uid of_all) { return static_cast<Uid>(of_all * share); };
    if (share < 1) fmt::print("{} of the messages: the test server is slow, not the engine\n", share);
    Uid const all = part(700), flagged_up_to = part(600), kept_from = part(650) + 1, late = part(40);
    auto const box = make_mailbox();
    append_many(box.id, all);
    for (Uid uid = 1; uid <= flagged_up_to; ++uid)
        ASSERT_TRUE(mail().change_flags(box.id, {{uid, uid}}, {FlagMode::add, {seen, {"Kw"}}, {}}));
    drain();
    ASSERT_TRUE(mail().expunge(box.id, {{2, kept_from - 1}}, false));
    append_many(box.id, late);
    drain();
    auto const before = snapshot(box.id);
    backend->reopen();
    auto const after = snapshot(box.id);
    EXPECT_EQ(uids(*after), uids(*before));
    EXPECT_EQ(after->size(), 1 + (all - kept_from + 1) + late);
    EXPECT_EQ(after->highest_modseq, before->highest_modseq);
    EXPECT_EQ(flags_of(box.id, 1), (Flags{seen, {"Kw"}}));
    EXPECT_TRUE(mail().vanished_since(box.id, 1)->contains(part(300)));
    EXPECT_EQ(append(box.id, message("next"))->uid, all + late + 1);
    expect_invariants();
}

}  // namespace
}  // namespace mallard::store::conformance
