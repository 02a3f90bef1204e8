#include "http/request_parser.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace mallard::http {
namespace {

using State = RequestParser::State;

struct Parsed {
    State state = State::header;
    unsigned status = 0;
    std::string method, path, query, body, rest;
    std::size_t fields = 0;
    bool operator==(Parsed const&) const = default;
};

// As the transport does it: what was not taken is given again with more behind it.
Parsed parse(std::string_view stream, std::size_t piece, ParserLimits const& limits = {}) {
    RequestParser parser(limits);
    Parsed parsed;
    std::string unparsed;
    while (parser.state() == State::header || parser.state() == State::body) {
        std::size_t const taken = parser.feed(unparsed, &parsed.body);
        unparsed.erase(0, taken);
        if (taken > 0 && !unparsed.empty()) continue;
        if (parser.state() == State::done || parser.state() == State::failed) break;
        if (stream.empty()) break;
        unparsed += stream.substr(0, piece);
        stream.remove_prefix(std::min(piece, stream.size()));
    }
    parsed.state = parser.state();
    parsed.status = parser.status();
    if (parsed.status != 0) return {.state = parsed.state, .status = parsed.status};
    parsed.method = parser.request().method;
    parsed.path = parser.request().path;
    parsed.query = parser.request().query;
    parsed.fields = parser.request().headers.size();
    parsed.rest = unparsed + std::string(stream);
    return parsed;
}

TEST(RequestParser, ReadsRequestsInPiecesOfAnySize) {
    struct {
        std::string stream;
        Parsed expected;
    } const cases[] = {
        {"GET /users?q=a%20b HTTP/1.1\r\nHost: x\r\n\r\nGET",
         {State::done, 0, "GET", "/users", "q=a%20b", "", "GET", 1}},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", {State::done, 0, "GET", "/", "", "", "", 1}},
        {"GET http://h:1/a/b?c HTTP/1.1\r\nHost: x\r\n\r\n", {State::done, 0, "GET", "/a/b", "c", "", "", 1}},
        {"GET http://h HTTP/1.1\r\nHost: x\r\n\r\n", {State::done, 0, "GET", "/", "", "", "", 1}},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {State::done, 0, "OPTIONS", "*", "", "", "", 1}},
        {"GET / HTTP/1.0\r\n\r\n", {State::done, 0, "GET", "/", "", "", "", 0}},
        {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello!",
         {State::done, 0, "POST", "/a", "", "hello", "!", 2}},
        {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n1\r\n!\r\n0\r\nT: "
         "1\r\n\r\nnext",
         {State::done, 0, "POST", "/a", "", "hello!", "next", 2}},
        {"PURGE /x HTTP/1.1\r\nHost: x\r\n\r\n", {State::done, 0, "PURGE", "/x", "", "", "", 1}},
    };
    for (auto const& c : cases)
        for (std::size_t piece = 1; piece <= c.stream.size(); ++piece)
            EXPECT_EQ(parse(c.stream, piece), c.expected) << c.stream << " in pieces of " << piece;
}

TEST(RequestParser, RefusesWhatIsNoProperRequest) {
    struct {
        std::string stream;
        unsigned status;
    } const cases[] = {
        {"EHLO example.com\r\n\r\n", 400},
        {std::string("\x16\x03\x01\x02\0\x01\0", 7) + std::string(100, '\0'), 400},
        {"GET /\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", 417},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n", 400},
        // Short or without end: nothing more need come.
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\rx", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na1", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\ng", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(200, 'z'), 400},
        {"GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(5000, 'a') + "\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: x\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n", 431},
    };
    ParserLimits const limits{.header_bytes_max = 4096, .body_bytes_max = 1000, .fields_max = 5};
    for (auto const& c : cases)
        for (std::size_t piece : {1u, 2u, 7u, 100'000u}) {
            Parsed const parsed = parse(c.stream, piece, limits);
            EXPECT_EQ(parsed.state, State::failed) << c.stream.substr(0, 100) << " in pieces of " << piece;
            EXPECT_EQ(parsed.status, c.status) << c.stream.substr(0, 100) << " in pieces of " << piece;
        }
}

TEST(RequestParser, TakesMutatedRequestsInAnyPieces) {
    std::mt19937 random(5);
    std::string const seeds[] = {
        "POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;e=\"1\"\r\nhello\r\n0\r\nT: 1\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close, x\r\nExpect: 100-continue\r\n\r\nhello",
    };
    constexpr char alphabet[] = "\r\n :;0afF/%\"\\,\t\x80\xff\0G";
    for (int round = 0; round < 30'000; ++round) {
        std::string stream = seeds[round % 2];
        for (int change = 0; change < 3; ++change) {
            std::size_t const at = random() % stream.size();
            char const c = alphabet[random() % sizeof alphabet];
            switch (random() % 3) {
                case 0: stream[at] = c; break;
                case 1: stream.insert(at, 1, c); break;
                default: stream.erase(at, 1 + random() % 3);
            }
            if (stream.empty()) stream = "G";
        }
        Parsed const whole = parse(stream, stream.size());
        Parsed const pieces = parse(stream, 1 + random() % 9);
        // Errors may be seen earlier when everything is there; what is accepted must be the same.
        if (whole.state == State::done && pieces.state == State::done) ASSERT_EQ(whole, pieces) << stream;
        ASSERT_EQ(whole.state == State::done, pieces.state == State::done) << stream;
    }
}

}  // namespace
}  // namespace mallard::http
