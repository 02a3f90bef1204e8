#include "net/connection.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "net/memory_stream.hpp"
#include "net/workers.hpp"

namespace mallard::net {
namespace {

using Script = std::function<Async<void>(Connection&)>;

std::string run_script(std::string input, std::size_t piece, Script script, Workers* workers = nullptr) {
    std::string output;
    Connection connection(memory_stream(std::move(input), &output, piece), workers);
    run_blocking(script(connection));
    return output;
}

// Reads lines until the end; "!kind" for an error.
std::vector<std::string> lines_of(std::string const& input, std::size_t piece, std::size_t max, LineEnd end) {
    std::vector<std::string> lines;
    run_script(input, piece, [&](Connection& connection) -> Async<void> {
        for (;;) {
            auto line = co_await connection.read_line(max, end);
            if (line)
                lines.push_back(*line);
            else if (line.error().kind == ErrorKind::closed)
                co_return;
            else
                lines.push_back("!" + std::string(name_of(line.error().kind)));
        }
    });
    return lines;
}

TEST(ReadLine, EndsLinesAtLfOrCrlfForImapAndPop3) {
    std::string const input = "a\r\nb\n\r\nc\rd\n\n";
    std::vector<std::string> const expected{"a", "b", "", "c\rd", ""};
    for (std::size_t piece = 1; piece <= input.size(); ++piece)
        EXPECT_EQ(lines_of(input, piece, 100, LineEnd::crlf_or_lf), expected) << piece;
}

TEST(ReadLine, EndsLinesOnlyAtCrlfForSmtp) {
    std::string const input = "a\nb\r\nc\rd\r\r\n\r\n\n\r\n";
    std::vector<std::string> const expected{"a\nb", "c\rd\r", "", "\n"};
    for (std::size_t piece = 1; piece <= input.size(); ++piece)
        EXPECT_EQ(lines_of(input, piece, 100, LineEnd::crlf), expected) << piece;
}

TEST(ReadLine, RefusesALineBeyondItsLimitBeforeItEnds) {
    for (LineEnd const end : {LineEnd::crlf, LineEnd::crlf_or_lf}) {
        auto const lines = lines_of("one\r\n" + std::string(30, 'x'), 7, 10, end);
        ASSERT_GE(lines.size(), 2u);
        EXPECT_EQ(lines[1], "!" + std::string(name_of(ErrorKind::too_large)));
    }
}

TEST(ReadLine, DropsALineBeyondItsLimitAndGoesOn) {
    for (LineEnd const end : {LineEnd::crlf, LineEnd::crlf_or_lf})
        for (std::size_t length : {10u, 11u, 12u, 13u, 30u}) {
            std::string const input = "one\r\n" + std::string(length, 'x') + "\r\ntwo\r\n";
            std::vector<std::string> const expected{
                "one", length <= 10 ? std::string(length, 'x') : "!" + std::string(name_of(ErrorKind::too_large)),
                "two"};
            for (std::size_t piece = 1; piece <= input.size(); ++piece)
                EXPECT_EQ(lines_of(input, piece, 10, end), expected) << length << ' ' << piece;
        }
}

TEST(ReadExactly, LeavesWhatFollows) {
    for (std::size_t piece : {1u, 3u, 1000u})
        run_script("A {5}\r\nhe\rl\n NOOP\r\n", piece, [](Connection& connection) -> Async<void> {
            EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf_or_lf), "A {5}");
            Spool spool;
            EXPECT_TRUE(co_await connection.read_exactly(5, spool));
            EXPECT_TRUE(spool.finish());
            EXPECT_EQ(spool.view(), "he\rl\n");
            EXPECT_TRUE(co_await connection.discard(1));
            EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf_or_lf), "NOOP");
        });
}

std::string random_bytes(std::size_t size) {
    std::mt19937_64 random(11);
    std::string bytes(size, ' ');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

TEST(ReadExactly, WritesLargeBodiesToDiskOnTheWorkers) {
    Workers workers(2, 1);
    std::string const body = random_bytes(3'000'001);
    run_script(
        body + "end\r\n", 50'000,
        [&](Connection& connection) -> Async<void> {
            Spool spool;
            EXPECT_TRUE(co_await connection.read_exactly(body.size(), spool));
            EXPECT_TRUE(spool.finish());
            EXPECT_TRUE(spool.on_disk());
            EXPECT_EQ(spool.view(), body);
            EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf), "end");
        },
        &workers);
}

