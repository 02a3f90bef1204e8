#pragma once
// Request and Response: what the HTTP transport (server_connection.hpp) and the router exchange. Plain values, no
// Beast. The transport guarantees: the method and target are non-empty, the header and body are within their limits,
// the body is whole (chunking undone, Expect answered); nothing else is decoded. It adds Content-Length or
// Transfer-Encoding, Connection and Date to a response, and leaves the body away for HEAD, 204 and 304.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/spool.hpp"
#include "net/connection.hpp"

namespace mallard::http {

// Header fields in the order they came; names compare without case (RFC 9110 §5.1).
class Headers {
public:
    struct Field {
        std::string name;
        std::string value;
    };

    void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }
    void set(std::string_view name, std::string value);  // replaces all of that name
    void remove(std::string_view name);
    bool has(std::string_view name) const { return find(name) != nullptr; }
    std::string_view get(std::string_view name) const;  // the first; empty: absent (or empty)
    std::vector<std::string_view> all(std::string_view name) const;

    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }
    std::size_t size() const { return fields_.size(); }

private:
    Field const* find(std::string_view name) const;
    std::vector<Field> fields_;
};

struct Request {
    std::string method;  // as sent: "GET"
    std::string target;  // as sent: "/users/me?x=1"
    std::string path;    // the target up to '?', percent-encoding kept; of an absolute-form target the path alone
    std::string query;   // after '?', percent-encoding kept
    Headers headers;
    Spool body;  // finished: body.view()
    std::string peer_address;
    std::uint16_t peer_port = 0;
    bool secure = false;  // came over TLS
};

struct Response {
    unsigned status = 200;
    Headers headers;
    std::string body;
    // Instead of `body`: pulled chunk by chunk on the worker pool. With stream_length the sum of the chunks must be
    // that (else the connection is cut, so that the client notices); without, sent chunked.
    std::optional<net::Reply> stream;
    std::optional<std::uint64_t> stream_length;
};

// Answers one request; runs on the worker pool. What it throws becomes a 500 and a line in the log.
using Handler = std::function<Response(Request&)>;

// A framework-level error (api.md §1): {"code","message"}, pretty-printed, "Content-Type: application/json".
Response framework_error(unsigned status, std::string_view code, std::string_view message);
std::string_view reason_phrase(unsigned status);  // RFC 9110 §15; empty: unknown

}  // namespace mallard::http
