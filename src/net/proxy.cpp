#include "net/proxy.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "base/encoding.hpp"

namespace mallard::net {

namespace {

using State = ProxyHeader::State;

constexpr std::string_view v1_start = "PROXY";
constexpr std::string_view v2_signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t v2_fixed_bytes = 16;

std::vector<std::string_view> split_words(std::string_view line) {
    std::vector<std::string_view> words;
    while (!line.empty()) {
        std::size_t const end = std::min(line.find(' '), line.size());
        if (end > 0) words.push_back(line.substr(0, end));
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return words;
}

bool parse_port(std::string_view text, std::uint16_t& port) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

// §2.1: PROXY TCP4 source destination sourceport destinationport. The protocol word's case is not minded, and a line
// may end in LF alone, as WildDuck has it (protocols.md §1.1).
ProxyHeader parse_v1(std::string_view bytes) {
    std::size_t const end = bytes.substr(0, proxy_v1_bytes_max).find('\n');
    if (end == std::string_view::npos)
        return {bytes.size() >= proxy_v1_bytes_max ? State::bad : State::need_more, bytes.size(), {}, {}};
    std::string_view line = bytes.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto const words = split_words(line);
    if (words.empty() || !iequals(words[0], v1_start)) return {State::bad, 0, {}, {}};
    ProxyHeader header{State::done, end + 1, {}, {}};
    if (words.size() < 2) return {State::bad, 0, {}, {}};
    if (iequals(words[1], "UNKNOWN")) return header;
    if ((!iequals(words[1], "TCP4") && !iequals(words[1], "TCP6")) || words.size() != 6) return {State::bad, 0, {}, {}};
    header.source = parse_address(words[2]);
    header.destination = parse_address(words[3]);
    if (!header.source || !header.destination || !parse_port(words[4], header.source->port) ||
        !parse_port(words[5], header.destination->port))
        return {State::bad, 0, {}, {}};
    return header;
}

std::uint16_t read_u16(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

// §2.2
ProxyHeader parse_v2(std::string_view bytes) {
    if (bytes.size() < v2_fixed_bytes) return {State::need_more, bytes.size(), {}, {}};
    auto const version_command = static_cast<unsigned char>(bytes[12]);
    auto const family = static_cast<unsigned char>(bytes[13]) >> 4;
    if (version_command >> 4 != 2 || (version_command & 15) > 1) return {State::bad, 0, {}, {}};
    std::size_t const total = v2_fixed_bytes + read_u16(bytes, 14);
    if (bytes.size() < total) return {State::need_more, bytes.size(), {}, {}};
    ProxyHeader header{State::done, total, {}, {}};
    bool const local = (version_command & 15) == 0;
    std::size_t const address_bytes = family == 1 ? 4 : family == 2 ? 16 : 0;
    if (local || address_bytes == 0) return header;
    std::string_view const addresses = bytes.substr(v2_fixed_bytes, total - v2_fixed_bytes);
    if (addresses.size() < 2 * address_bytes + 4) return {State::bad, 0, {}, {}};
    auto const read = [&](std::size_t at, std::size_t port_at) {
        Address address;
        if (address_bytes == 4) address.bytes[10] = address.bytes[11] = 0xff;
        std::memcpy(address.bytes.data() + 16 - address_bytes, addresses.data() + at, address_bytes);
        address.port = read_u16(addresses, port_at);
        return address;
    };
    header.source = read(0, 2 * address_bytes);
    header.destination = read(address_bytes, 2 * address_bytes + 2);
    return header;
}

bool could_begin(std::string_view bytes, std::string_view start) {
    std::size_t const n = std::min(bytes.size(), start.size());
    return iequals(bytes.substr(0, n), start.substr(0, n));
}

}  // namespace

ProxyHeader parse_proxy(std::string_view bytes) {
    if (bytes.empty()) return {};
    if (could_begin(bytes, v1_start)) return parse_v1(bytes);
    if (could_begin(bytes, v2_signature)) return parse_v2(bytes);
    return {State::bad, 0, {}, {}};
}

}  // namespace mallard::net
