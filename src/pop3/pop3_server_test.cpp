// The edge of POP3 over real sockets: lines, pipelining, TLS, time. What is said is tested by transcripts.
#include "pop3/pop3_server.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/log.hpp"
#include "engines/test_engine.hpp"
#include "net/connection.hpp"
#include "net/testing/client.hpp"
#include "net/workers.hpp"

namespace mallard::pop3 {
namespace {

using net::testing::Client;
using namespace std::chrono_literals;

class Pop3ServerTest : public testing::Test {
protected:
    Pop3ServerTest()
        : store_(engines::open_test_engine(clock_)),
          accounts_(store_->documents(), store_->state(), store_->mail(), store_->events(), clock_,
                    {.pbkdf2_iterations = 1000}),
          mailboxes_(store_->mail(), accounts_, clock_) {
        static_cast<void>(log_start({.level = LogLevel::off}));
        EXPECT_TRUE(accounts_.open());
        auto const made = accounts_.create({.username = "alice", .password = "secret", .address = "alice@example.com"});
        EXPECT_TRUE(made);
        user_ = made->id;
        config_.plaintext_allowed = true;
    }

    void add(std::string_view source) {
        EXPECT_TRUE(
            mailboxes_.append({.user = user_, .mailbox = mailboxes_.find(user_, "INBOX")->id, .source = source}));
    }
    Client start() {
        EXPECT_TRUE(server_.listen({.service = "pop3"}, make_pop3_handler(config_, accounts_, mailboxes_,
                                                                          store_->state(), store_->events(), server_)));
        server_.start();
        Client client(server_.port_of("pop3", false));
        EXPECT_TRUE(client.read_line().starts_with("+OK Mallard POP3 Server ready"));
        return client;
    }
    static std::string read_body(Client& client) {
        std::string out;
        for (;;) {
            std::string const line = client.read_line();
            if (line.empty() || line == ".\r\n") return out;
            out += line;
        }
    }

    ManualClock clock_;
    std::unique_ptr<engines::TestEngine> store_;
    accounts::Accounts accounts_;
    mailboxes::Mailboxes mailboxes_;
    UserId user_;
    Pop3Config config_;
    net::Workers workers_{4, 1};
    net::Server server_{1, workers_};
};

TEST_F(Pop3ServerTest, AnswersAWholeSessionThatCameInOneWrite) {
    std::string large = "Subject: large\r\n\r\n";
    while (large.size() < 1'000'000) large += "the quick brown fox jumps over the lazy dog\r\n";
    add("Subject: small\r\n\r\nbody\r\n");
    add(large);
    Client client = start();
    client.send("USER alice\r\nPASS secret\r\nSTAT\nRETR 1\r\nRETR 2\r\nRETR 1\r\nQUIT\r\n");
    EXPECT_EQ(client.read_line(), "+OK send PASS\r\n");
    EXPECT_TRUE(client.read_line().starts_with("+OK maildrop has 2 messages"));
    EXPECT_TRUE(client.read_line().starts_with("+OK 2 "));
    client.read_line();
    EXPECT_EQ(read_body(client), "Subject: small\r\n\r\nbody\r\n");
    EXPECT_EQ(client.read_line(), "+OK " + std::to_string(large.size()) + " octets\r\n");
    EXPECT_EQ(client.read_exactly(large.size() + 3), large + ".\r\n");
    client.read_line();
    EXPECT_EQ(read_body(client), "Subject: small\r\n\r\nbody\r\n");
    EXPECT_EQ(client.read_to_end(), "+OK Bye\r\n");
}

TEST_F(Pop3ServerTest, RefusesLongLinesAndGoesOn) {
    Client client = start();
    client.send(std::string(100'000, 'x') + "\r\nCAPA\r\n");
    EXPECT_TRUE(client.read_line().starts_with("-ERR line too long"));
    EXPECT_TRUE(client.read_line().starts_with("+OK "));
}

TEST_F(Pop3ServerTest, GivesWhoHasNotLoggedInLessTime) {
    config_.login_timeout = 100ms;
    Client client = start();
    EXPECT_EQ(client.read_to_end(), "-ERR Disconnected for inactivity\r\n");
    Client patient(server_.port_of("pop3", false));
    patient.read_line();
    patient.send("USER alice\r\nPASS secret\r\n");
    patient.read_line();
    patient.read_line();
    std::this_thread::sleep_for(300ms);
    patient.send("QUIT\r\n");
    EXPECT_EQ(patient.read_to_end(), "+OK Bye\r\n");
}

TEST_F(Pop3ServerTest, SaysGoodbyeWhenTheServerStops) {
    Client client = start();
    std::thread drain([this] { server_.drain(5s); });
    EXPECT_TRUE(client.read_to_end().starts_with("-ERR [SYS/TEMP] "));
    drain.join();
}

TEST_F(Pop3ServerTest, EndsTheSessionsOfWhoIsDisabledOrDeletedAndUpdatesNothing) {
    add("Subject: kept\r\n\r\nbody\r\n");
    start();
    auto const log_in = [&](Client& client) {
        client.read_line();
        client.send("USER alice\r\nPASS secret\r\nDELE 1\r\n");
        for (std::string_view const answer : {"+OK send PASS", "+OK maildrop has 1 message", "+OK message 1 deleted"})
            EXPECT_TRUE(client.read_line().starts_with(answer));
    };
    Client first(server_.port_of("pop3", false));
    log_in(first);
    ASSERT_TRUE(accounts_.update(user_, {.disabled = true}));
    EXPECT_EQ(first.read_to_end(), "-ERR Authentication required\r\n");
    ASSERT_TRUE(accounts_.update(user_, {.disabled = false}));
    Client second(server_.port_of("pop3", false));
    log_in(second);  // the message is still there: RFC 1939 §6
    ASSERT_TRUE(accounts_.erase(user_));
    EXPECT_EQ(second.read_to_end(), "-ERR Account was deleted\r\n");
}

TEST_F(Pop3ServerTest, DiscardsWhatWasPipelinedBehindStls) {
    char pattern[] = "/tmp/mallard-pop3-XXXXXX";
    std::string const directory = ::mkdtemp(pattern);
    ASSERT_TRUE(net::make_self_signed(directory + "/c", directory + "/k", {"mail.example.com"}));
    server_.set_tls(*net::load_tls({.certificate_file = directory + "/c", .key_file = directory + "/k"}));
    std::filesystem::remove_all(directory);
    config_.plaintext_allowed = false;
    Client client = start();
    client.send("STLS\r\nUSER evil\r\n");
    EXPECT_TRUE(client.read_line().starts_with("+OK "));
    ASSERT_EQ(client.start_tls(), "");
    client.send("PASS secret\r\nUSER alice\r\nPASS secret\r\n");
    EXPECT_EQ(client.read_line(), "-ERR malformed command\r\n");
    EXPECT_EQ(client.read_line(), "+OK send PASS\r\n");
    EXPECT_TRUE(client.read_line().starts_with("+OK maildrop has 0 messages"));
}

TEST_F(Pop3ServerTest, LetsManyLogInAtOnce) {
    start();
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int i = 0; i < 10; ++i)
        threads.emplace_back([&] {
            Client client(server_.port_of("pop3", false));
            client.read_line();
            client.send("USER alice\r\nPASS secret\r\nQUIT\r\n");
            if (client.read_to_end().ends_with("(0 octets)\r\n+OK Bye\r\n")) ++good;
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, 10);
}

}  // namespace
}  // namespace mallard::pop3
