#include "http/request_parser.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "base/encoding.hpp"

namespace mallard::http {

namespace beast = boost::beast;
using beast::error_code;

constexpr std::size_t chunked_end_bytes = 5;

namespace {

// Whether what has not been taken yet can still become the line before a chunk (RFC 9112 §7.1): Beast looks at that
// line only when it is whole, and who sent a bad one may send no more.
bool can_begin_chunk(std::string_view rest, bool after_chunk) {
    std::string_view const end = "\r\n";
    if (after_chunk) {
        if (!end.starts_with(rest.substr(0, 2))) return false;
        rest.remove_prefix(std::min(end.size(), rest.size()));
    }
    if (rest.empty()) return true;
    std::size_t const digits = std::min(rest.find_first_not_of("0123456789abcdefABCDEF"), rest.size());
    if (digits == 0) return false;
    rest.remove_prefix(digits);
    if (rest.starts_with('\r')) return end.starts_with(rest.substr(0, 2));
    return rest.empty() || rest.find_first_of("; \t") == 0;
}

}  // namespace

// Beast's callbacks, straight into our Request.
class RequestParser::Impl final : public beast::http::basic_parser<true> {
public:
    Impl(Request& request, ParserLimits const& limits) : request_(request), limits_(limits) {
        header_limit(limits.header_bytes_max);
        body_limit(limits.body_bytes_max);
        eager(true);
    }

    std::string* body = nullptr;
    bool header_done = false;
    bool too_many_fields = false;
    int version = 11;
    bool chunk_seen = false;
    std::uint64_t chunk_left = 0;  // octets of the chunk that has begun

private:
    using view = beast::string_view;

    void on_request_impl(beast::http::verb, view method, view target, int number, error_code& error) override {
        request_.method.assign(method.data(), method.size());
        request_.target.assign(target.data(), target.size());
        version = number;
        error = {};
    }
    void on_response_impl(int, view, int, error_code&) override {}
    void on_field_impl(beast::http::field, view name, view value, error_code& error) override {
        error = {};
        if (header_done) return;  // a trailer field: nobody asks for them
        if (request_.headers.size() >= limits_.fields_max) {
            too_many_fields = true;
            error = beast::http::error::header_limit;
            return;
        }
        request_.headers.add({name.data(), name.size()}, {value.data(), value.size()});
    }
    void on_header_impl(error_code& error) override {
        header_done = true;
        error = {};
    }
    void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code& error) override { error = {}; }
    std::size_t on_body_impl(view piece, error_code& error) override {
        error = {};
        if (body != nullptr) body->append(piece.data(), piece.size());
        return piece.size();
    }
    void on_chunk_header_impl(std::uint64_t size, view, error_code& error) override {
        chunk_seen = true;
        chunk_left = size;
        error = {};
    }
    std::size_t on_chunk_body_impl(std::uint64_t, view piece, error_code& error) override {
        chunk_left -= piece.size();
        return on_body_impl(piece, error);
    }
    void on_finish_impl(error_code& error) override { error = {}; }

    Request& request_;
    ParserLimits const limits_;
};

RequestParser::RequestParser(ParserLimits const& limits) : impl_(std::make_unique<Impl>(request_, limits)) {}
RequestParser::~RequestParser() = default;

void RequestParser::fail(unsigned status, std::string code, std::string message) {
    status_ = status;
    code_ = std::move(code);
    message_ = std::move(message);
}

RequestParser::State RequestParser::state() const {
    if (status_ != 0) return State::failed;
    if (!impl_->header_done) return State::header;
    return impl_->is_done() ? State::done : State::body;
}

bool RequestParser::keep_alive() const { return impl_->header_done && impl_->keep_alive(); }
bool RequestParser::is_http_1_0() const { return impl_->version < 11; }
bool RequestParser::expects_continue() const {
    return !is_http_1_0() && iequals(request_.headers.get("Expect"), "100-continue");
}

std::size_t RequestParser::feed(std::string_view bytes, std::string* body) {
    std::size_t taken = 0;
    impl_->body = body;
    if (state() == State::header) {
        // RFC 9112 §2.2: empty lines before a request are ignored.
        while (request_.method.empty() && taken < bytes.size() && (bytes[taken] == '\r' || bytes[taken] == '\n'))
            ++taken;
        // The header alone first: what it says decides whether the body is wanted.
        impl_->eager(false);
    }
    while (taken < bytes.size() && (state() == State::header || state() == State::body)) {
        bool const in_header = !impl_->header_done;
        // Whatever part of a chunked body is still to come, its end "0" CRLF CRLF is; with less, Beast's own assertions
        // fail.
        if (!in_header && impl_->chunked() && bytes.size() - taken < chunked_end_bytes) break;
        error_code error;
        std::size_t const n = impl_->put({bytes.data() + taken, bytes.size() - taken}, error);
        taken += n;
        if (error == beast::http::error::need_more) break;
        if (error == beast::http::error::header_limit) {
            fail(431, "HeaderFieldsTooLarge",
                 impl_->too_many_fields ? "Too many header fields" : "The header of the request is too large");
        } else if (error == beast::http::error::body_limit) {
            fail(413, "RequestEntityTooLarge", "The body of the request is too large");
        } else if (error) {
            fail(400, "BadRequest", "Not a valid HTTP request: " + error.message());
        } else if (in_header && impl_->header_done) {
            check_header();
            if (status_ == 0) break;  // the caller looks at the header before the body is read
        }
    }
    impl_->body = nullptr;
    std::string_view const rest = bytes.substr(taken);
    if (state() == State::body && impl_->chunked() && rest.size() > impl_->chunk_left &&
        !can_begin_chunk(rest.substr(static_cast<std::size_t>(impl_->chunk_left)), impl_->chunk_seen))
        fail(400, "BadRequest", "Not a valid HTTP request: bad chunk");
    return taken;
}

void RequestParser::check_header() {
    auto const& headers = request_.headers;
    if (auto const codings = headers.all("Transfer-Encoding"); !codings.empty()) {
        if (is_http_1_0()) return fail(400, "BadRequest", "Transfer-Encoding in an HTTP/1.0 request");
        if (codings.size() > 1 || !iequals(codings[0], "chunked"))
            return fail(501, "NotImplemented", "Of transfer codings only chunked is understood");
    }
    std::size_t const hosts = headers.all("Host").size();
    if (hosts > 1 || (hosts == 0 && !is_http_1_0()))
        return fail(400, "BadRequest", "An HTTP/1.1 request has exactly one Host field");  // RFC 9112 §3.2
    if (headers.has("Expect") && !is_http_1_0() && !expects_continue())
        return fail(417, "ExpectationFailed", "Of expectations only 100-continue is understood");
    split_target();
}

// RFC 9112 §3.2: origin-form, or absolute-form, whose scheme and authority are left away.
void RequestParser::split_target() {
    std::string_view rest = request_.target;
    if (!rest.starts_with('/') && rest != "*") {
        std::size_t const authority = rest.find("://");
        if (authority != std::string_view::npos) {
            std::size_t const path = rest.find_first_of("/?", authority + 3);
            rest = path == std::string_view::npos ? std::string_view("/") : rest.substr(path);
        }
    }
    std::size_t const question = rest.find('?');
    request_.path = rest.substr(0, question);
    if (request_.path.empty()) request_.path = "/";
    if (question != std::string_view::npos) request_.query = rest.substr(question + 1);
}

}  // namespace mallard::http
