// Content-Transfer-Encoding (RFC 2045 §6).

#include <array>
#include <cstdint>
#include <cstring>

#include "base/encoding.hpp"
#include "mime/charset.hpp"

namespace mallard::mime {

namespace {

constexpr std::uint8_t not_base64 = 0xFF;

constexpr auto base64_values = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(not_base64);
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return table;
}();

std::uint8_t base64_value(char c) { return base64_values[static_cast<unsigned char>(c)]; }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// RFC 2045 §6.8: characters outside the alphabet are skipped. Padding ends a run of bits, so that encodings that were
// joined decode as what they were.
std::string decode_base64(std::string_view text) {
    std::string out(text.size() / 4 * 3 + 3, '\0');
    char* write = out.data();
    std::uint32_t bits = 0;
    int count = 0;
    char const* at = text.data();
    char const* const end = at + text.size();
    while (at < end) {
        if (count == 0) {
            while (end - at >= 4) {  // whole groups without anything odd
                std::uint32_t const a = base64_value(at[0]), b = base64_value(at[1]), c = base64_value(at[2]),
                                    d = base64_value(at[3]);
                if ((a | b | c | d) & 0xC0) break;
                std::uint32_t const group = a << 18 | b << 12 | c << 6 | d;
                *write++ = static_cast<char>(group >> 16);
                *write++ = static_cast<char>(group >> 8);
                *write++ = static_cast<char>(group);
                at += 4;
            }
            if (at == end) break;
        }
        char const c = *at++;
        if (c == '=') {
            bits = 0;
            count = 0;
            continue;
        }
        std::uint8_t const value = base64_value(c);
        if (value == not_base64) continue;
        bits = (bits << 6 | value) & 0xFFFFFF;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *write++ = static_cast<char>(bits >> count & 0xFF);
        }
    }
    out.resize(static_cast<std::size_t>(write - out.data()));
    return out;
}

// RFC 2045 §6.7. What is not an escape stays as it is.
std::string decode_quoted_printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t line_end = text.find('\n', at);
        bool const ended = line_end != std::string_view::npos;
        if (!ended) line_end = text.size();
        std::string_view line = text.substr(at, line_end - at);
        at = line_end + 1;
        bool const carriage_return = ended && line.ends_with('\r');
        if (carriage_return) line.remove_suffix(1);
        while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);  // added on the way: rule 3
        bool const soft = line.ends_with('=');
        if (soft) line.remove_suffix(1);
        for (std::size_t from = 0; from < line.size();) {
            std::size_t const equals = line.find('=', from);
            out.append(line.substr(from, equals - from));
            if (equals == std::string_view::npos) break;
            from = equals + 1;
            int const high = from < line.size() ? hex_digit(line[from]) : -1;
            int const low = from + 1 < line.size() ? hex_digit(line[from + 1]) : -1;
            if (high >= 0 && low >= 0) {
                out.push_back(static_cast<char>(high << 4 | low));
                from += 2;
            } else {
                out.push_back('=');
            }
        }
        if (ended && !soft) out.append(carriage_return ? "\r\n" : "\n");
    }
    return out;
}

}  // namespace

std::string decode_transfer(std::string_view content, std::string_view encoding) {
    if (iequals(encoding, "base64")) return decode_base64(content);
    if (iequals(encoding, "quoted-printable")) return decode_quoted_printable(content);
    return std::string(content);
}

}  // namespace mallard::mime
