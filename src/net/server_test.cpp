#include "net/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "net/connection.hpp"
#include "net/testing/client.hpp"
#include "net/workers.hpp"

namespace mallard::net {
namespace {

using namespace std::chrono_literals;
using testing::Client;
using SteadyClock = std::chrono::steady_clock;

// A line protocol for the tests: the command's first word says what happens.
Async<void> converse(Workers& workers, std::shared_ptr<Connection> connection) {
    connection->expires_after(60s);
    co_await connection->write("hello\r\n");
    for (;;) {
        auto const line = co_await connection->read_line(1000, LineEnd::crlf_or_lf);
        if (!line) {
            std::string const bye = "bye " + std::string(name_of(line.error().kind)) + "\r\n";
            co_await connection->write(bye);
            co_return;
        }
        if (*line == "peer") {
            std::string const text = connection->stream().peer_address() + "\r\n";
            co_await connection->write(text);
        } else if (*line == "slow") {
            co_await workers.run(Pool::commands, [] { std::this_thread::sleep_for(300ms); });
            co_await connection->write("slept\r\n");
        } else if (*line == "short") {
            connection->expires_after(150ms);
        } else if (*line == "throw") {
            throw std::runtime_error("a bug in a handler");
        } else if (*line == "quit") {
            co_await connection->write("so long\r\n");
            co_return;
        } else {
            std::string const echo = co_await workers.call(Pool::commands, [&] { return *line + "\r\n"; });
            co_await connection->write(echo);
        }
    }
}

class ServerTest : public ::testing::Test {
protected:
    std::uint16_t listen(ListenerConfig config = {}) {
        config.service = "test";
        auto const listening = server.listen(config, [this](std::shared_ptr<Connection> connection) {
            return converse(workers, std::move(connection));
        });
        EXPECT_TRUE(listening) << listening.error().message;
        server.start();
        return server.port_of("test", config.secure);
    }

    void wait_for_connections(std::size_t count) {
        for (int i = 0; i < 1000 && server.connections("test") != count; ++i) std::this_thread::sleep_for(5ms);
        EXPECT_EQ(server.connections("test"), count);
    }

    Workers workers{8, 1};
    Server server{2, workers};
};

TEST_F(ServerTest, ServesManyConnectionsAtOnce) {
    auto const port = listen();
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&, t] {
            for (int round = 0; round < 5; ++round) {
                Client client(port);
                EXPECT_EQ(client.read_line(), "hello\r\n");
                for (int i = 0; i < 50; ++i) {
                    std::string const line = "line " + std::to_string(t) + ' ' + std::to_string(i) + "\r\n";
                    client.send(line);
                    EXPECT_EQ(client.read_line(), line);
                }
            }
        });
    for (std::thread& thread : threads) thread.join();
    wait_for_connections(0);
}

TEST_F(ServerTest, AnswersPipelinedCommandsInOrder) {
    Client client(listen());
    std::string commands;
    for (int i = 0; i < 5000; ++i) commands += "c" + std::to_string(i) + "\r\n";
    std::thread sender([&] { client.send(commands); });
    EXPECT_EQ(client.read_line(), "hello\r\n");
    EXPECT_EQ(client.read_exactly(commands.size()), commands);
    sender.join();
}

TEST_F(ServerTest, EndsAConnectionWhoseDeadlinePassed) {
    Client client(listen());
    client.send("short\r\n");
    client.read_line();
    auto const begin = SteadyClock::now();
    EXPECT_EQ(client.read_to_end(), "");  // after the deadline nothing can be written either
    EXPECT_GE(SteadyClock::now() - begin, 100ms);
    EXPECT_LE(SteadyClock::now() - begin, 2s);
}

TEST_F(ServerTest, KeepsServingAfterAHandlerThrew) {
    auto const port = listen();
    Client first(port);
    first.send("throw\r\n");
    EXPECT_EQ(first.read_to_end(), "hello\r\n");
    Client second(port);
    second.send("x\r\n");
    EXPECT_EQ(second.read_line(), "hello\r\n");
    EXPECT_EQ(second.read_line(), "x\r\n");
}

