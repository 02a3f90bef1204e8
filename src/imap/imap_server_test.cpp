// The edge of IMAP over real sockets: literals, TLS, IDLE, time. What is said is tested by transcripts.
#include "imap/imap_server.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/log.hpp"
#include "base/random.hpp"
#include "engines/test_engine.hpp"
#include "net/connection.hpp"
#include "net/testing/client.hpp"
#include "net/workers.hpp"

namespace mallard::imap {
namespace {

using net::testing::Client;
using namespace std::chrono_literals;

class ImapServerTest : public testing::Test {
protected:
    ImapServerTest()
        : store_(engines::open_test_engine(clock_)),
          accounts_(store_->documents(), store_->state(), store_->mail(), store_->events(), clock_,
                    {.imap_max_connections = 20, .pbkdf2_iterations = 1000}),
          mailboxes_(store_->mail(), accounts_, clock_) {
        static_cast<void>(log_start({.level = LogLevel::off}));
        EXPECT_TRUE(accounts_.open());
        EXPECT_TRUE(accounts_.create({.username = "alice", .password = "secret", .address = "alice@example.com"}));
        config_.allow_plaintext = true;
    }

    void listen() {
        EXPECT_TRUE(server_.listen({.service = "imap"},
                                   make_handler(config_, mailboxes_, accounts_, store_->events(), clock_, server_)));
        server_.start();
    }
    Client connect() {
        Client client(server_.port_of("imap", false));
        EXPECT_TRUE(client.read_line().starts_with("* OK Mallard IMAP Server ready"));
        return client;
    }
    Client log_in() {
        Client client = connect();
        client.send("a LOGIN alice secret\r\n");
        EXPECT_TRUE(client.read_line().starts_with("* CAPABILITY "));
        EXPECT_EQ(client.read_line(), "a OK alice authenticated\r\n");
        return client;
    }
    // Lines up to the one with this tag, which is the last.
    static std::string read_until(Client& client, std::string_view tag) {
        std::string out;
        for (std::string line; !line.starts_with(tag);) {
            line = client.read_line();
            if (line.empty()) return out + "<closed>";
            out += line;
        }
        return out;
    }
    void use_certificate() {
        char pattern[] = "/tmp/mallard-imap-XXXXXX";
        std::string const directory = ::mkdtemp(pattern);
        ASSERT_TRUE(net::make_self_signed(directory + "/c", directory + "/k", {"mail.example.com"}));
        server_.set_tls(*net::load_tls({.certificate_file = directory + "/c", .key_file = directory + "/k"}));
        std::filesystem::remove_all(directory);
    }

