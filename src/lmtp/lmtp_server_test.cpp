// The edge of LMTP over real sockets: lines, data, pipelining, TLS, time. What is said is tested by transcripts.
#include "lmtp/lmtp_server.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "engines/test_engine.hpp"
#include "net/connection.hpp"
#include "net/testing/client.hpp"
#include "net/workers.hpp"

namespace mallard::lmtp {
namespace {

using net::testing::Client;
using namespace std::chrono_literals;

class LmtpServerTest : public testing::Test {
protected:
    LmtpServerTest()
        : store_(engines::open_test_engine(clock_)),
          accounts_(store_->documents(), store_->state(), store_->mail(), store_->events(), clock_, {}),
          mailboxes_(store_->mail(), accounts_, clock_),
          delivery_(accounts_, mailboxes_, clock_) {
        static_cast<void>(log_start({.level = LogLevel::off}));
        EXPECT_TRUE(accounts_.open());
        auto const made = accounts_.create({.username = "alice", .no_password = true, .address = "alice@example.com"});
        EXPECT_TRUE(made);
        user_ = made->id;
        config_.name = "mail.example.com";
    }

    Client start() {
        EXPECT_TRUE(server_.listen({.service = "lmtp"}, make_lmtp_handler(config_, delivery_, server_)));
        server_.start();
        Client client(server_.port_of("lmtp", false));
        EXPECT_EQ(client.read_line(), "220 mail.example.com LMTP Mallard\r\n");
        return client;
    }
    static void skip_lhlo(Client& client) {
        while (client.read_line().starts_with("250-")) {}
    }
    static void begin(Client& client) {
        client.send("LHLO mx\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n");
        skip_lhlo(client);
        EXPECT_EQ(client.read_line(), "250 2.1.0 Accepted\r\n");
        EXPECT_EQ(client.read_line(), "250 2.1.5 Accepted\r\n");
        EXPECT_TRUE(client.read_line().starts_with("354 "));
    }
    std::vector<std::string> inbox() {
        auto const mailbox = *mailboxes_.find(user_, "INBOX");
        auto const snapshot = *mailboxes_.snapshot(mailbox.id);
        std::vector<std::string> messages;
        for (std::uint32_t n = 0; n < snapshot->size(); ++n) {
            auto reader = *store_->mail().body(mailbox.id, snapshot->row(n));
            std::string bytes;
            EXPECT_TRUE(reader->read(0, reader->size(), bytes));
            messages.push_back(std::move(bytes));
        }
        return messages;
    }

