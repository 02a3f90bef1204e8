#include "imap_proto/utf7.hpp"

#include <array>
#include <cstdint>

#include "base/encoding.hpp"

namespace mallard::imap_proto {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

void append_utf8(std::uint32_t c, std::string& out) {
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | c >> 6);
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | c >> 12);
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | c >> 18);
        out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    }
}

// The shifted text between '&' and '-': base64 of UTF-16BE. False: damaged.
bool decode_shifted(std::string_view text, std::string& out) {
    std::uint32_t bits = 0, high = 0;
    unsigned count = 0;
    for (char c : text) {
        std::size_t const value = alphabet.find(c);
        if (value == std::string_view::npos) return false;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 16) continue;
        count -= 16;
        std::uint32_t const unit = bits >> count & 0xFFFF;
        bits &= (1u << count) - 1;
        if (high != 0) {
            if (unit < 0xDC00 || unit > 0xDFFF) return false;
            append_utf8(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00), out);
            high = 0;
        } else if (unit >= 0xD800 && unit <= 0xDBFF) {
            high = unit;
        } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
            return false;
        } else {
            append_utf8(unit, out);
        }
    }
    return high == 0 && count < 6 && bits == 0;
}

// The next code point of valid UTF-8, and its length.
std::uint32_t next_code_point(std::string_view text, std::size_t& at) {
    auto const byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
    std::uint32_t const lead = byte(at);
    std::size_t const length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t c = length == 1 ? lead : lead & (0xFF >> (length + 1));
    for (std::size_t i = 1; i < length && at + i < text.size(); ++i) c = c << 6 | (byte(at + i) & 0x3F);
    at = std::min(text.size(), at + length);
    return c;
}

}  // namespace

std::optional<std::string> decode_utf7(std::string_view name) {
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != '&') {
            out += name[i];
            continue;
        }
        std::size_t const end = name.find('-', i);
        if (end == std::string_view::npos) return std::nullopt;
        if (end == i + 1)
            out += '&';
        else if (!decode_shifted(name.substr(i + 1, end - i - 1), out))
            return std::nullopt;
        i = end;
    }
    if (!is_valid_utf8(out)) return std::nullopt;
    return out;
}

std::string encode_utf7(std::string_view utf8) {
    std::string out;
    for (std::size_t i = 0; i < utf8.size();) {
        char const c = utf8[i];
        if (c >= 0x20 && c <= 0x7e) {
            out += c;
            if (c == '&') out += '-';
            ++i;
            continue;
        }
        out += '&';
        std::uint32_t bits = 0;
        unsigned count = 0;
        auto put = [&](std::uint32_t unit) {
            bits = bits << 16 | unit;
            count += 16;
            while (count >= 6) {
                count -= 6;
                out += alphabet[bits >> count & 0x3F];
            }
            bits &= (1u << count) - 1;
        };
        while (i < utf8.size() && (utf8[i] < 0x20 || utf8[i] > 0x7e)) {
            std::uint32_t const code = next_code_point(utf8, i);
            if (code >= 0x10000) {
                put(0xD800 + ((code - 0x10000) >> 10));
                put(0xDC00 + ((code - 0x10000) & 0x3FF));
            } else {
                put(code);
            }
        }
        if (count > 0) out += alphabet[bits << (6 - count) & 0x3F];
        out += '-';
    }
    return out;
}

}  // namespace mallard::imap_proto