TEST_F(ServerTest, DeliversItsLastWordsToAPeerThatStillSends) {
    Client client(listen());
    client.send("quit\r\n" + std::string(200'000, 'x'));
    EXPECT_EQ(client.read_to_end(), "hello\r\nso long\r\n");
}

TEST_F(ServerTest, RefusesMoreThanItsConnections) {
    auto const port = listen({.connections_max = 2, .refusal = "too many\r\n"});
    std::deque<Client> clients;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(clients.emplace_back(port).read_line(), "hello\r\n");
    EXPECT_EQ(Client(port).read_to_end(), "too many\r\n");
    clients.pop_front();
    wait_for_connections(1);
    EXPECT_EQ(Client(port).read_line(), "hello\r\n");
}

TEST_F(ServerTest, RefusesMoreThanItsConnectionsFromOneAddress) {
    auto const port =
        listen({.proxy_from = {"127.0.0.1"}, .connections_per_address_max = 1, .refusal = "too many\r\n"});
    Client a(port);
    a.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\npeer\r\n");
    EXPECT_EQ(a.read_line(), "hello\r\n");
    EXPECT_EQ(a.read_line(), "192.0.2.1\r\n");
    Client again(port);
    again.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    EXPECT_EQ(again.read_to_end(), "too many\r\n");
    Client other(port);
    other.send("PROXY TCP4 192.0.2.3 192.0.2.2 1 2\r\n");
    EXPECT_EQ(other.read_line(), "hello\r\n");
}

TEST_F(ServerTest, ClosesAProxyThatSendsNoHeader) {
    auto const port = listen({.proxy_from = {"*"}});
    Client client(port);
    client.send("a1 NOOP\r\n");
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ServerTest, IgnoresAProxyHeaderFromAStranger) {
    Client client(listen({.proxy_from = {"192.0.2.9"}}));
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\npeer\r\n");
    EXPECT_EQ(client.read_line(), "hello\r\n");
    EXPECT_EQ(client.read_line(), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    EXPECT_EQ(client.read_line(), "127.0.0.1\r\n");
}

TEST_F(ServerTest, ReadsAProxyHeaderThatComesInPieces) {
    Client client(listen({.proxy_from = {"127.0.0.1"}}));
    for (char const c : std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\npeer\r\n")) {
        client.send(std::string_view(&c, 1));
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(client.read_line(), "hello\r\n");
    EXPECT_EQ(client.read_line(), "192.0.2.1\r\n");
}

TEST_F(ServerTest, ClosesAPeerThatTakesTooLongWithItsProxyHeader) {
    Client client(listen({.proxy_from = {"*"}, .handshake_timeout = 100ms}));
    client.send("PROXY");
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ServerTest, DrainsIdleConnectionsAtOnceAndLetsCommandsFinish) {
    auto const port = listen();
    Client idle(port);
    Client busy(port);
    idle.read_line();
    busy.read_line();
    busy.send("slow\r\n");
    std::this_thread::sleep_for(50ms);
    auto const begin = SteadyClock::now();
    server.drain(5s);
    EXPECT_LE(SteadyClock::now() - begin, 2s);
    EXPECT_TRUE(server.draining());
    EXPECT_EQ(idle.read_to_end(), "bye unavailable\r\n");
    EXPECT_EQ(busy.read_to_end(), "slept\r\nbye unavailable\r\n");
    EXPECT_THROW(Client{port}, std::runtime_error);
}

TEST_F(ServerTest, ClosesWhatHasNotEndedAfterTheGraceOfADrain) {
    Client client(listen());
    client.read_line();
    client.send("half a li");
    std::this_thread::sleep_for(50ms);
    auto const begin = SteadyClock::now();
    server.drain(200ms);
    EXPECT_GE(SteadyClock::now() - begin, 200ms);
    EXPECT_LE(SteadyClock::now() - begin, 2s);
    EXPECT_EQ(server.connections("test"), 0u);
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ServerTest, SharesASocketAndLosesNoConnectionWhenItStopsAccepting) {
    auto const shared = open_listener({.service = "test"});
    ASSERT_TRUE(shared) << shared.error().message;
    auto const port = listen({.socket = ::dup(*shared)});
    Client before(port);
    EXPECT_EQ(before.read_line(), "hello\r\n");
    server.stop_accepting();
    // Nobody accepts now; who comes is queued, and served by who takes the socket over.
    Client queued(port);
    Server second{1, workers};
    ASSERT_TRUE(second.listen({.service = "second", .socket = *shared}, [this](std::shared_ptr<Connection> connection) {
        return converse(workers, std::move(connection));
    }));
    EXPECT_EQ(second.port_of("second", false), port);
    second.start();
    EXPECT_EQ(queued.read_line(), "hello\r\n");
    before.send("still here\r\n");
    EXPECT_EQ(before.read_line(), "still here\r\n");
    server.drain(2s);
    EXPECT_EQ(before.read_to_end(), "bye unavailable\r\n");
    queued.send("x\r\n");
    EXPECT_EQ(queued.read_line(), "x\r\n");
}

TEST_F(ServerTest, SaysWhichAddressIsInUse) {
    auto const port = listen();
    Server other(1, workers);
    auto const listening = other.listen({.service = "imap", .port = port}, nullptr);
    ASSERT_FALSE(listening);
    EXPECT_NE(listening.error().message.find("imap: cannot listen on 127.0.0.1 port " + std::to_string(port)),
              std::string::npos)
        << listening.error().message;
    auto const elsewhere = other.listen({.service = "imap", .host = "192.0.2.77"}, nullptr);
    ASSERT_FALSE(elsewhere);
    EXPECT_NE(elsewhere.error().message.find("no interface"), std::string::npos);
}

TEST_F(ServerTest, GoesOnAcceptingAfterItRanOutOfFiles) {
    auto const port = listen();
    EXPECT_EQ(Client(port).read_line(), "hello\r\n");
    while (server.connections("test") > 0) std::this_thread::sleep_for(1ms);
    // What the sanitizer has not met yet it looks at by a pipe, for which there is no room later.
    log(LogLevel::error, {.component = "test"}, "the files run out");
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    int const probe = ::dup(0);  // the lowest free number
    ::close(probe);
    rlimit const low{.rlim_cur = static_cast<rlim_t>(probe) + 30, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
    std::vector<int> taken;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken.push_back(fd);
    ASSERT_FALSE(taken.empty());
    ::close(taken.back());
    taken.pop_back();
    Client first(port);  // has the last one: the server gets none for the other end
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(server.connections("test"), 0u);
    for (int const fd : taken) ::close(fd);
    EXPECT_EQ(first.read_line(), "hello\r\n");
    EXPECT_EQ(Client(port).read_line(), "hello\r\n");
    ::setrlimit(RLIMIT_NOFILE, &before);
}

long resident_kib() {
    long size = 0;
    long resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

TEST_F(ServerTest, HoldsTwoThousandIdleConnections) {
    auto const port = listen();
    constexpr int count = 2000;
    std::deque<Client> clients;
    for (int i = 0; i < 50; ++i) clients.emplace_back(port).read_line();
    long const before = resident_kib();
    for (int i = 0; i < count; ++i) clients.emplace_back(port);
    wait_for_connections(count + 50);
    for (Client& client : clients) client.send("x\r\n");
    for (Client& client : clients) EXPECT_NE(client.read_line(), "");
    std::printf("idle connections: %.1f KiB each, the test's own client included\n",
                static_cast<double>(resident_kib() - before) / count);
}

// Waits for wakes; says what woke it.
Async<void> watch(std::shared_ptr<Connection> connection, std::function<void()>* wake, std::atomic<bool>* ready) {
    connection->expires_after(20s);
    *wake = connection->waker();
    *ready = true;
    for (;;) {
        auto const input = co_await connection->wait_input_or_wake();
        if (!input) {
            std::string const bye = "bye " + std::string(name_of(input.error().kind)) + "\r\n";
            co_await connection->write(bye);
            co_return;
        }
        if (*input) {
            auto const line = co_await connection->read_line(100, LineEnd::crlf);
            if (!line) co_return;
        }
        co_await connection->write(*input ? "input\r\n" : "woken\r\n");
    }
}

TEST(Wake, WakesFromAnotherThreadAndAfterTheEnd) {
    std::function<void()> wake;
    std::atomic<bool> ready{false};
    {
        Workers workers(1, 1);
        Server server(1, workers);
        ASSERT_TRUE(server.listen({.service = "test"}, [&](std::shared_ptr<Connection> connection) {
            return watch(std::move(connection), &wake, &ready);
        }));
        server.start();
        Client client(server.port_of("test", false));
        while (!ready) std::this_thread::sleep_for(1ms);
        for (int i = 0; i < 200; ++i) {
            if (i % 3 == 0) {
                client.send("x\r\n");
                EXPECT_EQ(client.read_line(), "input\r\n");
            }
            wake();
            EXPECT_EQ(client.read_line(), "woken\r\n") << i;
        }
        server.drain(1s);
        EXPECT_EQ(client.read_to_end(), "bye unavailable\r\n");
    }
    wake();
}

}  // namespace
}  // namespace mallard::net