    ManualClock clock_;
    std::unique_ptr<engines::TestEngine> store_;
    accounts::Accounts accounts_;
    mailboxes::Mailboxes mailboxes_;
    delivery::Delivery delivery_;
    UserId user_;
    LmtpConfig config_;
    net::Workers workers_{4, 1};
    net::Server server_{1, workers_};
};

TEST_F(LmtpServerTest, DeliversManyTransactionsInOneWrite) {
    Client client = start();
    std::string all = "LHLO mx\r\n";
    for (int i = 0; i < 20; ++i)
        all += "MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\nSubject: " + std::to_string(i) +
               "\r\n\r\nbody\r\n.\r\n";
    client.send(all + "QUIT\r\n");
    skip_lhlo(client);
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(client.read_line(), "250 2.1.0 Accepted\r\n");
        EXPECT_EQ(client.read_line(), "250 2.1.5 Accepted\r\n");
        EXPECT_TRUE(client.read_line().starts_with("354 "));
        EXPECT_TRUE(client.read_line().starts_with("250 2.0.0 Message stored as "));
    }
    EXPECT_EQ(client.read_to_end(), "221 2.0.0 Bye\r\n");
    auto const messages = inbox();
    ASSERT_EQ(messages.size(), 20U);
    EXPECT_TRUE(messages[7].ends_with("Subject: 7\r\n\r\nbody\r\n"));
}

TEST_F(LmtpServerTest, TakesWhatComesByteByByte) {
    Client client = start();
    std::string const all =
        "LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\nx\r\n..\r\n.\r\nQUIT\r\n";
    for (char c : all) client.send({&c, 1});
    EXPECT_TRUE(client.read_to_end().ends_with("221 2.0.0 Bye\r\n"));
    ASSERT_EQ(inbox().size(), 1U);
    EXPECT_TRUE(inbox()[0].ends_with("\r\nx\r\n.\r\n"));
}

// The table of SMTP smuggling: none of these ends DATA; all is one message.
TEST_F(LmtpServerTest, EndsDataAtNothingButItsEnd) {
    Client client = start();
    for (std::string_view trick : std::initializer_list<std::string_view>{
             "\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\r\n.\r\r\n",
             std::string_view("\r\n\0.\r\n", 6), "\r\n. \r\n", "\r\n.\r \n"}) {
        begin(client);
        std::string const smuggled = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\nevil";
        client.send("x" + std::string(trick) + smuggled + "\r\n.\r\n");
        EXPECT_TRUE(client.read_line().starts_with("250 2.0.0 Message stored as ")) << hex_encode(trick);
        ASSERT_EQ(inbox().size(), 1U) << hex_encode(trick);
        EXPECT_TRUE(inbox()[0].ends_with(smuggled + "\r\n"));
        ASSERT_TRUE(mailboxes_.expunge(mailboxes_.find(user_, "INBOX")->id, {{1, 100}}, false));
    }
}

TEST_F(LmtpServerTest, RefusesATooLargeMessageAndGoesOn) {
    config_.message_bytes_max = 100'000;
    Client client = start();
    begin(client);
    std::string const line(1000, 'x');
    for (int i = 0; i < 3000; ++i) client.send(line + "\r\n");
    client.send(".\r\nNOOP\r\n");
    EXPECT_EQ(client.read_line(), "552 5.3.4 Message too large: at most 100000 octets\r\n");
    EXPECT_EQ(client.read_line(), "250 2.0.0 OK\r\n");
    EXPECT_TRUE(inbox().empty());
}

TEST_F(LmtpServerTest, StoresALargeMessageByteForByte) {
    Client client = start();
    begin(client);
    std::string message = "Subject: large\r\n\r\n";
    while (message.size() < 6'000'000)
        message += "0123456789 the quick brown fox jumps over the lazy dog 0123456789\r\n";
    client.send(message + ".\r\n");
    EXPECT_TRUE(client.read_line().starts_with("250 2.0.0 "));
    ASSERT_EQ(inbox().size(), 1U);
    EXPECT_TRUE(inbox()[0].ends_with("\r\n" + message));
}

TEST_F(LmtpServerTest, RefusesLongLinesAndGoesOn) {
    Client client = start();
    client.send(std::string(100'000, 'x') + "\r\nNOOP\r\n");
    EXPECT_TRUE(client.read_line().starts_with("500 5.5.2 Line too long"));
    EXPECT_EQ(client.read_line(), "250 2.0.0 OK\r\n");
}

TEST_F(LmtpServerTest, SaysGoodbyeToTheIdle) {
    config_.idle_timeout = 100ms;
    Client client = start();
    EXPECT_EQ(client.read_to_end(), "421 4.4.2 Timeout - closing connection\r\n");
}

TEST_F(LmtpServerTest, SaysGoodbyeWhenTheServerStops) {
    Client client = start();
    client.send("NOOP\r\n");
    client.read_line();
    std::thread drain([this] { server_.drain(5s); });
    EXPECT_TRUE(client.read_to_end().starts_with("421 4.3.2 "));
    drain.join();
}

TEST_F(LmtpServerTest, DiscardsWhatWasPipelinedBehindStarttls) {
    char pattern[] = "/tmp/mallard-lmtp-XXXXXX";
    std::string const directory = ::mkdtemp(pattern);
    ASSERT_TRUE(net::make_self_signed(directory + "/c", directory + "/k", {"mail.example.com"}));
    server_.set_tls(*net::load_tls({.certificate_file = directory + "/c", .key_file = directory + "/k"}));
    std::filesystem::remove_all(directory);
    Client client = start();
    client.send("LHLO mx\r\n");
    skip_lhlo(client);
    client.send("STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n");
    EXPECT_TRUE(client.read_line().starts_with("220 2.0.0 "));
    ASSERT_EQ(client.start_tls(), "");
    client.send("RCPT TO:<alice@example.com>\r\n");
    EXPECT_EQ(client.read_line(), "503 5.5.1 Error: need MAIL command\r\n");
    begin(client);
    client.send(".\r\n");
    EXPECT_TRUE(client.read_line().starts_with("250 2.0.0 "));
    EXPECT_NE(inbox().at(0).find(" with LMTPS id "), std::string::npos);
}

}  // namespace
}  // namespace mallard::lmtp
