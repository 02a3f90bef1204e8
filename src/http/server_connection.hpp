#pragma once
// The HTTP server's transport: requests out of a connection, responses into it. HTTP/1.1 with keep-alive, pipelining in
// order, chunked bodies both ways, Expect: 100-continue, HEAD; HTTP/1.0 as far as curl and old proxies need it.
// A body above 1 MiB is spooled to a file. A response's stream is pulled on the worker pool, a part at a time.
// What is no HTTP is answered with {"code","message"} (api.md §1) and ends the connection.

#include <chrono>
#include <functional>
#include <memory>

#include "http/http.hpp"
#include "http/request_parser.hpp"
#include "net/connection.hpp"
#include "net/workers.hpp"

namespace mallard::http {

struct ServerConfig {
    ParserLimits limits;
    std::chrono::milliseconds header_timeout{30'000};  // from its first octet to its end
    std::chrono::milliseconds body_timeout{60'000};    // for each 256 KiB
    std::chrono::milliseconds write_timeout{60'000};   // for each 256 KiB
    std::chrono::milliseconds idle_timeout{60'000};    // between two requests
    // Which pool a request's handler runs on; empty: commands.
    std::function<net::Pool(Request const&)> pool_of;
};

// Serves the connection until it ends. `config` and `handler` must outlive it.
net::Async<void> serve(std::shared_ptr<net::Connection> connection, net::Workers& workers, Handler const& handler,
                       ServerConfig const& config);

}  // namespace mallard::http
