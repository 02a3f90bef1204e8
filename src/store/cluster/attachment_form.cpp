// How a body lies in the store (storage.md §10.3). Pure.
#include <algorithm>

#include "base/encoding.hpp"
#include "store/cluster/attachments.hpp"

namespace mallard::store::cluster {

namespace {

bool is_base64(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
           c == '=';
}

// The length of the first line if WildDuck would decode the body; 0: it would not.
std::size_t line_length_of(StoredBody const& body) {
    constexpr std::size_t scanned_max = 1'000, line_max = 998, usual = 76;
    std::string_view const text = body.encoded;
    std::size_t const scanned = std::min(text.size(), scanned_max);
    std::size_t length = 0;
    while (length < scanned && is_base64(text[length])) ++length;
    if (length == text.size()) {
        if (length < usual) length = usual;
    } else if (!text.substr(length).starts_with("\r\n")) {
        return 0;
    }
    if (length < 1 || length > line_max) return 0;
    std::uint64_t const expected = (text.size() + length + 1) / (length + 2);
    return expected <= body.lines + 1 && body.lines <= expected + 1 ? length : 0;
}

}  // namespace

std::string encode_lines(std::string_view bytes, std::size_t line_length) {
    std::string const flat = base64_encode(bytes);
    if (line_length == 0) return flat;
    std::string out;
    out.reserve(flat.size() + flat.size() / line_length * 2);
    for (std::size_t at = 0; at < flat.size(); at += line_length) {
        if (at > 0) out += "\r\n";
        out.append(flat, at, line_length);
    }
    return out;
}

StoredForm stored_form(StoredBody const& body) {
    if (body.transfer_encoding == "base64") {
        if (std::size_t const length = line_length_of(body)) {
            std::string flat;
            flat.reserve(body.encoded.size());
            std::ranges::copy_if(body.encoded, std::back_inserter(flat), is_base64);
            if (auto bytes = base64_decode(flat); bytes && encode_lines(*bytes, length) == body.encoded)
                return {.bytes = std::move(*bytes), .decoded = true, .line_length = length};
        }
    }
    return {.bytes = body.encoded};
}

}  // namespace mallard::store::cluster
