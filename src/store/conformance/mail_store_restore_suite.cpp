// Restoring: what every engine takes over from another, to the last number.

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {

namespace {

// Messages to restore, with what they point at.
class Restored {
public:
    RestoredMessage& add(Uid uid, ModSeq modseq, std::string source, Flags flags = {}) {
        auto const& text = sources_.emplace_back(std::move(source));
        auto const& tree = trees_.emplace_back(mime::parse(text));
        auto& one = messages.emplace_back();
        one.id = MessageId::generate();
        one.uid = uid;
        one.modseq = modseq;
        one.message.source = text;
        one.message.tree = &tree;
        one.message.flags = std::move(flags);
        one.message.internal_date = 1'700'000'000'123 + uid * 1000;
        one.message.record.envelope = fmt::format("(envelope {})", uid);
        one.message.record.body = "(body)";
        one.message.record.body_structure = "(structure)";
        one.message.record.parts = std::string("parts\0x", 7);
        one.message.record.headers = "headers";
        one.message.record.info = "info";
        one.message.record.meta = "meta";
        one.message.record.thread = ThreadId::generate();
        one.message.record.header_date = -5'000;
        return one;
    }
    std::string const& source(std::size_t n) const { return sources_[n]; }
    std::vector<RestoredMessage> messages;

private:
    std::deque<std::string> sources_;
    std::deque<mime::Entity> trees_;
};

std::vector<ModSeq> modseqs(MailboxIndex const& index) {
    std::vector<ModSeq> out;
    for (std::uint32_t n = 0; n < index.size(); ++n) out.push_back(index.row(n).modseq);
    return out;
}

TEST_P(MailStoreSuite, RestoresMessagesExactly) {
    MailboxInfo wanted;
    wanted.id = MailboxId::generate();
    wanted.user = user;
    wanted.path = "INBOX/Ümläut";
    wanted.uid_validity = 1'234'567;
    auto const box = mail().create_mailbox(wanted);
    ASSERT_TRUE(box) << box.error().message;
    EXPECT_EQ(box->id, wanted.id);
    EXPECT_EQ(box->uid_validity, 1'234'567u);

    Restored restored;
    restored.add(3, 900, message("three"), {.system = seen, .keywords = {"$Forwarded"}});
    restored.add(7, 12, with_attachment(40'000, 1), {.system = flagged, .keywords = {}});
    restored.add(9, 901, with_attachment(40'000, 1), {.system = 0, .keywords = {"NonJunk", "$Forwarded"}});
    ASSERT_TRUE(mail().restore_messages(wanted.id, restored.messages));
    ASSERT_TRUE(mail().restore_marks(wanted.id, 20, 1'000));
    for (int round = 0; round < 2; ++round) {
        auto const index = snapshot(wanted.id);
        EXPECT_EQ(uids(*index), (std::vector<Uid>{3, 7, 9}));
        EXPECT_EQ(modseqs(*index), (std::vector<ModSeq>{900, 12, 901}));
        EXPECT_EQ(index->uid_next, 20u);
        EXPECT_EQ(index->highest_modseq, 1'000u);
        EXPECT_EQ(flags_of(wanted.id, 3), restored.messages[0].message.flags);
        EXPECT_EQ(flags_of(wanted.id, 7), restored.messages[1].message.flags);
        auto both = flags_of(wanted.id, 9);
        std::ranges::sort(both.keywords);
        EXPECT_EQ(both.keywords, (std::vector<std::string>{"$Forwarded", "NonJunk"}));
        std::vector<Row const*> rows;
        for (std::uint32_t n = 0; n < index->size(); ++n) {
            Row const& row = index->row(n);
            rows.push_back(&row);
            EXPECT_EQ(row.id, restored.messages[n].id);
            EXPECT_EQ(row.internal_date, restored.messages[n].message.internal_date / 1000 * 1000);
            EXPECT_EQ(body_of(wanted.id, row.uid), restored.source(n));
        }
        std::size_t visited = 0;
        ASSERT_TRUE(mail().records(wanted.id, rows, want_all, [&](std::size_t n, MessageRecord const& record) {
            ++visited;
            auto const& original = restored.messages[n].message.record;
            EXPECT_EQ(record.envelope, original.envelope);
            EXPECT_EQ(record.info, original.info);
            EXPECT_EQ(record.meta, original.meta);
            EXPECT_EQ(record.thread, original.thread);
            EXPECT_EQ(record.header_date, original.header_date);
        }));
        EXPECT_EQ(visited, 3u);
        backend->reopen();
    }
    expect_invariants();
}

TEST_P(MailStoreSuite, GoesOnFromTheRestoredMarks) {
    auto const box = make_mailbox();
    Restored restored;
    restored.add(5, 70, message("old"));
    ASSERT_TRUE(mail().restore_messages(box.id, restored.messages));
    ASSERT_TRUE(mail().restore_marks(box.id, 40, 99));
    auto const next = append(box.id, message("new"));
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_EQ(next->uid, 40u);
    EXPECT_EQ(next->modseq, 100u);
    ASSERT_TRUE(mail().restore_marks(box.id, 2, 3));  // never lowered
    EXPECT_EQ(snapshot(box.id)->uid_next, 41u);
    EXPECT_EQ(snapshot(box.id)->highest_modseq, 100u);
    auto const flagged_now = mail().change_flags(box.id, {{5, 5}}, {.flags = {.system = flagged, .keywords = {}}});
    ASSERT_TRUE(flagged_now);
    EXPECT_EQ(flagged_now->modseq, 101u);
    backend->reopen();
    EXPECT_EQ(uids(*snapshot(box.id)), (std::vector<Uid>{5, 40}));
    EXPECT_EQ(modseqs(*snapshot(box.id)), (std::vector<ModSeq>{101, 100}));
    expect_invariants();
}

TEST_P(MailStoreSuite, RestoresInAnyOrderAndMoreThanOnce) {
    auto const box = make_mailbox();
    Restored odd, even;
    for (Uid uid = 1; uid <= 1'201; uid += 2) odd.add(uid, 5'000 - uid, message(fmt::format("odd {}", uid)));
    for (Uid uid = 500; uid <= 520; uid += 2) even.add(uid, 10, message(fmt::format("even {}", uid)));
    std::ranges::reverse(odd.messages);
    ASSERT_TRUE(mail().restore_messages(box.id, odd.messages));
    ASSERT_TRUE(mail().restore_messages(box.id, even.messages));
    ASSERT_TRUE(mail().restore_messages(box.id, odd.messages));
    ASSERT_TRUE(mail().restore_messages(box.id, even.messages));
    auto const index = snapshot(box.id);
    EXPECT_EQ(index->size(), 601u + 11u);
    EXPECT_TRUE(std::ranges::is_sorted(uids(*index)));
    auto const used = mail().storage_used(user);
    backend->reopen();
    EXPECT_EQ(uids(*snapshot(box.id)), uids(*index));
    EXPECT_EQ(modseqs(*snapshot(box.id)), modseqs(*index));
    EXPECT_EQ(body_of(box.id, 510), message("even 510"));
    ASSERT_TRUE(mail().recount_storage(user));
    EXPECT_EQ(*mail().storage_used(user), *used);
    expect_invariants();
}

TEST_P(MailStoreSuite, RestoresChangesOfFlagsAndWhatVanished) {
    auto const box = make_mailbox();
    Restored restored;
    for (Uid uid = 1; uid <= 6; ++uid) restored.add(uid, uid + 1, with_attachment(20'000, uid % 2));
    ASSERT_TRUE(mail().restore_messages(box.id, restored.messages));
    ASSERT_TRUE(mail().restore_marks(box.id, 7, 10));
    std::vector<RestoredFlags> const flags = {{2, 20, {.system = seen | deleted, .keywords = {}}},
                                              {3, 20, {.system = seen | deleted, .keywords = {}}},
                                              {6, 15, {.system = answered, .keywords = {"Work"}}},
                                              {77, 19, {}}};
    ASSERT_TRUE(mail().restore_changes(box.id, flags, {{4, 5}, {70, 80}}));
    ASSERT_TRUE(mail().restore_changes(box.id, flags, {{4, 5}, {70, 80}}));
    ASSERT_TRUE(mail().restore_marks(box.id, 9, 30));
    for (int round = 0; round < 2; ++round) {
        auto const index = snapshot(box.id);
        EXPECT_EQ(uids(*index), (std::vector<Uid>{1, 2, 3, 6}));
        EXPECT_EQ(modseqs(*index), (std::vector<ModSeq>{2, 20, 20, 15}));
        EXPECT_EQ(index->highest_modseq, 30u);
        EXPECT_EQ(index->counts().deleted, 2u);
        EXPECT_EQ(index->counts().unseen, 2u);
        EXPECT_EQ(flags_of(box.id, 6).keywords, std::vector<std::string>{"Work"});
        auto const gone = mail().vanished_since(box.id, 12);
        ASSERT_TRUE(gone);
        EXPECT_EQ(*gone, (UidSet{{4, 5}, {7, 8}}));
        EXPECT_TRUE(mail().vanished_since(box.id, 30)->empty());
        backend->reopen();
    }
    expect_invariants();
}

TEST_P(MailStoreSuite, LeadsAnswersToARestoredThread) {
    auto const box = make_mailbox();
    Restored restored;
    auto& first = restored.add(1, 2, message("question"));
    first.message.internal_date = backend->clock().now();
    first.message.thread_refs = {"<a@x>", "<b@x>"};
    first.message.thread_subject = "question";
    ThreadId const thread = first.message.record.thread;
    ASSERT_TRUE(mail().restore_messages(box.id, restored.messages));
    auto const text = message("answer");
    auto answer = as_new(text);
    answer.thread_refs = {"<c@x>", "<b@x>"};
    answer.thread_subject = "question";
    auto const appended = mail().append(box.id, answer);
    ASSERT_TRUE(appended) << appended.error().message;
    auto const index = snapshot(box.id);
    Row const* row = &index->row(*index->find(appended->uid));
    ASSERT_TRUE(mail().records(box.id, {&row, 1}, want_all,
                               [&](std::size_t, MessageRecord const& record) { EXPECT_EQ(record.thread, thread); }));
}

TEST_P(MailStoreSuite, RestoredMessagesAreRetainedFromWhenTheyCameIn) {
    auto const box = make_mailbox();
    constexpr std::int64_t retention_ms = 3'600'000;
    ASSERT_TRUE(mail().update_mailbox(box.id, {.retention_ms = retention_ms}));
    Restored restored;
    auto const& one = restored.add(1, 2, message("one"));
    backend->clock().advance(1'000'000);
    ASSERT_TRUE(mail().restore_messages(box.id, restored.messages));
    auto const expires = mail().expiry(box.id, snapshot(box.id)->row(0));
    ASSERT_TRUE(expires && *expires) << expires.error().message;
    EXPECT_EQ(**expires, one.id.seconds() * 1000 + retention_ms);
    EXPECT_TRUE(mail().patches(box.id)->empty());
}

TEST_P(MailStoreSuite, RestoresNothingIntoAMailboxThatIsNotThere) {
    Restored restored;
    restored.add(1, 2, message("lost"));
    EXPECT_EQ(mail().restore_messages(MailboxId::generate(), restored.messages).error().kind, ErrorKind::not_found);
    EXPECT_EQ(mail().restore_marks(MailboxId::generate(), 1, 1).error().kind, ErrorKind::not_found);
}

}  // namespace

}  // namespace mallard::store::conformance
