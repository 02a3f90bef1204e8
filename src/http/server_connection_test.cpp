#include "http/server_connection.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "net/memory_stream.hpp"
#include "net/server.hpp"
#include "net/testing/client.hpp"

namespace mallard::http {
namespace {

using namespace std::chrono_literals;
using net::testing::Client;

net::Reply numbers(int count) {
    for (int i = 0; i < count; ++i) co_yield "line " + std::to_string(i) + "\n";
}

net::Reply failing() {
    co_yield std::string(100'000, 'x');
    throw std::runtime_error("disk");
}

// The path says what to do.
Response handle(Request& request) {
    Response response;
    response.headers.add("Content-Type", "text/plain");
    if (request.path == "/echo") {
        response.body = request.method + " " + request.query + " " + std::string(request.body.view());
    } else if (request.path == "/size") {
        response.body = std::to_string(request.body.view().size()) + (request.body.on_disk() ? " on disk" : "");
    } else if (request.path == "/numbers") {
        response.stream = numbers(std::stoi(request.query));
    } else if (request.path == "/exact") {
        response.stream = numbers(3);
        response.stream_length = 21;
    } else if (request.path == "/short") {
        response.stream = numbers(3);
        response.stream_length = 100;
    } else if (request.path == "/failing") {
        response.stream = failing();
    } else if (request.path == "/throw") {
        throw std::runtime_error("bug");
    } else if (request.path == "/empty") {
        response.status = 204;
    } else if (request.path == "/inject") {
        response.headers.add("X-Name", "a\r\nSet-Cookie: b");
    } else {
        return framework_error(404, "ResourceNotFound", request.path + " does not exist");
    }
    return response;
}

// A whole conversation over memory; the Date fields cut out.
std::string converse(std::string const& input, std::size_t piece, ServerConfig const& config = {}) {
    net::Workers workers(2, 1);
    std::string output;
    Handler const handler = handle;
    auto connection = std::make_shared<net::Connection>(net::memory_stream(input, &output, piece), &workers);
    net::run_blocking(serve(std::move(connection), workers, handler, config));
    for (std::size_t at; (at = output.find("Date: ")) != std::string::npos;)
        output.erase(at, output.find("\r\n", at) + 2 - at);
    return output;
}

std::string ok(std::string const& body, std::string const& connection = "keep-alive") {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: " + connection + "\r\n\r\n" + body;
}

std::string body_of(std::string const& response) { return response.substr(response.find("\r\n\r\n") + 4); }

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
    std::string const input =
        "GET /echo?1 HTTP/1.1\r\nHost: x\r\n\r\n"
        "POST /echo?2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        "POST /echo?3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "GET /echo?4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        "GET /echo?5 HTTP/1.1\r\nHost: x\r\n\r\n";
    std::string const expected = ok("GET 1 ") + ok("POST 2 hello") + ok("POST 3 abcde") + ok("GET 4 ", "close");
    for (std::size_t piece : {1u, 2u, 3u, 5u, 17u, 1000u}) EXPECT_EQ(converse(input, piece), expected) << piece;
}

TEST(HttpServer, KeepsNoHttp10ConnectionUnlessAsked) {
    EXPECT_EQ(converse("GET /echo?1 HTTP/1.0\r\n\r\nGET /echo?2 HTTP/1.0\r\n\r\n", 100), ok("GET 1 ", "close"));
    EXPECT_EQ(converse("GET /echo?1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 100), ok("GET 1 ", "keep-alive"));
}

TEST(HttpServer, SendsHeadersWithoutBodyForHead) {
    EXPECT_EQ(converse("HEAD /echo?1 HTTP/1.1\r\nHost: x\r\n\r\n", 100),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(converse("HEAD /numbers?3 HTTP/1.1\r\nHost: x\r\n\r\n", 100),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
              "Connection: keep-alive\r\n\r\n");
    EXPECT_EQ(converse("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", 100),
              "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpServer, StreamsInChunksAndWithKnownLength) {
    EXPECT_EQ(body_of(converse("GET /numbers?3 HTTP/1.1\r\nHost: x\r\n\r\n", 100)),
              "15\r\nline 0\nline 1\nline 2\n\r\n0\r\n\r\n");
    EXPECT_EQ(body_of(converse("GET /numbers?3 HTTP/1.0\r\n\r\n", 100)), "line 0\nline 1\nline 2\n");
    EXPECT_EQ(converse("GET /exact HTTP/1.1\r\nHost: x\r\n\r\n", 100), ok("line 0\nline 1\nline 2\n"));
}

TEST(HttpServer, CutsAStreamThatFallsShortOrFails) {
    std::string const next = "GET /echo?2 HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_EQ(converse("GET /short HTTP/1.1\r\nHost: x\r\n\r\n" + next, 100).find("GET 2"), std::string::npos);
    EXPECT_THROW(converse("GET /failing HTTP/1.1\r\nHost: x\r\n\r\n" + next, 100), std::runtime_error);
}

TEST(HttpServer, AnswersAHandlersExceptionWith500AndGoesOn) {
    std::string const output =
        converse("GET /throw HTTP/1.1\r\nHost: x\r\n\r\nGET /echo?2 HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    EXPECT_EQ(output.find("HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"), 0u) << output;
    EXPECT_TRUE(output.ends_with(ok("GET 2 "))) << output;
}

TEST(HttpServer, LetsNoHandlerSplitAResponse) {
    std::string const output = converse("GET /inject HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    EXPECT_NE(output.find("X-Name: a  Set-Cookie: b\r\n"), std::string::npos) << output;
}

TEST(HttpServer, AnswersWhatIsNoHttpWithAnErrorAndEnds) {
    std::string const output = converse("EHLO x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 1000);
    EXPECT_EQ(output.find("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"), 0u) << output;
    EXPECT_NE(output.find("Connection: close\r\n\r\n{\n  \"code\": \"BadRequest\",\n  \"message\": \""),
              std::string::npos);
    EXPECT_EQ(output.find("200 OK"), std::string::npos);
}

TEST(HttpServer, RefusesEndlessChunkExtensions) {
    std::string const output = converse(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(300'000, 'e'), 10'000);
    EXPECT_EQ(output.find("HTTP/1.1 400 "), 0u) << output;
}

TEST(HttpServer, SpoolsLargeBodies) {
    std::string const body(3'000'000, 'b');
    std::string const output =
        converse("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + body, 65'536);
    EXPECT_EQ(body_of(output), "3000000 on disk");
}

class HttpServerSocket : public ::testing::Test {
protected:
    void start() {
        ASSERT_TRUE(server.listen({.service = "api"}, [this](std::shared_ptr<net::Connection> connection) {
            return serve(std::move(connection), workers, handler, config);
        }));
        server.start();
    }
    Client client() { return Client(server.port_of("api", false)); }

    Handler handler = handle;
    ServerConfig config;
    net::Workers workers{4, 1};
    net::Server server{1, workers};
};

TEST_F(HttpServerSocket, TellsTheClientToContinueOnlyWhenTheBodyIsWanted) {
    config.limits.body_bytes_max = 1000;
    start();
    Client good = client();
    good.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(good.read_line() + good.read_line(), "HTTP/1.1 100 Continue\r\n\r\n");
    good.send("hello");
    EXPECT_EQ(body_of(good.read_to_end()), "POST  hello");
    Client large = client();
    large.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_EQ(large.read_line(), "HTTP/1.1 413 Content Too Large\r\n");
}

TEST_F(HttpServerSocket, ClosesSlowAndIdleClients) {
    config.header_timeout = 100ms;
    config.body_timeout = 100ms;
    config.idle_timeout = 100ms;
    start();
    Client idle = client();
    EXPECT_EQ(idle.read_to_end(), "");
    Client header = client();
    header.send("GET / HT");
    EXPECT_EQ(header.read_line(), "HTTP/1.1 408 Request Timeout\r\n");
    Client body = client();
    body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
    EXPECT_EQ(body.read_line(), "HTTP/1.1 408 Request Timeout\r\n");
}

TEST_F(HttpServerSocket, EndsIdleConnectionsWhenTheServerDrains) {
    start();
    Client idle = client();
    idle.send("GET /echo?1 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(idle.read_line(), "HTTP/1.1 200 OK\r\n");
    auto const begin = std::chrono::steady_clock::now();
    server.drain(5s);
    EXPECT_LE(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(HttpServerSocket, StreamsMegabytesToASlowReader) {
    start();
    Client slow = client();
    slow.send("GET /numbers?1000000 HTTP/1.0\r\n\r\n");
    std::this_thread::sleep_for(100ms);
    std::string const all = slow.read_to_end();
    EXPECT_TRUE(all.ends_with("line 999998\nline 999999\n"));
    EXPECT_EQ(body_of(all).size(), 10 * 7u + 90 * 8u + 900 * 9u + 9000 * 10u + 90'000 * 11u + 900'000 * 12u);
}

}  // namespace
}  // namespace mallard::http
