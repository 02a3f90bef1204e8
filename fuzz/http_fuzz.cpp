// An HTTP connection's octets. Oracle: the requests that are understood are the same however the octets were cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "http/request_parser.hpp"

using namespace mallard::http;
using State = RequestParser::State;

namespace {

struct Seen {
    std::string method, path, query, body;
    std::size_t fields;
    bool keep_alive;
    bool operator==(Seen const&) const = default;
};

// As the transport does it: what was not taken is given again with more behind it.
std::vector<Seen> requests_of(std::string_view stream, std::size_t piece) {
    std::vector<Seen> seen;
    std::string unparsed;
    for (;;) {
        RequestParser parser({.header_bytes_max = 2048, .body_bytes_max = 4096, .fields_max = 20});
        std::string body;
        while (parser.state() == State::header || parser.state() == State::body) {
            std::size_t const taken = parser.feed(unparsed, &body);
            MALLARD_FUZZ_CHECK(taken <= unparsed.size());
            unparsed.erase(0, taken);
            if (taken > 0 && !unparsed.empty()) continue;
            if (parser.state() == State::done || parser.state() == State::failed || stream.empty()) break;
            unparsed += stream.substr(0, piece);
            stream.remove_prefix(std::min(piece, stream.size()));
        }
        if (parser.state() != State::done) return seen;
        Request const& request = parser.request();
        MALLARD_FUZZ_CHECK(!request.method.empty() && !request.path.empty());
        MALLARD_FUZZ_CHECK(body.size() <= 4096);
        seen.push_back(
            {request.method, request.path, request.query, body, request.headers.size(), parser.keep_alive()});
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const stream(reinterpret_cast<char const*>(data), size);
    auto const whole = requests_of(stream, std::max<std::size_t>(size, 1));
    MALLARD_FUZZ_CHECK(requests_of(stream, 1) == whole);
    MALLARD_FUZZ_CHECK(requests_of(stream, 7) == whole);
    return 0;
}
