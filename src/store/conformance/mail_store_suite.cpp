#include "store/conformance/mail_store_suite.hpp"

#include <fmt/format.h>

#include <random>

#include "base/encoding.hpp"

namespace mallard::store::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MailStoreSuite);

std::string noise(std::size_t octets, unsigned seed) {
    std::mt19937_64 random(seed);
    std::string out(octets, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
}

std::string with_attachment(std::size_t octets, unsigned seed, std::string_view text) {
    std::string out = fmt::format(
        "From: Ann <ann@example.com>\r\nSubject: File\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=B1\r\n\r\n--B1\r\nContent-Type: text/plain\r\n\r\n{}\r\n"
        "--B1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename=a.bin\r\n\r\n",
        text);
    std::string const encoded = base64_encode(noise(octets * 3 / 4, seed));
    for (std::size_t at = 0; at < encoded.size(); at += 76) {
        out.append(encoded, at, 76);
        out.append("\r\n");
    }
    return out + "--B1--\r\n";
}

MailboxInfo MailStoreSuite::make_mailbox(std::string path) { return make_mailbox(user, std::move(path)); }

MailboxInfo MailStoreSuite::make_mailbox(UserId owner, std::string path) {
    MailboxInfo info;
    info.user = owner;
    info.path = std::move(path);
    auto created = mail().create_mailbox(info);
    EXPECT_TRUE(created) << created.error().message;
    return created ? *created : info;
}

std::string MailStoreSuite::message(std::string_view text) {
    return fmt::format("From: Ann <ann@example.com>\r\nSubject: {}\r\n\r\n{}\r\n", text, text);
}

NewMessage MailStoreSuite::as_new(std::string_view source, mime::Entity const* tree) {
    NewMessage message;
    message.source = source;
    message.tree = tree;
    message.internal_date = 1'700'000'000'123;
    message.record.envelope = "(envelope)";
    message.record.body = "(body)";
    message.record.body_structure = "(structure)";
    message.record.parts = std::string("parts\0x", 7);
    message.record.headers = "headers";
    message.record.info = "info";
    message.record.meta = "meta";
    message.record.header_date = -5'000;
    return message;
}

Result<Appended> MailStoreSuite::append(MailboxId mailbox, std::string_view source, Flags flags) {
    auto const tree = mime::parse(source);
    auto message = as_new(source, &tree);
    message.flags = std::move(flags);
    return mail().append(mailbox, std::move(message));
}

std::vector<Appended> MailStoreSuite::append_many(MailboxId mailbox, std::size_t count) {
    std::vector<Appended> appended;
    for (std::size_t i = 0; i < count; ++i) {
        auto one = append(mailbox, message(fmt::format("message {}", i)));
        EXPECT_TRUE(one) << one.error().message;
        if (one) appended.push_back(*one);
    }
    return appended;
}

Snapshot MailStoreSuite::snapshot(MailboxId mailbox) {
    auto snapshot = mail().snapshot(mailbox);
    EXPECT_TRUE(snapshot) << snapshot.error().message;
    return snapshot ? *snapshot : std::make_shared<MailboxIndex>();
}

std::vector<Uid> MailStoreSuite::uids(MailboxIndex const& index) {
    std::vector<Uid> uids;
    for (std::uint32_t n = 0; n < index.size(); ++n) uids.push_back(index.row(n).uid);
    return uids;
}

std::string MailStoreSuite::body_of(MailboxId mailbox, Uid uid) {
    auto const index = snapshot(mailbox);
    auto const n = index->find(uid);
    if (!n) return "no such uid";
    auto const reader = mail().body(mailbox, index->row(*n));
    if (!reader) return "error: " + reader.error().message;
    std::string out;
    for (std::uint64_t at = 0, step = 1; at < (*reader)->size(); at += step, step = step * 3 + 1) {
        auto const read = (*reader)->read(at, step, out);
        if (!read) return "error: " + read.error().message;
    }
    return out;
}

Flags MailStoreSuite::flags_of(MailboxId mailbox, Uid uid) {
    auto const index = snapshot(mailbox);
    auto const n = index->find(uid);
    EXPECT_TRUE(n) << "no UID " << uid;
    return n ? index->flags(index->row(*n)) : Flags{};
}

void MailStoreSuite::drain() {
    for (int i = 0; i < 10'000; ++i) {
        auto const more = mail().sweep();
        ASSERT_TRUE(more) << more.error().message << " " << more.error().context;
        if (!*more) return;
    }
    FAIL() << "the sweep never ends";
}

void MailStoreSuite::expect_invariants() {
    for (char const* when : {"before the sweep", "after the sweep"}) {
        auto const report = mail().check(false, {});
        ASSERT_TRUE(report) << report.error().message;
        EXPECT_EQ(report->problem_count, 0u) << when;
        for (auto const& problem : report->problems) ADD_FAILURE() << when << ": " << problem;
        drain();
    }
}

}  // namespace mallard::store::conformance
