#include "delivery/delivery.hpp"

#include <gtest/gtest.h>

#include "accounts/entities.hpp"
#include "engines/test_engine.hpp"
#include "mime/imap_structure.hpp"
#include "mime/message.hpp"
#include "store/bson.hpp"

namespace mallard::delivery {
namespace {

class DeliveryTest : public testing::Test {
protected:
    DeliveryTest()
        : store_(engines::open_test_engine(clock_)),
          accounts_(store_->documents(), store_->state(), store_->mail(), store_->events(), clock_, {}),
          mailboxes_(store_->mail(), accounts_, clock_),
          delivery_(accounts_, mailboxes_, clock_) {
        EXPECT_TRUE(accounts_.open());
    }

    Recipient recipient(std::string const& address, std::int64_t quota = 0) {
        accounts::NewUser user{.username = address, .no_password = true, .address = address};
        user.limits.quota = quota;
        EXPECT_TRUE(accounts_.create(user));
        auto found = delivery_.recipient(address);
        EXPECT_TRUE(found) << address;
        return found.value_or(Recipient());
    }

    struct Stored {
        std::string bytes;
        store::MessageRecord record;
    };
    Stored stored(Recipient const& recipient) {
        auto const inbox = *mailboxes_.find(recipient.user, "INBOX");
        auto const snapshot = *mailboxes_.snapshot(inbox.id);
        EXPECT_EQ(snapshot->size(), 1U);
        Stored out;
        if (snapshot->size() == 0) return out;
        store::Row const* row = &snapshot->row(0);
        auto reader = store_->mail().body(inbox.id, *row);
        EXPECT_TRUE(reader && (*reader)->read(0, row->size, out.bytes));
        EXPECT_TRUE(store_->mail().records(inbox.id, {&row, 1}, store::want_all,
                                           [&](std::size_t, auto const& record) { out.record = record; }));
        return out;
    }

