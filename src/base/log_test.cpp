#include "base/log.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/encoding.hpp"
#include "base/log_lines.hpp"
#include "base/log_worker.hpp"
#include "base/random.hpp"

namespace mallard {
namespace {

constexpr TimeMs moment = 1'700'000'000'123;

LogLine line(std::string_view message, std::initializer_list<LogField> fields) {
    return {LogLevel::info,
            moment,
            {"imap", "sess1", "65a0bc000000000000000000", "192.0.2.7"},
            message,
            {fields.begin(), fields.size()}};
}

std::string inflate_all(std::string_view bytes) {
    std::string out(1 << 22, '\0');
    uLongf size = out.size();
    if (uncompress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<Bytef const*>(bytes.data()),
                   bytes.size()) != Z_OK)
        return "not zlib";
    out.resize(size);
    return out;
}

TEST(TextLine, NamesSessionUserAndAddressOnEveryLine) {
    std::initializer_list<LogField> const fields = {{"mailbox", "INBOX"}, {"path", "a b"}};
    EXPECT_EQ(text_line(line("selected", fields)),
              "2023-11-14T22:13:20.123Z info    imap selected sess=sess1 user=65a0bc000000000000000000 ip=192.0.2.7 "
              "mailbox=INBOX path=\"a b\"");
}

TEST(TextLine, StaysOneLineWhateverAClientSends) {
    std::initializer_list<LogField> const fields = {{"name", "x\r\n2023 error imap forged"}, {"q", "\x1b[2J\"\\"}};
    std::string const text = text_line(line("a\nb", fields));
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_NE(text.find("a\\nb"), std::string::npos);
}

TEST(JsonLine, UsesTheFieldNamesOfGelf) {
    std::initializer_list<LogField> const fields = {{"size", "123"}, {"subject", "0123"}};
    EXPECT_EQ(json_line(line("[APPEND]", fields)),
              R"({"time":"2023-11-14T22:13:20.123Z","level":"info","component":"imap","message":"[APPEND]",)"
              R"("_sess":"sess1","_user":"65a0bc000000000000000000","_ip":"192.0.2.7","_size":123,"_subject":"0123"})");
}

TEST(JsonLine, IsValidForAnyBytes) {
    std::string every;
    for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
    std::initializer_list<LogField> const fields = {{"bytes", every + "\xE2\x82\xAC"}};
    std::string const json = json_line(line("x", fields));
    EXPECT_TRUE(is_valid_utf8(json));
    EXPECT_NE(json.find("\\u0000"), std::string::npos);
    EXPECT_NE(json.find("\xE2\x82\xAC"), std::string::npos);
    EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(Gelf, CarriesWildDucksFieldNames) {
    std::initializer_list<LogField> const fields = {
        {"auth_result", "fail"}, {"error", "Unknown user"}, {"zero", "0"}, {"empty", ""}, {"no", "false"}};
    EXPECT_EQ(gelf_message(line("[AUTHFAIL] joe", fields), "mx1", "mallard"),
              R"({"version":"1.0","host":"mx1","short_message":"MALLARD [AUTHFAIL] joe","facility":"mallard",)"
              R"("_component":"mallard","_service":"imap","timestamp":1700000000.123,"level":6,"_sess":"sess1",)"
              R"("_user":"65a0bc000000000000000000","_ip":"192.0.2.7","_auth_result":"fail",)"
              R"("_failure_msg":"Unknown user"})");
}

TEST(Gelf, LetsALinesOwnFieldsReplaceTheContexts) {
    std::initializer_list<LogField> const fields = {{"ip", "198.51.100.1"}};
    std::string const json = gelf_message(line("x", fields), "h", "f");
    EXPECT_EQ(json.find("192.0.2.7"), std::string::npos);
    EXPECT_NE(json.find(R"("_ip":"198.51.100.1")"), std::string::npos);
}

TEST(LogLines, NameTheWorkerInEveryForm) {
    LogLine one = line("x", {});
    one.worker = "2 imap";
    EXPECT_NE(text_line(one).find(" ip=192.0.2.7 worker=\"2 imap\""), std::string::npos) << text_line(one);
    EXPECT_NE(json_line(one).find(R"("_worker":"2 imap")"), std::string::npos) << json_line(one);
    EXPECT_NE(gelf_message(one, "h", "f").find(R"("_worker":"2 imap")"), std::string::npos);
}

TEST(GelfDatagrams, SendSmallMessagesWhole) {
    EXPECT_EQ(gelf_datagrams("abc", "12345678", 8154), (std::vector<std::string>{"abc"}));
}

TEST(GelfDatagrams, CutLargeMessagesIntoNumberedChunks) {
    std::string const message = random_hex(10'000);
    auto const datagrams = gelf_datagrams(message, "12345678", 1420);
    ASSERT_EQ(datagrams.size(), 15u);
    std::string joined;
    for (std::size_t i = 0; i < datagrams.size(); ++i) {
        EXPECT_LE(datagrams[i].size(), 1420u);
        EXPECT_EQ(datagrams[i].substr(0, 10),
                  "\x1e\x0f"
                  "12345678");
        EXPECT_EQ(static_cast<std::size_t>(datagrams[i][10]), i);
        EXPECT_EQ(static_cast<std::size_t>(datagrams[i][11]), 15u);
        joined += datagrams[i].substr(12);
    }
    EXPECT_EQ(joined, message);
}

TEST(GelfDatagrams, GiveUpAboveOneHundredTwentyEightChunks) {
    EXPECT_EQ(gelf_datagrams(std::string(128 * 88, 'x'), "12345678", 100).size(), 128u);
    EXPECT_TRUE(gelf_datagrams(std::string(128 * 88 + 1, 'x'), "12345678", 100).empty());
}

class LogOutput : public testing::Test {
protected:
    void SetUp() override { config_.file = testing::TempDir() + "log_test_" + random_hex(6); }
    void TearDown() override {
        log_as_worker({});
        EXPECT_TRUE(log_start({}));
        std::filesystem::remove(config_.file);
    }
    std::string written() const {
        std::ifstream file(config_.file);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    LogConfig config_;
};

TEST_F(LogOutput, WritesLinesFromItsLevelUp) {
    config_.level = LogLevel::warning;
    ASSERT_TRUE(log_start(config_));
    log(LogLevel::info, {"app"}, "too quiet");
    log(LogLevel::warning, {"app"}, "heard");
    EXPECT_FALSE(log_enabled(LogLevel::info));
    EXPECT_EQ(written().find("quiet"), std::string::npos);
    EXPECT_NE(written().find("warning app heard\n"), std::string::npos);
}

TEST_F(LogOutput, NamesTheWorkerOnEveryLine) {
    log_as_worker("3");
    ASSERT_TRUE(log_start(config_));
    log(LogLevel::info, {"app"}, "one");
    log(LogLevel::info, {"imap"}, "two", {{"mailbox", "INBOX"}});
    EXPECT_NE(written().find("app one worker=3\n"), std::string::npos) << written();
    EXPECT_NE(written().find("imap two worker=3 mailbox=INBOX\n"), std::string::npos) << written();
}

TEST_F(LogOutput, IsSilentWhenOff) {
    config_.level = LogLevel::off;
    ASSERT_TRUE(log_start(config_));
    log(LogLevel::error, {"app"}, "unheard");
    EXPECT_EQ(written(), "");
}

TEST_F(LogOutput, OpensItsFileAgainWhenStartedAgain) {
    ASSERT_TRUE(log_start(config_));
    std::filesystem::remove(config_.file);  // as logrotate does
    ASSERT_TRUE(log_start(config_));
    log(LogLevel::info, {"app"}, "after");
    EXPECT_NE(written().find("after"), std::string::npos);
}

TEST_F(LogOutput, RefusesAFileThatCannotBeWritten) {
    LogConfig broken;
    broken.file = "/proc/no/such/directory/log";
    auto const started = log_start(broken);
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("log.file"), std::string::npos);
}

TEST_F(LogOutput, SendsCompressedGelfOverUdp) {
    int const receiver = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(receiver, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t length = sizeof address;
    ASSERT_EQ(::getsockname(receiver, reinterpret_cast<sockaddr*>(&address), &length), 0);

    config_.gelf_enabled = true;
    config_.gelf_port = ntohs(address.sin_port);
    config_.gelf_hostname = "mx1";
    ASSERT_TRUE(log_start(config_));
    log(LogLevel::info, {"imap", "s1", "", "192.0.2.1"}, "[AUTHOK] joe", {{"scope", "imap"}});

    pollfd ready{receiver, POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 5000), 1);
    std::string datagram(65536, '\0');
    auto const got = ::recv(receiver, datagram.data(), datagram.size(), 0);
    ASSERT_GT(got, 0);
    datagram.resize(static_cast<std::size_t>(got));
    ::close(receiver);
    std::string const json = inflate_all(datagram);
    EXPECT_NE(json.find(R"("short_message":"MALLARD [AUTHOK] joe")"), std::string::npos) << json;
    EXPECT_NE(json.find(R"("_scope":"imap")"), std::string::npos) << json;
}

}  // namespace
}  // namespace mallard
