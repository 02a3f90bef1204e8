#include "net/tls.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

#include "net/connection.hpp"
#include "net/server.hpp"
#include "net/testing/client.hpp"
#include "net/workers.hpp"

namespace mallard::net {
namespace {

using namespace std::chrono_literals;
using testing::Client;

class TlsTest : public ::testing::Test {
protected:
    TlsTest() {
        char pattern[] = "/tmp/mallard-tls-XXXXXX";
        directory = ::mkdtemp(pattern);
        EXPECT_TRUE(make_self_signed(path("cert"), path("key"), {"mail.example.com", "192.0.2.1"}));
    }
    ~TlsTest() override { std::filesystem::remove_all(directory); }

    std::string path(std::string const& name) const { return directory + '/' + name; }

    void start(bool secure, Handler handler, std::chrono::milliseconds handshake_timeout = 10s) {
        auto const context = load_tls({.certificate_file = path("cert"), .key_file = path("key")});
        ASSERT_TRUE(context) << context.error().message;
        server.set_tls(*context);
        ASSERT_TRUE(server.listen(
            {.service = "test", .secure = secure, .proxy_from = proxy_from, .handshake_timeout = handshake_timeout},
            std::move(handler)));
        server.start();
        port = server.port_of("test", secure);
    }

    std::string directory;
    std::vector<std::string> proxy_from;
    Workers workers{4, 1};
    Server server{2, workers};
    std::uint16_t port = 0;
};

Async<void> echo_blocks(std::shared_ptr<Connection> connection) {
    connection->expires_after(30s);
    for (;;) {
        auto const bytes = co_await connection->read_available();
        if (!bytes) co_return;
        std::string const copy(*bytes);
        connection->consume_input(copy.size());
        if (!co_await connection->write(copy)) co_return;
    }
}

Async<void> starttls(Server& server, std::shared_ptr<Connection> connection) {
    connection->expires_after(30s);
    for (;;) {
        auto const line = co_await connection->read_line(1000, LineEnd::crlf);
        if (!line) co_return;
        if (*line == "STARTTLS") {
            co_await connection->write("go ahead\r\n");
            connection->drop_buffered_input();
            auto const context = server.tls();
            if (!co_await connection->stream().start_tls(*context)) co_return;
        } else {
            TlsInfo const tls = connection->stream().tls();
            std::string const text =
                *line + (tls.active ? " " + tls.version + " " + tls.server_name : " plain") + "\r\n";
            co_await connection->write(text);
        }
    }
}

TEST_F(TlsTest, EchoesMegabytes) {
    start(true, echo_blocks);
    Client client(port);
    ASSERT_EQ(client.start_tls(), "");
    std::string text(5'000'000, ' ');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 24);
    // One SSL object may not be used by two threads: so one direction at a time, in pieces the buffers hold.
    for (std::size_t at = 0; at < text.size(); at += 50'000) {
        std::string const piece = text.substr(at, 50'000);
        client.send(piece);
        ASSERT_EQ(client.read_exactly(piece.size()), piece) << at;
    }
}

TEST_F(TlsTest, IsVerifiedByAClientThatTrustsTheSelfSignedCertificate) {
    start(true, echo_blocks);
    for (char const* name : {"localhost", "mail.example.com"})
        EXPECT_EQ(Client(port).start_tls(name, path("cert")), "");
    EXPECT_NE(Client(port).start_tls("other.example.com", path("cert")), "");
}

TEST_F(TlsTest, KeepsTheKeyPrivate) {
    struct stat info{};
    ASSERT_EQ(::stat(path("key").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(TlsTest, StartsInTheMiddleAndForgetsWhatCameBefore) {
    start(false, [this](std::shared_ptr<Connection> connection) { return starttls(server, std::move(connection)); });
    Client client(port);
    client.send("a\r\nSTARTTLS\r\nINJECTED\r\n");
    EXPECT_EQ(client.read_line(), "a plain\r\n");
    EXPECT_EQ(client.read_line(), "go ahead\r\n");
    ASSERT_EQ(client.start_tls("mail.example.com"), "");
    client.send("b\r\n");
    EXPECT_EQ(client.read_line(), "b TLSv1.3 mail.example.com\r\n");
}

TEST_F(TlsTest, ComesAfterTheProxyHeader) {
    proxy_from = {"127.0.0.1"};
    start(true, [](std::shared_ptr<Connection> connection) -> Async<void> {
        std::string const text = connection->stream().peer_address() + "\r\n";
        co_await connection->write(text);
    });
    Client client(port);
    client.send(std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x12\x34\0\x8f", 28));
    ASSERT_EQ(client.start_tls(), "");
    EXPECT_EQ(client.read_to_end(), "192.0.2.7\r\n");
}

TEST_F(TlsTest, GivesNewConnectionsTheNewCertificate) {
    start(true, echo_blocks);
    Client old(port);
    ASSERT_EQ(old.start_tls(), "");
    ASSERT_TRUE(make_self_signed(path("cert"), path("key"), {"new.example.com"}));
    server.set_tls(*load_tls({.certificate_file = path("cert"), .key_file = path("key")}));
    Client fresh(port);
    ASSERT_EQ(fresh.start_tls(), "");
    EXPECT_NE(old.peer_certificate_fingerprint(), fresh.peer_certificate_fingerprint());
    old.send("still here");
    EXPECT_EQ(old.read_exactly(10), "still here");
}

TEST_F(TlsTest, ClosesAPeerThatDoesNotFinishItsHandshake) {
    start(true, echo_blocks, 150ms);
    Client silent(port);
    EXPECT_EQ(silent.read_to_end(), "");
    Client garbage(port);
    garbage.send("EHLO this is not TLS\r\n");
    garbage.read_to_end();  // an alert, then the end
    Client good(port);
    EXPECT_EQ(good.start_tls(), "");
}

TEST_F(TlsTest, DrainsWithoutWaitingForHandshakes) {
    start(true, echo_blocks, 30s);
    Client silent(port);
    while (server.connections("test") == 0) std::this_thread::sleep_for(1ms);
    auto const begin = std::chrono::steady_clock::now();
    server.drain(5s);
    EXPECT_LE(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_EQ(silent.read_to_end(), "");
}

TEST_F(TlsTest, SaysWhatIsWrongWithItsFiles) {
    ASSERT_TRUE(make_self_signed(path("cert2"), path("key2"), {}));
    std::ofstream(path("text")) << "no PEM at all\n";
    struct {
        TlsConfig config;
        char const* says;
    } const cases[] = {
        {{.certificate_file = path("none"), .key_file = path("key")}, "does not exist"},
        {{.certificate_file = path("cert"), .key_file = path("none")}, "does not exist"},
        {{.certificate_file = path("cert"), .key_file = path("key2")}, "does not belong to the certificate"},
        {{.certificate_file = path("text"), .key_file = path("key")}, "holds no certificate"},
        {{.certificate_file = path("cert"), .key_file = path("text")}, "holds no private key"},
        {{.certificate_file = path("cert"), .key_file = path("key"), .ciphers = "NOSUCH"}, "no usable cipher"},
        {{.certificate_file = path("cert"), .key_file = path("key"), .minimum = "SSLv3"}, "not one of TLSv1.2"},
    };
    for (auto const& c : cases) {
        auto const loaded = load_tls(c.config);
        ASSERT_FALSE(loaded) << c.says;
        EXPECT_NE(loaded.error().message.find(c.says), std::string::npos) << loaded.error().message;
    }
}

}  // namespace
}  // namespace mallard::net
