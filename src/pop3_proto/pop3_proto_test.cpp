#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "pop3_proto/command.hpp"
#include "pop3_proto/dot_stuff.hpp"

namespace mallard::pop3 {
namespace {

TEST(Command, ReadsEveryVerbInAnyCase) {
    struct Row {
        std::string_view line;
        Command command;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"USER alice", {Verb::user, "alice"}},
             {"user  alice@example.com ", {Verb::user, "alice@example.com"}},
             {"USER", {Verb::user, ""}},
             {"PASS  two blanks ", {Verb::pass, " two blanks "}},
             {"PASS", {Verb::pass, ""}},
             {"AUTH", {Verb::auth, ""}},
             {"AUTH PLAIN AGEAYg==", {Verb::auth, "PLAIN AGEAYg=="}},
             {"STLS", {Verb::stls}},
             {"capa ", {Verb::capa}},
             {"STAT", {Verb::stat}},
             {"LIST", {Verb::list}},
             {"LIST 3", {Verb::list, "", 3}},
             {"UIDL", {Verb::uidl}},
             {"UIDL 4294967295", {Verb::uidl, "", 4294967295}},
             {"RETR 01", {Verb::retr, "", 1}},
             {"TOP 1 0", {Verb::top, "", 1, 0}},
             {"TOP 1  20", {Verb::top, "", 1, 20}},
             {"DELE 2", {Verb::dele, "", 2}},
             {"RSET", {Verb::rset}},
             {"NOOP", {Verb::noop}},
             {"QUIT", {Verb::quit}},
             {"LAST", {Verb::unknown, "LAST"}},
             {"", {Verb::unknown, ""}},
         }) {
        auto const command = parse_command(row.line);
        ASSERT_TRUE(command) << row.line;
        EXPECT_EQ(*command, row.command) << row.line;
        auto const again = parse_command(print_command(*command));
        ASSERT_TRUE(again) << row.line;
        EXPECT_EQ(*again, *command) << row.line;
    }
}

TEST(Command, RefusesMalformedArguments) {
    for (std::string_view bad : std::initializer_list<std::string_view>{"RETR",
                                                                        "RETR 0",
                                                                        "RETR x",
                                                                        "RETR -1",
                                                                        "RETR 1 2",
                                                                        "RETR 1x",
                                                                        "RETR 4294967296",
                                                                        "DELE",
                                                                        "DELE 0",
                                                                        "LIST 0",
                                                                        "LIST x",
                                                                        "LIST 1 2",
                                                                        "UIDL x",
                                                                        "TOP",
                                                                        "TOP 1",
                                                                        "TOP 1 x",
                                                                        "TOP 0 1",
                                                                        "TOP 1 2 3",
                                                                        "TOP 1 -1",
                                                                        "STAT 1",
                                                                        "QUIT now",
                                                                        "NOOP x",
                                                                        "RSET x",
                                                                        "CAPA x",
                                                                        "STLS x",
                                                                        std::string_view("USER a\0b", 8)})
        EXPECT_FALSE(parse_command(bad)) << "accepted: " << bad;
}

TEST(Plain, ReadsThreeParts) {
    auto plain = [](std::string_view bytes) { return parse_plain(base64_encode(bytes)); };
    using namespace std::string_view_literals;
    ASSERT_TRUE(plain("\0user\0pass"sv));
    EXPECT_EQ(plain("\0user\0pass"sv)->username, "user");
    EXPECT_EQ(plain("\0user\0pass"sv)->password, "pass");
    EXPECT_EQ(plain("who\0user\0pass"sv)->username, "user");
    EXPECT_EQ(plain("who\0\0pass"sv)->username, "who");
    for (std::string_view bad : {""sv, "user"sv, "user\0pass"sv, "\0a\0b\0c"sv}) EXPECT_FALSE(plain(bad)) << bad;
    for (std::string_view bad : {"!"sv, "="sv, "*"sv, "AGE AYg"sv}) EXPECT_FALSE(parse_plain(bad)) << bad;
}

std::string stuffed(std::string_view message, std::size_t piece) {
    DotStuffer stuffer;
    std::string out;
    for (; !message.empty(); message.remove_prefix(std::min(piece, message.size())))
        stuffer.feed(message.substr(0, piece), out);
    stuffer.finish(out);
    return out;
}

TEST(DotStuffer, GivesTheSameForPiecesOfAnySize) {
    struct Row {
        std::string_view message, wire;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"", ".\r\n"},
             {"a\r\n", "a\r\n.\r\n"},
             {"a", "a\r\n.\r\n"},
             {"a\r", "a\r\r\n.\r\n"},
             {"a\n", "a\n\r\n.\r\n"},
             {".\r\n", "..\r\n.\r\n"},
             {".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n"},
             {"a\n.\nb\r\n", "a\n.\nb\r\n.\r\n"},
             {"a\r.\r\n", "a\r.\r\n.\r\n"},
             {"a\r\r\n.\r\n", "a\r\r\n..\r\n.\r\n"},
         })
        for (std::size_t piece = 1; piece <= 5; ++piece)
            EXPECT_EQ(stuffed(row.message, piece), row.wire) << row.message << " in pieces of " << piece;
}

std::string top(std::string_view message, std::uint32_t lines, std::size_t piece) {
    TopCutter cutter(lines);
    std::string out;
    for (; !message.empty() && !cutter.done(); message.remove_prefix(std::min(piece, message.size()))) {
        std::string_view const part = message.substr(0, piece);
        out += part.substr(0, cutter.feed(part));
    }
    return out;
}

TEST(TopCutter, KeepsHeaderBlankLineAndThatManyLines) {
    struct Row {
        std::string_view message;
        std::uint32_t lines;
        std::string_view kept;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"A: b\r\n\r\none\r\ntwo\r\n", 0, "A: b\r\n\r\n"},
             {"A: b\r\n\r\none\r\ntwo\r\n", 1, "A: b\r\n\r\none\r\n"},
             {"A: b\r\n\r\none\r\ntwo\r\n", 9, "A: b\r\n\r\none\r\ntwo\r\n"},
             {"A: b\n\none\ntwo", 1, "A: b\n\none\n"},
             {"A: b\r\n", 5, "A: b\r\n"},
             {"\r\none\r\n", 0, "\r\n"},
             {"", 3, ""},
         })
        for (std::size_t piece = 1; piece <= 4; ++piece)
            EXPECT_EQ(top(row.message, row.lines, piece), row.kept) << row.message << " in pieces of " << piece;
}

}  // namespace
}  // namespace mallard::pop3
