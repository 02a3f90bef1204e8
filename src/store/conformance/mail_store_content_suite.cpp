#include <fmt/format.h>

#include <random>

#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {
namespace {

std::vector<Row const*> rows_of(MailboxIndex const& index) {
    std::vector<Row const*> rows;
    for (std::uint32_t n = 0; n < index.size(); ++n) rows.push_back(&index.row(n));
    return rows;
}

TEST_P(MailStoreSuite, GivesBackTheBytesThatCame) {
    auto const box = make_mailbox();
    std::vector<std::string> const sources = {
        "",
        "\r\n",
        "no header end",
        "Subject: x\n\nbare LF\nlines",
        "Subject: no final newline\r\n\r\nend",
        std::string("Subject: NUL\r\n\r\na\0b\rc\n\r\n", 25),
        noise(100, 1),
        noise(300'000, 2),
        with_attachment(9'000, 3),
        with_attachment(300'000, 4),
        with_attachment(262'144, 5),
        message(std::string(600'000, 'x')),
        "Content-Type: application/pdf\r\n\r\n" + noise(50'000, 6),
        std::string(262'144, 'a'),
        std::string(262'145, 'b'),
    };
    for (std::size_t i = 0; i < sources.size(); ++i) {
        auto const appended = append(box.id, sources[i]);
        ASSERT_TRUE(appended) << i << ": " << appended.error().message;
        EXPECT_EQ(appended->size, sources[i].size());
        EXPECT_EQ(body_of(box.id, appended->uid), sources[i]) << i;
    }
    backend->reopen();
    auto const index = snapshot(box.id);
    auto const rows = rows_of(*index);
    std::size_t next = 0;
    auto const read = mail().bodies(box.id, rows, [&](std::size_t i, std::optional<std::string_view> bytes) {
        EXPECT_EQ(i, next++);
        if (sources[i].size() <= MailStore::body_batch_max) {
            EXPECT_TRUE(bytes && *bytes == sources[i]) << i;
        } else {
            EXPECT_FALSE(bytes) << i;
            EXPECT_EQ(body_of(box.id, rows[i]->uid), sources[i]) << i;
        }
    });
    EXPECT_TRUE(read);
    EXPECT_EQ(next, sources.size());
    expect_invariants();
}

TEST_P(MailStoreSuite, GivesBackRandomTreesOfParts) {
    auto const box = make_mailbox();
    std::mt19937 random(7);
    std::vector<std::string> sources;
    for (unsigned i = 0; i < 40; ++i) {
        std::string source = "Content-Type: multipart/mixed; boundary=b0\r\n\r\npreamble\r\n";
        for (unsigned part = random() % 6; part > 0; --part) {
            source += "--b0\r\n";
            auto const size = random() % 3 == 0 ? random() % 60'000 : random() % 500;
            switch (random() % 4) {
                case 0: source += "\r\n" + std::string(size, 't'); break;
                case 1: source += "Content-Type: image/png\r\n\r\n" + noise(size, random() % 5); break;
                case 2: source += "Content-Type: message/rfc822\r\n\r\n" + with_attachment(size, random() % 3); break;
                default: source += with_attachment(size, random() % 3); break;
            }
            source += "\r\n";
        }
        if (random() % 2) source += "--b0--\r\nepilogue";
        ASSERT_TRUE(append(box.id, source));
        sources.push_back(std::move(source));
    }
    for (std::size_t i = 0; i < sources.size(); ++i)
        EXPECT_EQ(body_of(box.id, static_cast<Uid>(i + 1)), sources[i]) << i;
    expect_invariants();
    ASSERT_TRUE(mail().expunge(box.id, {{1, 20}}, false));
    expect_invariants();
    for (std::size_t i = 20; i < sources.size(); ++i)
        EXPECT_EQ(body_of(box.id, static_cast<Uid>(i + 1)), sources[i]) << i;
}

TEST_P(MailStoreSuite, ReadsAnyRangeOfAMessage) {
    auto const box = make_mailbox();
    auto const source = with_attachment(600'000, 9);
    ASSERT_TRUE(append(box.id, source));
    auto const index = snapshot(box.id);
    auto const reader = mail().body(box.id, index->row(0));
    ASSERT_TRUE(reader);
    EXPECT_EQ((*reader)->size(), source.size());
    std::mt19937 random(3);
    for (int i = 0; i < 200; ++i) {
        std::uint64_t const offset = random() % (source.size() + 100);
        std::uint64_t const length = random() % 2 ? random() % 400'000 : random() % 50;
        std::string out = "before";
        ASSERT_TRUE((*reader)->read(offset, length, out));
        EXPECT_EQ(out, "before" + (offset < source.size() ? source.substr(offset, length) : "")) << offset;
    }
    std::string out;
    ASSERT_TRUE((*reader)->read(source.size() - 3, UINT64_MAX, out));
    EXPECT_EQ(out, source.substr(source.size() - 3));
}

TEST_P(MailStoreSuite, GivesBackTheFieldsOfRecordsThatAreWanted) {
    auto const box = make_mailbox();
    append_many(box.id, 300);
    auto const index = snapshot(box.id);
    auto const rows = rows_of(*index);
    std::size_t next = 0;
    ASSERT_TRUE(mail().records(box.id, rows, want_all, [&](std::size_t i, MessageRecord const& record) {
        EXPECT_EQ(i, next++);
        EXPECT_EQ(record.envelope, "(envelope)");
        EXPECT_EQ(record.body, "(body)");
        EXPECT_EQ(record.body_structure, "(structure)");
        EXPECT_EQ(record.parts, std::string("parts\0x", 7));
        EXPECT_EQ(record.headers, "headers");
        EXPECT_EQ(record.info, "info");
        EXPECT_EQ(record.meta, "meta");
        EXPECT_EQ(record.header_date, -5'000);
        EXPECT_FALSE(record.thread.is_nil());
    }));
    EXPECT_EQ(next, 300u);
    std::vector<Row const*> const some = {rows[200], rows[3], rows[3], rows[299]};
    std::vector<std::size_t> visited;
    ASSERT_TRUE(mail().records(box.id, some, want_envelope, [&](std::size_t i, MessageRecord const& record) {
        visited.push_back(i);
        EXPECT_EQ(record.envelope, "(envelope)");
    }));
    EXPECT_EQ(visited, (std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST_P(MailStoreSuite, LeavesOutRecordsAndBodiesOfFreedMessages) {
    auto const box = make_mailbox();
    append_many(box.id, 20);
    auto const index = snapshot(box.id);
    auto const rows = rows_of(*index);
    ASSERT_TRUE(mail().expunge(box.id, {{3, 5}}, false));
    drain();
    std::vector<std::size_t> with_record;
    ASSERT_TRUE(
        mail().records(box.id, rows, want_all, [&](std::size_t i, MessageRecord const&) { with_record.push_back(i); }));
    EXPECT_EQ(with_record.size(), 17u);
    std::vector<std::size_t> with_body;
    std::size_t visits = 0;
    ASSERT_TRUE(mail().bodies(box.id, rows, [&](std::size_t i, std::optional<std::string_view> bytes) {
        EXPECT_EQ(i, visits++);
        if (bytes) with_body.push_back(i);
    }));
    EXPECT_EQ(visits, 20u);
    EXPECT_EQ(with_body, with_record);
    auto const gone = mail().body(box.id, *rows[3]);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().kind, ErrorKind::not_found);
}

TEST_P(MailStoreSuite, SharesTheRecordAmongCopies) {
    auto const box = make_mailbox();
    ASSERT_TRUE(append(box.id, message("x")));
    auto const other = make_mailbox("Other");
    ASSERT_TRUE(mail().copy(box.id, all(), other.id));
    auto thread_of = [&](MailboxId id) {
        auto const index = snapshot(id);
        ThreadId thread;
        EXPECT_TRUE(mail().records(id, rows_of(*index), want_envelope,
                                   [&](std::size_t, MessageRecord const& record) { thread = record.thread; }));
        return thread;
    };
    EXPECT_EQ(thread_of(box.id), thread_of(other.id));
}

TEST_P(MailStoreSuite, KeepsAnAttachmentAsLongAsAMessageHasIt) {
    auto const one = make_mailbox("One");
    auto const two = make_mailbox(UserId::generate(), "Two");
    auto const first = with_attachment(100'000, 11, "first"), second = with_attachment(100'000, 11, "second");
    ASSERT_TRUE(append(one.id, first));
    ASSERT_TRUE(append(two.id, second));
    ASSERT_TRUE(mail().delete_mailbox(one.id));
    expect_invariants();
    EXPECT_EQ(body_of(two.id, 1), second);
    ASSERT_TRUE(mail().expunge(two.id, all(), false));
    expect_invariants();
    ASSERT_TRUE(append(two.id, first));
    EXPECT_EQ(body_of(two.id, 2), first);
    expect_invariants();
}

TEST_P(MailStoreSuite, JoinsMessagesOfOneConversation) {
    auto const box = make_mailbox();
    auto const other = make_mailbox(UserId::generate(), "INBOX");
    auto const source = message("x");
    auto join = [&](MailboxId mailbox, std::vector<std::string> refs, std::string subject) {
        auto message = as_new(source);
        message.thread_refs = std::move(refs);
        message.thread_subject = std::move(subject);
        auto const appended = mail().append(mailbox, std::move(message));
        EXPECT_TRUE(appended);
        auto const index = snapshot(mailbox);
        std::vector<Row const*> const rows = {&index->row(index->size() - 1)};
        ThreadId thread;
        EXPECT_TRUE(mail().records(mailbox, rows, want_envelope,
                                   [&](std::size_t, MessageRecord const& record) { thread = record.thread; }));
        return thread;
    };
    auto const first = join(box.id, {"a"}, "Plans");
    EXPECT_EQ(join(box.id, {"b", "a"}, "Plans"), first);
    backend->reopen();
    EXPECT_EQ(join(box.id, {"c", "b"}, "Plans"), first);
    EXPECT_NE(join(box.id, {"a"}, "Other plans"), first);
    EXPECT_NE(join(box.id, {"z"}, "Plans"), first);
    EXPECT_NE(join(box.id, {}, "Plans"), first);
    EXPECT_NE(join(other.id, {"a"}, "Plans"), first);
}

TEST_P(MailStoreSuite, ReportsWhatItChecked) {
    auto const box = make_mailbox();
    append_many(box.id, 3);
    ASSERT_TRUE(mail().copy(box.id, all(), make_mailbox("Other").id));
    std::uint64_t done = 0, total = 0;
    auto const report = mail().check(true, [&](std::uint64_t d, std::uint64_t t) { done = d, total = t; });
    ASSERT_TRUE(report);
    EXPECT_EQ(report->users, 1u);
    EXPECT_EQ(report->mailboxes, 2u);
    EXPECT_EQ(report->messages, 6u);
    EXPECT_EQ(report->problem_count, 0u);
    EXPECT_EQ(report->repaired, 0u);
    EXPECT_EQ(done, total);
    EXPECT_GT(total, 0u);
}

}  // namespace
}  // namespace mallard::store::conformance
