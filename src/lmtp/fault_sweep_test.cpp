// A delivery to several recipients on a disk that fails at every write in turn: what was answered is what is stored.

#include <gtest/gtest.h>

#include "lmtp/session.hpp"
#include "store/embedded/faulty_store.hpp"

namespace mallard::lmtp {
namespace {

std::string const names[] = {"ann", "bob", "cid"};

// The server on a disk that may fail.
struct Machine : store::embedded::FaultyStore {
    Machine(std::shared_ptr<kv::MemoryState> memory, int fail_at, bool once)
        : FaultyStore(std::move(memory), fail_at, once) {
        if (!store) return;
        accounts.emplace(store->documents(), store->state(), store->mail(), store->events(), clock,
                         accounts::AccountsConfig{});
        mailboxes.emplace(store->mail(), *accounts, clock);
        delivery.emplace(*accounts, *mailboxes, clock);
        up = accounts->open().has_value();
    }

    // The messages in a user's INBOX.
    std::vector<std::string> inbox(std::string const& name) {
        std::vector<std::string> messages;
        auto const user = accounts->find_by_username(name).value();
        auto const mailbox = *mailboxes->find(user->id, "INBOX");
        auto const snapshot = *mailboxes->snapshot(mailbox.id);
        for (std::uint32_t n = 0; n < snapshot->size(); ++n) {
            std::string bytes;
            auto reader = *store->mail().body(mailbox.id, snapshot->row(n));
            EXPECT_TRUE(reader->read(0, reader->size(), bytes));
            messages.push_back(std::move(bytes));
        }
        return messages;
    }

    std::optional<accounts::Accounts> accounts;
    std::optional<mailboxes::Mailboxes> mailboxes;
    std::optional<delivery::Delivery> delivery;
    bool up = false;
};

// A message whose attachment all recipients share.
std::string message() {
    std::string text =
        "Subject: shared\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    for (int i = 0; i < 500; ++i) text += std::string(76, static_cast<char>('A' + i % 26)) + "\r\n";
    return text + "--b--\r\n";
}

// The reply of each recipient, whether RCPT or DATA gave it.
std::vector<std::string> deliver(Machine& machine, LmtpConfig const& config) {
    Session session(config, *machine.delivery, {.address = "192.0.2.1"}, false);
    EXPECT_TRUE(session.execute("LHLO mx").reply.starts_with("250"));
    EXPECT_TRUE(session.execute("MAIL FROM:<s@example.org>").reply.starts_with("250"));
    std::vector<std::string> replies;
    for (auto const& name : names) replies.push_back(session.execute("RCPT TO:<" + name + "@example.com>").reply);
    if (session.execute("DATA").next != Next::data) return replies;
    EXPECT_TRUE(session.incoming().spool.append(message()));
    EXPECT_TRUE(session.incoming().spool.finish());
    std::string rest = session.deliver({});
    for (auto& reply : replies) {
        if (!reply.starts_with("250")) continue;
        reply = rest.substr(0, rest.find('\n') + 1);
        rest.erase(0, reply.size());
    }
    EXPECT_EQ(rest, "");
    return replies;
}

class FaultSweep : public testing::TestWithParam<bool> {};

TEST_P(FaultSweep, AnswersEachRecipientWhatIsStored) {
    bool const once = GetParam();
    LmtpConfig config;
    config.name = "mail.example.com";
    int partial = 0;
    for (int fail_at = 1;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        ASSERT_LT(fail_at, 200);
        auto const memory = kv::new_memory_state();
        {
            Machine machine(memory, 0, false);
            for (auto const& name : names)
                ASSERT_TRUE(machine.accounts->create(
                    {.username = name, .no_password = true, .address = name + "@example.com"}));
        }
        std::vector<std::string> replies(std::size(names), "421 not started");
        bool fired = false;
        {
            Machine machine(memory, fail_at, once);
            if (machine.up) replies = deliver(machine, config);
            fired = machine.faulty->fired();
        }
        Machine reopened(memory, 0, false);
        ASSERT_TRUE(reopened.up);
        std::size_t good = 0;
        for (std::size_t i = 0; i < std::size(names); ++i) {
            auto const stored = reopened.inbox(names[i]);
            if (replies[i].starts_with("250")) {
                ++good;
                ASSERT_EQ(stored.size(), 1U) << names[i] << " was told " << replies[i];
                EXPECT_TRUE(stored[0].ends_with("\r\n" + message()));
            } else {
                EXPECT_TRUE(replies[i].starts_with('4')) << replies[i];
                EXPECT_EQ(stored.size(), 0U) << names[i] << " was told " << replies[i];
            }
        }
        partial += good > 0 && good < std::size(names);
        auto const report = reopened.store->mail().check(false, {});
        ASSERT_TRUE(report);
        EXPECT_EQ(report->problems, std::vector<std::string>());
        // The sender tries again, and all have it.
        for (auto const& reply : deliver(reopened, config)) EXPECT_TRUE(reply.starts_with("250")) << reply;
        if (!fired) break;
    }
    EXPECT_GT(partial, 0) << "no write failed between two recipients";
}

INSTANTIATE_TEST_SUITE_P(Disk, FaultSweep, testing::Values(false, true),
                         [](auto const& info) { return info.param ? "FailsOnce" : "IsLost"; });

}  // namespace
}  // namespace mallard::lmtp