    Envelope const envelope_{.sender = "s@example.org",
                             .transaction = "t1",
                             .client_name = "mx.example.org",
                             .client_address = "192.0.2.1",
                             .client_host = "[192.0.2.1]",
                             .server_name = "mail.example.com"};
    ManualClock clock_;
    std::unique_ptr<engines::TestEngine> store_;
    accounts::Accounts accounts_;
    mailboxes::Mailboxes mailboxes_;
    Delivery delivery_;
};

std::string const with_attachment =
    "Received: from a.example ([192.0.2.9]) by b.example with ESMTPS id Q77; Mon, 1 Jan 2024 10:00:00 +0000\r\n"
    "Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
    "--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b--\r\n";

TEST_F(DeliveryTest, StoresTheBytesBehindTheTrace) {
    auto const alice = recipient("alice@example.com");
    for (std::string_view message : {std::string_view(with_attachment), std::string_view("x\0y\r\n", 5)}) {
        Recipient const fresh = message.size() == 5 ? recipient("bob@example.com") : alice;
        auto const outcomes = delivery_.deliver(envelope_, {fresh}, message);
        ASSERT_EQ(outcomes.size(), 1U);
        ASSERT_TRUE(outcomes[0].stored) << outcomes[0].stored.error().message;
        auto const [bytes, record] = stored(fresh);
        EXPECT_TRUE(
            bytes.starts_with("Delivered-To: " + fresh.address + "\r\nReturn-Path: <s@example.org>\r\nReceived: "));
        EXPECT_TRUE(bytes.ends_with(message));
    }
}

// The tree is parsed for the first recipient and moved along for the others: nobody may notice.
TEST_F(DeliveryTest, DerivesTheSameForEveryRecipientAsIfParsedAlone) {
    std::vector<Recipient> const recipients{recipient("a@example.com"), recipient("somebody.longer@example.com"),
                                            recipient("b@example.com"), recipient("mid@example.com")};
    for (std::string const& message : {with_attachment, std::string("\r\nno header\r\n"),
                                       std::string(" folded into our own trace\r\n\r\nbody\r\n")}) {
        auto const outcomes = delivery_.deliver(envelope_, recipients, message);
        for (std::size_t i = 0; i < recipients.size(); ++i) {
            ASSERT_TRUE(outcomes[i].stored) << outcomes[i].stored.error().message;
            auto const [bytes, record] = stored(recipients[i]);
            ASSERT_TRUE(bytes.starts_with("Delivered-To: " + recipients[i].address + "\r\n"));
            auto const tree = mime::parse(bytes);
            auto const alone = mailboxes::derive(bytes, tree, {}, 0, "").record;
            EXPECT_EQ(record.envelope, alone.envelope);
            EXPECT_EQ(record.body_structure, alone.body_structure);
            EXPECT_EQ(record.parts, alone.parts) << i;
            EXPECT_EQ(record.headers, alone.headers) << i;
            EXPECT_EQ(record.info, alone.info) << i;
            auto const inbox = *mailboxes_.find(recipients[i].user, "INBOX");
            ASSERT_TRUE(mailboxes_.expunge(inbox.id, {{1, 100}}, false));
        }
    }
}

TEST_F(DeliveryTest, RemembersHowTheMessageCame) {
    auto const alice = recipient("alice@example.com");
    ASSERT_TRUE(delivery_.deliver(envelope_, {alice}, with_attachment)[0].stored);
    auto const meta = bson::Document::decode(stored(alice).record.meta);
    ASSERT_TRUE(meta);
    EXPECT_EQ(meta->text("source"), "MX");
    EXPECT_EQ(meta->text("from"), "s@example.org");
    EXPECT_EQ(meta->text("origin"), "192.0.2.9");
    EXPECT_EQ(meta->text("transtype"), "ESMTPS");
    EXPECT_EQ(meta->text("queueId"), "Q77");
    EXPECT_EQ(meta->text("transhost"), "mx.example.org");
    ASSERT_TRUE(meta->array("to"));
    EXPECT_EQ(*meta->array("to")->front().as<std::string>(), "alice@example.com");
    EXPECT_EQ(meta->date("time"), clock_.now());
}

TEST_F(DeliveryTest, GivesEveryRecipientAnOutcomeOfItsOwn) {
    auto const small = recipient("small@example.com", 300);
    auto const large = recipient("large@example.com");
    auto again = large;
    again.address = "other.name@example.com";
    auto const outcomes = delivery_.deliver(envelope_, {small, large, again}, std::string(1000, 'x') + "\r\n");
    ASSERT_EQ(outcomes.size(), 3U);
    ASSERT_FALSE(outcomes[0].stored);
    EXPECT_EQ(outcomes[0].stored.error().kind, ErrorKind::over_quota);
    ASSERT_TRUE(outcomes[1].stored);
    ASSERT_TRUE(outcomes[2].stored);
    EXPECT_TRUE(outcomes[2].duplicate);
    EXPECT_EQ(outcomes[2].stored->id, outcomes[1].stored->id);
    stored(large);  // one copy
}

TEST_F(DeliveryTest, TakesAHundredReceivedFieldsAndNoMore) {
    auto const alice = recipient("alice@example.com");
    std::string hops;
    for (int i = 0; i < 100; ++i) hops += "Received: from a by b; x\r\n";
    EXPECT_TRUE(delivery_.deliver(envelope_, {alice}, hops + "\r\n")[0].stored);
    auto const refused = delivery_.deliver(envelope_, {alice}, hops + "Received: x\r\n\r\n");
    EXPECT_TRUE(refused[0].loop);
    EXPECT_FALSE(refused[0].stored);
}

TEST_F(DeliveryTest, DeliversFromAMappedSpool) {
    std::vector<Recipient> const recipients{recipient("a@example.com"), recipient("longer.name@example.com")};
    Incoming incoming = delivery_.begin(envelope_, recipients);
    std::string const line(998, 'z');
    std::string message = "Subject: large\r\n\r\n";
    while (message.size() < 3'000'000) message += line + "\r\n";
    ASSERT_TRUE(incoming.spool.append(message));
    ASSERT_TRUE(incoming.spool.finish());
    ASSERT_TRUE(incoming.spool.on_disk());
    auto const outcomes = delivery_.deliver(envelope_, recipients, incoming);
    for (std::size_t i = 0; i < recipients.size(); ++i) {
        ASSERT_TRUE(outcomes[i].stored) << outcomes[i].stored.error().message;
        auto const bytes = stored(recipients[i]).bytes;
        EXPECT_TRUE(bytes.starts_with("Delivered-To: " + recipients[i].address + "\r\n"));
        EXPECT_TRUE(bytes.ends_with(message));
    }
}

// From RCPT to the answer after DATA, to one user: how a cluster is bounded (docs/performance.md).
TEST_F(DeliveryTest, TakesSixRoundTripsToADatabaseAtMost) {
    recipient("alice@example.com");
    std::uint64_t const most = store_->joins() ? 6 : 7;
    for (int i = 0; i < 3; ++i) {  // the first time the mailbox is a stranger, too
        auto const before = store_->round_trips();
        auto const alice = delivery_.recipient("alice@example.com", 100);
        ASSERT_TRUE(alice);
        auto const message =
            "Message-ID: <" + std::to_string(i) + "@x>\r\nReferences: <r@x>\r\nSubject: s\r\n\r\nx\r\n";
        ASSERT_TRUE(delivery_.deliver(envelope_, {*alice}, message)[0].stored);
        EXPECT_LE(store_->round_trips() - before, most);
        EXPECT_EQ(store_->round_trips() > before, engines::on_cluster());
    }
}

// Another process, which tells nobody.
TEST_F(DeliveryTest, GivesNothingToWhomAnotherProcessDisabledOrTookTheAddressFrom) {
    if (!store_->documents().changes_elsewhere()) GTEST_SKIP() << "one process has all the data";
    auto const alice = recipient("alice@example.com"), bob = recipient("bob@example.com", 1000);
    recipient("eve@example.com");
    auto& documents = store_->documents();
    auto const& users = accounts::users_collection();
    ASSERT_TRUE(documents.update(users, alice.user, {.set = {{"disabled", true}}}));
    EXPECT_EQ(delivery_.recipient("alice@example.com").error().kind, ErrorKind::denied);
    ASSERT_TRUE(documents.update(users, alice.user, {.set = {{"disabled", false}}}));
    EXPECT_TRUE(delivery_.recipient("alice@example.com"));
    ASSERT_TRUE(documents.erase(users, alice.user));
    EXPECT_EQ(delivery_.recipient("alice@example.com").error().kind, ErrorKind::not_found);
    ASSERT_TRUE(documents.update(users, bob.user, {.set = {{"quota", 10}}}));
    EXPECT_EQ(delivery_.recipient("bob@example.com", 100).error().kind, ErrorKind::over_quota);
    auto const& addresses = accounts::addresses_collection();
    auto const row = documents.find_one(addresses, {.index = "address_dotless", .equals = {"eve@example.com"}});
    ASSERT_TRUE(row && *row);
    ASSERT_TRUE(documents.erase(addresses, *(*row)->id("_id")));
    EXPECT_EQ(delivery_.recipient("eve@example.com").error().kind, ErrorKind::not_found);
}

TEST_F(DeliveryTest, RefusesRecipientsBeforeAnyData) {
    recipient("alice@example.com", 100);
    EXPECT_EQ(delivery_.recipient("nobody@example.com").error().kind, ErrorKind::not_found);
    EXPECT_EQ(delivery_.recipient("*@example.com").error().kind, ErrorKind::not_found);
    EXPECT_EQ(delivery_.recipient("alice@example.com", 101).error().kind, ErrorKind::over_quota);
    EXPECT_TRUE(delivery_.recipient("alice@example.com", 100));
}

}  // namespace
}  // namespace mallard::delivery
