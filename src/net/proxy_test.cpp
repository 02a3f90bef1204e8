#include "net/proxy.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace mallard::net {
namespace {

using State = ProxyHeader::State;

std::string v2(unsigned char version_command, unsigned char family, std::string const& body) {
    std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
    header += static_cast<char>(version_command);
    header += static_cast<char>(family);
    header += static_cast<char>(body.size() >> 8);
    header += static_cast<char>(body.size() & 255);
    return header + body;
}

TEST(Proxy, ReadsVersionOne) {
    std::string const line = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 143\r\n";
    auto const header = parse_proxy(line + "a NOOP\r\n");
    ASSERT_EQ(header.state, State::done);
    EXPECT_EQ(header.length, line.size());
    EXPECT_EQ(header.source->to_string(), "192.0.2.7");
    EXPECT_EQ(header.source->port, 56324);
    EXPECT_EQ(header.destination->port, 143);
}

TEST(Proxy, ReadsVersionOneWithIpv6) {
    auto const header = parse_proxy("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n");
    ASSERT_EQ(header.state, State::done);
    EXPECT_EQ(header.source->to_string(), "2001:db8::1");
}

TEST(Proxy, KeepsTheSocketsAddressForUnknownAndLocal) {
    auto const unknown = parse_proxy("PROXY UNKNOWN ffff::1 whatever\r\n");
    EXPECT_EQ(unknown.state, State::done);
    EXPECT_FALSE(unknown.source);
    auto const local = parse_proxy(v2(0x20, 0x11, std::string(12, 'x')));
    EXPECT_EQ(local.state, State::done);
    EXPECT_FALSE(local.source);
}

TEST(Proxy, ReadsVersionTwoWithExtensions) {
    std::string const body = std::string("\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x34\x00\x8f", 12) + "\x03" + "tlv";
    auto const header = parse_proxy(v2(0x21, 0x11, body) + "\x16\x03\x01");
    ASSERT_EQ(header.state, State::done);
    EXPECT_EQ(header.length, 16 + body.size());
    EXPECT_EQ(header.source->to_string(), "192.0.2.7");
    EXPECT_EQ(header.source->port, 0x1234);
    EXPECT_EQ(header.destination->to_string(), "198.51.100.1");
}

TEST(Proxy, RefusesWhatIsNoHeader) {
    for (std::string const& bytes :
         {std::string("EHLO x\r\n"), std::string("PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n"), std::string("PROXY\r\n"),
          std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), std::string("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
          std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "PROXY TCP4 " + std::string(200, '1'),
          v2(0x11, 0x11, std::string(12, 'x')), v2(0x22, 0x11, std::string(12, 'x')), v2(0x21, 0x11, "short")})
        EXPECT_EQ(parse_proxy(bytes).state, State::bad) << testing::PrintToString(bytes);
}

TEST(Proxy, AsksForMoreUntilTheHeaderIsWhole) {
    for (std::string const& bytes : {std::string("PROXY TCP4 192.0.2.7 198.51.100.1 56324 143\r\n"),
                                     v2(0x21, 0x21, std::string(36, 'x') + "tlv")}) {
        for (std::size_t n = 0; n < bytes.size(); ++n)
            EXPECT_EQ(parse_proxy(std::string_view(bytes).substr(0, n)).state, State::need_more) << n;
        EXPECT_EQ(parse_proxy(bytes).state, State::done);
    }
}

TEST(Proxy, TakesAnyOctets) {
    std::mt19937 random(3);
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes(round % 2 == 0 ? "PROXY " : std::string("\r\n\r\n\0\r\nQUIT\n\x21\x21\0", 15));
        for (std::size_t n = random() % 64; n > 0; --n) bytes += static_cast<char>(random());
        auto const header = parse_proxy(bytes);
        if (header.state == State::done) EXPECT_LE(header.length, bytes.size());
    }
}

}  // namespace
}  // namespace mallard::net
