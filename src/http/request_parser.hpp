#pragma once
// RequestParser: one HTTP/1.1 request out of octets (RFC 9112), in pieces of any size. Pure; any octets are taken: what
// is no request becomes a state, never a crash. Beast does the parsing, in request_parser.cpp alone. Refused, since
// proxies and servers have disagreed on them (request smuggling): Content-Length beside Transfer-Encoding, several that
// differ, a Transfer-Encoding other than chunked or in HTTP/1.0, no or several Host fields in HTTP/1.1.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/http.hpp"

namespace mallard::http {

struct ParserLimits {
    std::uint32_t header_bytes_max = 64 * 1024;
    std::uint64_t body_bytes_max = 70ull * 1024 * 1024;
    std::size_t fields_max = 200;
};

class RequestParser {
public:
    enum class State { header, body, done, failed };

    explicit RequestParser(ParserLimits const& limits);
    ~RequestParser();

    // Takes octets from the start of `bytes`; returns how many. The rest must be given again, with more behind it.
    // Body octets are appended to *body. After done it takes nothing: what is left is the next request.
    std::size_t feed(std::string_view bytes, std::string* body);

    State state() const;
    Request& request() { return request_; }  // complete but for the body once state() is not header
    bool keep_alive() const;                 // RFC 9112 §9.3
    bool is_http_1_0() const;
    bool expects_continue() const;  // RFC 9110 §10.1.1

    // Of a failed one: what to answer.
    unsigned status() const { return status_; }
    std::string const& code() const { return code_; }
    std::string const& message() const { return message_; }

private:
    class Impl;
    void fail(unsigned status, std::string code, std::string message);
    void check_header();
    void split_target();

    Request request_;
    unsigned status_ = 0;
    std::string code_;
    std::string message_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::http