    ManualClock clock_;
    std::unique_ptr<engines::TestEngine> store_;
    accounts::Accounts accounts_;
    mailboxes::Mailboxes mailboxes_;
    ImapConfig config_;
    net::Workers workers_{4, 1};
    net::Server server_{1, workers_};
};

TEST_F(ImapServerTest, KeepsEveryOctetOfALargeMessage) {
    listen();
    Client client = log_in();
    std::string message = "Subject: large\r\n\r\n";
    while (message.size() < 3'000'000) message += "the quick brown fox \xff jumps\n over \r the lazy dog\r\n";
    std::string const size = std::to_string(message.size());
    client.send("b APPEND INBOX {" + size + "}\r\n");
    EXPECT_EQ(client.read_line(), "+ Go ahead\r\n");
    client.send(message + "\r\nc SELECT INBOX\r\nd FETCH 1 BODY.PEEK[]\r\n");
    EXPECT_TRUE(client.read_line().starts_with("b OK [APPENDUID "));
    read_until(client, "c ");
    EXPECT_EQ(client.read_line(), "* 1 FETCH (BODY[] {" + size + "}\r\n");
    EXPECT_EQ(client.read_exactly(message.size()), message);
    EXPECT_EQ(client.read_line(), ")\r\n");
    EXPECT_EQ(client.read_line(), "d OK FETCH completed\r\n");
}

TEST_F(ImapServerTest, SendsManyMessagesInOneReply) {
    listen();
    Client client = log_in();
    std::string const message = "Subject: x\r\n\r\n" + std::string(5000, 'y') + "\r\n";
    std::string appends;
    for (int i = 0; i < 400; ++i)
        appends += "b APPEND INBOX {" + std::to_string(message.size()) + "+}\r\n" + message + "\r\n";
    client.send(appends + "c SELECT INBOX\r\n");
    read_until(client, "c ");
    client.send("d FETCH 1:* (UID BODY.PEEK[])\r\n");
    for (int i = 1; i <= 400; ++i) {
        std::string const n = std::to_string(i);
        ASSERT_EQ(client.read_line(),
                  "* " + n + " FETCH (UID " + n + " BODY[] {" + std::to_string(message.size()) + "}\r\n");
        ASSERT_EQ(client.read_exactly(message.size()), message);
        ASSERT_EQ(client.read_line(), ")\r\n");
    }
    EXPECT_EQ(client.read_line(), "d OK FETCH completed\r\n");
}

TEST_F(ImapServerTest, RefusesLongLinesAndGoesOn) {
    listen();
    Client client = connect();
    client.send(std::string(1'000'000, 'x') + "\r\na NOOP\r\n");
    EXPECT_EQ(client.read_line(), "* BAD Command line too long\r\n");
    EXPECT_EQ(client.read_line(), "a OK Nothing done\r\n");
}

TEST_F(ImapServerTest, GivesWhoHasNotLoggedInLessTime) {
    config_.login_timeout = 100ms;
    listen();
    Client client = connect();
    EXPECT_EQ(client.read_to_end(), "* BYE Idle timeout, closing connection\r\n");
    Client patient = log_in();
    std::this_thread::sleep_for(300ms);
    patient.send("b NOOP\r\n");
    EXPECT_EQ(patient.read_line(), "b OK Nothing done\r\n");
}

TEST_F(ImapServerTest, DoesNotWaitForeverForALiteral) {
    config_.command_timeout = 200ms;
    listen();
    Client client = log_in();
    client.send("b APPEND INBOX {1000}\r\n");
    EXPECT_EQ(client.read_line(), "+ Go ahead\r\n");
    client.send("only this");
    EXPECT_EQ(client.read_to_end(), "* BYE Idle timeout, closing connection\r\n");
}

TEST_F(ImapServerTest, DiscardsWhatWasPipelinedBehindStartTls) {
    use_certificate();
    config_.allow_plaintext = false;
    listen();
    Client client = connect();
    client.send("a STARTTLS\r\nb LOGIN evil evil\r\n");
    EXPECT_EQ(client.read_line(), "a OK STARTTLS completed\r\n");
    ASSERT_EQ(client.start_tls(), "");
    client.send("c LOGIN alice secret\r\n");
    EXPECT_TRUE(client.read_line().starts_with("* CAPABILITY "));
    EXPECT_EQ(client.read_line(), "c OK alice authenticated\r\n");
    client.send("d STARTTLS\r\n");
    EXPECT_EQ(client.read_line(), "d NO Connection is already secured\r\n");
}

TEST_F(ImapServerTest, TellsAnIdlingSessionAtOnce) {
    config_.still_here = 300ms;
    listen();
    Client idler = log_in();
    idler.send("b SELECT INBOX\r\n");
    read_until(idler, "b ");
    idler.send("c IDLE\r\n");
    EXPECT_EQ(idler.read_line(), "+ idling\r\n");
    Client other = log_in();
    other.send("d APPEND INBOX {4+}\r\nabcd\r\n");
    EXPECT_EQ(idler.read_line(), "* 1 EXISTS\r\n");
    EXPECT_TRUE(idler.read_line().starts_with("* OK Still here ("));
    idler.send("DONE\r\n");
    EXPECT_EQ(read_until(idler, "c ").substr(0, 2), "c ");
}

TEST_F(ImapServerTest, EndsIdleAfterItsTime) {
    config_.still_here = 50ms;
    config_.idle_max = 120ms;
    listen();
    Client client = log_in();
    client.send("b IDLE\r\n");
    EXPECT_TRUE(client.read_to_end().ends_with("* BYE IDLE terminated\r\n"));
}

TEST_F(ImapServerTest, SaysGoodbyeWhenTheServerStops) {
    listen();
    Client idle = log_in();
    idle.send("b IDLE\r\n");
    EXPECT_EQ(idle.read_line(), "+ idling\r\n");
    Client waiting = connect();
    std::thread drain([this] { server_.drain(5s); });
    EXPECT_EQ(idle.read_to_end(), "* BYE System shutdown\r\n");
    EXPECT_EQ(waiting.read_to_end(), "* BYE System shutdown\r\n");
    drain.join();
}

TEST_F(ImapServerTest, NamesSessionUserAndAddressInItsLogButNoPassword) {
    listen();
    std::string const path = testing::TempDir() + "imap_log_" + random_hex(6);
    ASSERT_TRUE(log_start({.level = LogLevel::debug, .file = path}));
    Client client = log_in();
    client.send("b LOGIN alice secret\r\nc LOGOUT\r\n");
    client.read_to_end();
    ASSERT_TRUE(log_start({.level = LogLevel::off}));
    std::ifstream file(path);
    std::string const said{std::istreambuf_iterator<char>(file), {}};
    std::filesystem::remove(path);
    std::string const user = accounts_.authenticate({.username = "alice", .password = "secret"})->user.hex();
    for (std::string_view const line : {"[AUTHOK] alice", "Command refused"}) {
        std::size_t const at = said.find(line);
        ASSERT_NE(at, std::string::npos) << said;
        EXPECT_TRUE(said.substr(at, said.find('\n', at) - at).contains("user=" + user + " ip=127.0.0.1")) << said;
    }
    EXPECT_FALSE(said.contains("secret")) << said;
}

TEST_F(ImapServerTest, TellsOfALoginInOneLine) {
    listen();
    std::string const path = testing::TempDir() + "imap_log_" + random_hex(6);
    ASSERT_TRUE(log_start({.level = LogLevel::info, .file = path}));
    for (int i = 0; i < 2; ++i) log_in();  // the second one from memory
    Client guesser = connect();
    guesser.send("a LOGIN alice guess\r\n");
    EXPECT_EQ(guesser.read_line(), "a NO [AUTHENTICATIONFAILED] Invalid credentials\r\n");
    ASSERT_TRUE(log_start({.level = LogLevel::off}));
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    std::filesystem::remove(path);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_TRUE(lines[0].contains("[AUTHOK] alice")) << lines[0];
    EXPECT_TRUE(lines[1].contains("[AUTHOK] alice")) << lines[1];
    EXPECT_TRUE(lines[2].contains("[AUTHFAIL] alice")) << lines[2];
}

TEST_F(ImapServerTest, EndsTheSessionsOfWhoIsDisabledOrDeleted) {
    listen();
    auto const user = accounts_.find_by_username("alice").value()->id;
    Client waiting = log_in();
    Client idle = log_in();
    idle.send("i IDLE\r\n");
    idle.read_line();
    ASSERT_TRUE(accounts_.update(user, {.disabled = true}));
    EXPECT_EQ(waiting.read_to_end(), "* BYE Authentication required\r\n");
    EXPECT_EQ(idle.read_to_end(), "* BYE Authentication required\r\n");
    ASSERT_TRUE(accounts_.update(user, {.disabled = false}));
    Client later = log_in();
    ASSERT_TRUE(accounts_.erase(user));
    EXPECT_EQ(later.read_to_end(), "* BYE Account was deleted\r\n");
}

TEST_F(ImapServerTest, CountsTheSessionsOfAUser) {
    listen();
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(log_in());
    Client one_more = connect();
    one_more.send("a LOGIN alice secret\r\n");
    EXPECT_EQ(one_more.read_line(), "a NO [ALERT] Too many simultaneous connections.\r\n");
    clients.back().send("b LOGOUT\r\n");
    EXPECT_EQ(clients.back().read_to_end(), "* BYE Logout requested\r\nb OK Bye\r\n");
    for (int i = 0; i < 50; ++i) {  // the session is given back after the last line
        one_more.send("c LOGIN alice secret\r\n");
        std::string const line = one_more.read_line();
        if (line.starts_with("* CAPABILITY ")) return;
        std::this_thread::sleep_for(20ms);
    }
    ADD_FAILURE() << "the place was not given back";
}

}  // namespace
}  // namespace mallard::imap
