#include "net/dot_data.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>

namespace mallard::net {
namespace {

struct Decoded {
    std::string message;
    std::string rest;
    bool done = false;
    bool operator==(Decoded const&) const = default;
};

Decoded decode(std::string_view stream, std::size_t piece) {
    Decoded result;
    DotDecoder decoder;
    while (!stream.empty() && !decoder.done()) {
        std::string_view in = stream.substr(0, piece);
        while (!in.empty() && !decoder.done()) {
            std::string_view out;
            std::size_t const taken = decoder.step(in, out);
            result.message += out;
            in.remove_prefix(taken);
            stream.remove_prefix(taken);
        }
    }
    result.rest = stream;
    result.done = decoder.done();
    return result;
}

// RFC 5321 §4.5.2, octet by octet, as the specification says it.
Decoded specification(std::string_view stream) {
    Decoded result;
    std::string line;
    while (!stream.empty()) {
        line += stream.front();
        stream.remove_prefix(1);
        if (!line.ends_with("\r\n")) continue;
        if (line == ".\r\n") {
            result.rest = stream;
            result.done = true;
            return result;
        }
        result.message += line.starts_with('.') ? line.substr(1) : line;
        line.clear();
    }
    result.message += line.starts_with('.') ? line.substr(1) : line;
    return result;
}

struct Case {
    char const* name;
    std::string stream;
    std::string message;
    std::optional<std::string> rest;  // empty: not ended
};

// What must and must not end the data: CVE-2023-51764 and its kin.
Case const cases[] = {
    {"empty message", ".\r\nQUIT\r\n", "", "QUIT\r\n"},
    {"plain", "a\r\nb\r\n.\r\n", "a\r\nb\r\n", ""},
    {"dot doubled", "..\r\n...a\r\n.\r\n", ".\r\n..a\r\n", ""},
    {"dot before text", ".a\r\n.\r\n", "a\r\n", ""},
    {"dot inside a line", "a.\r\nb.c\r\n.\r\n", "a.\r\nb.c\r\n", ""},
    {"LF . LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
    {"LF . CRLF", "a\n.\r\nMAIL\r\n.\r\n", "a\n.\r\nMAIL\r\n", ""},
    {"CR . CRLF", "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", ""},
    {"CR . CR", "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", ""},
    {"CRLF . LF", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
    {"CRLF . CR", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", ""},
    {"CRLF . CR CR LF", "a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", ""},
    {"CR CRLF . CRLF", "a\r\r\n.\r\nrest", "a\r\r\n", "rest"},
    {"CRLF NUL . CRLF", std::string("a\r\n\0.\r\n.\r\n", 10), std::string("a\r\n\0.\r\n", 7), ""},
    {"not ended", "a\r\n.\r", "a\r\n", std::nullopt},
    {"no final line end", "a.\r\nb", "a.\r\nb", std::nullopt},
};

TEST(DotDecoder, EndsOnlyAtCrlfDotCrlf) {
    for (Case const& c : cases) {
        Decoded const result = decode(c.stream, c.stream.size());
        EXPECT_EQ(result.message, c.message) << c.name;
        EXPECT_EQ(result.done, c.rest.has_value()) << c.name;
        if (c.rest) EXPECT_EQ(result.rest, *c.rest) << c.name;
    }
}

TEST(DotDecoder, GivesTheSameForEveryPieceSize) {
    for (Case const& c : cases)
        for (std::size_t piece = 1; piece <= c.stream.size(); ++piece)
            EXPECT_EQ(decode(c.stream, piece), decode(c.stream, c.stream.size())) << c.name << ", pieces of " << piece;
}

TEST(DotDecoder, AgreesWithTheSpecificationOnRandomStreams) {
    std::mt19937 random(1);
    constexpr char letters[] = {'\r', '\n', '.', 'a', '\r', '\n'};
    for (int round = 0; round < 20'000; ++round) {
        std::string stream(random() % 24, ' ');
        for (char& c : stream) c = letters[random() % sizeof letters];
        Decoded const expected = specification(stream);
        Decoded const result = decode(stream, random() % 5 + 1);
        ASSERT_EQ(result.done, expected.done) << testing::PrintToString(stream);
        if (!expected.done) continue;  // a held CR shows only when more comes
        ASSERT_EQ(result, expected) << testing::PrintToString(stream);
    }
}

}  // namespace
}  // namespace mallard::net