TEST(ReadDotData, UnstuffsAndLeavesThePipelinedCommand) {
    for (std::size_t piece = 1; piece < 30; ++piece)
        run_script("..a\r\nb\n.\n\r\n.\r\nRSET\r\n", piece, [](Connection& connection) -> Async<void> {
            Spool spool;
            EXPECT_TRUE(co_await connection.read_dot_data(1000, spool));
            EXPECT_TRUE(spool.finish());
            EXPECT_EQ(spool.view(), ".a\r\nb\n.\n\r\n");
            EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf), "RSET");
        });
}

TEST(ReadDotData, DropsAMessageBeyondItsLimitAndGoesOn) {
    std::string const line = std::string(76, 'x') + "\r\n";
    std::string data;
    for (int i = 0; i < 2000; ++i) data += line;
    for (auto const& [max, fits] : {std::pair{data.size(), true}, {data.size() - 1, false}})
        run_script(data + ".\r\nRSET\r\n", 7000, [&](Connection& connection) -> Async<void> {
            Spool spool;
            auto const result = co_await connection.read_dot_data(max, spool);
            EXPECT_EQ(result.has_value(), fits);
            if (!fits) EXPECT_EQ(result.error().kind, ErrorKind::too_large);
            EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf), "RSET");
        });
}

TEST(ReadDotData, WritesLargeMessagesToDiskOnTheWorkers) {
    Workers workers(2, 1);
    std::string message;
    for (int i = 0; message.size() < 4'000'000; ++i) message += "line " + std::to_string(i) + " of the message\r\n";
    run_script(
        message + ".\r\n", 65'536,
        [&](Connection& connection) -> Async<void> {
            Spool spool;
            EXPECT_TRUE(co_await connection.read_dot_data(5'000'000, spool));
            EXPECT_TRUE(spool.finish());
            EXPECT_EQ(spool.view(), message);
        },
        &workers);
}

TEST(Connection, FailsWithClosedWhenThePeerGoesAmidLineOrData) {
    run_script("half a li", 100, [](Connection& connection) -> Async<void> {
        auto const line = co_await connection.read_line(100, LineEnd::crlf);
        EXPECT_EQ(line.error().kind, ErrorKind::closed);
    });
    run_script("a\r\n.", 100, [](Connection& connection) -> Async<void> {
        Spool spool;
        EXPECT_EQ((co_await connection.read_dot_data(100, spool)).error().kind, ErrorKind::closed);
    });
}

TEST(Connection, DropsWhatWasBufferedBeforeTls) {
    run_script("STARTTLS\r\nINJECTED\r\n", 100, [](Connection& connection) -> Async<void> {
        EXPECT_EQ(*co_await connection.read_line(100, LineEnd::crlf), "STARTTLS");
        EXPECT_TRUE(connection.has_buffered_input());
        connection.drop_buffered_input();
        EXPECT_FALSE(connection.has_buffered_input());
        EXPECT_EQ((co_await connection.read_line(100, LineEnd::crlf)).error().kind, ErrorKind::closed);
    });
}

Reply counting(int chunks, std::size_t size) {
    for (int i = 0; i < chunks; ++i) co_yield std::string(size, static_cast<char>('a' + i % 26));
}

TEST(WriteReply, WritesAllChunksInOrder) {
    Workers workers(2, 1);
    for (std::size_t size : {0u, 1u, 1000u, 200'000u}) {
        std::string expected;
        for (int i = 0; i < 40; ++i) expected += std::string(size, static_cast<char>('a' + i % 26));
        for (Workers* on : {static_cast<Workers*>(nullptr), &workers}) {
            std::string const plain = run_script(
                "", 1, [&](Connection& c) -> Async<void> { EXPECT_TRUE(co_await c.write_reply(counting(40, size))); },
                on);
            EXPECT_EQ(plain, expected);
            std::string const started = run_script(
                "", 1,
                [&](Connection& c) -> Async<void> {
                    EXPECT_TRUE(co_await c.write_reply(begin_reply(counting(40, size))));
                },
                on);
            EXPECT_EQ(started, expected);
        }
    }
}

Reply failing() {
    co_yield "first";
    throw std::runtime_error("disk");
}

TEST(WriteReply, PassesOnWhatTheReplyThrows) {
    Workers workers(1, 1);
    EXPECT_THROW(run_script(
                     "", 1, [](Connection& c) -> Async<void> { co_await c.write_reply(failing()); }, &workers),
                 std::runtime_error);
}

TEST(Connection, IsWokenByAWakeThatCameBeforeTheWait) {
    std::string output;
    Connection connection(memory_stream("x", &output, 1));
    auto const wake = connection.waker();
    wake();
    run_blocking([](Connection& c) -> Async<void> {
        EXPECT_EQ(*co_await c.wait_input_or_wake(), true);  // input goes first
        EXPECT_EQ(*co_await c.read_available(), "x");
        c.consume_input(1);
    }(connection));
}

}  // namespace
}  // namespace mallard::net
