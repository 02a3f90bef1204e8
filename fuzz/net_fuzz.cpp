// What net understands of a stranger's octets. Oracles: SMTP's data is the same however it was cut, and ends where a
// search for the first CRLF.CRLF says; a PROXY header that is understood is understood at its last octet and not
// before.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.hpp"
#include "net/dot_data.hpp"
#include "net/proxy.hpp"

using namespace mallard::net;

namespace {

struct Decoded {
    std::string message;
    std::size_t taken = 0;
    bool done = false;
};

Decoded decode(std::string_view stream, std::size_t piece) {
    Decoded result;
    DotDecoder decoder;
    while (result.taken < stream.size() && !decoder.done()) {
        std::string_view in = stream.substr(result.taken, piece);
        while (!in.empty() && !decoder.done()) {
            std::string_view out;
            std::size_t const taken = decoder.step(in, out);
            result.message += out;
            result.taken += taken;
            in.remove_prefix(taken);
        }
    }
    result.done = decoder.done();
    return result;
}

void check_dot_data(std::string_view stream) {
    Decoded const whole = decode(stream, stream.size());
    for (std::size_t piece : {1u, 2u, 3u, 7u}) {
        Decoded const cut = decode(stream, piece);
        MALLARD_FUZZ_CHECK(cut.message == whole.message && cut.taken == whole.taken && cut.done == whole.done);
    }
    std::string const after_command = "\r\n" + std::string(stream);
    std::size_t const end = after_command.find("\r\n.\r\n");
    MALLARD_FUZZ_CHECK(whole.done == (end != std::string::npos));
    if (whole.done) MALLARD_FUZZ_CHECK(whole.taken == end + 3);
}

void check_proxy(std::string_view bytes) {
    ProxyHeader const header = parse_proxy(bytes);
    if (header.state != ProxyHeader::State::done) return;
    MALLARD_FUZZ_CHECK(header.length > 0 && header.length <= bytes.size());
    MALLARD_FUZZ_CHECK(parse_proxy(bytes.substr(0, header.length)).state == ProxyHeader::State::done);
    MALLARD_FUZZ_CHECK(parse_proxy(bytes.substr(0, header.length - 1)).state == ProxyHeader::State::need_more);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const bytes(reinterpret_cast<char const*>(data), size);
    if (bytes.empty()) return 0;
    check_dot_data(bytes);
    check_proxy(bytes);
    return 0;
}
