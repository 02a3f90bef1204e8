#include "message.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <vector>

namespace bench {

namespace {

// splitmix64: the same sequence on every machine.
struct Random {
    std::uint64_t state;
    std::uint64_t next() {
        std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
        return z ^ z >> 31;
    }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
};

// 4,096 words of two to four syllables; small numbers are drawn more often, as words are in a language.
std::vector<std::string> const& words() {
    static std::vector<std::string> const list = [] {
        constexpr std::array<std::string_view, 32> syllables = {
            "an",  "ter", "mo", "ver", "ing", "re", "con", "la", "di", "est", "pro", "al", "com", "en", "is",  "to",
            "per", "ma",  "ti", "on",  "us",  "de", "in",  "ly", "ex", "sta", "po",  "ri", "ca",  "un", "ted", "or"};
        std::vector<std::string> made;
        Random random{42};
        for (int i = 0; i < 4096; ++i) {
            std::string word;
            for (std::size_t n = 1 + random.below(i < 200 ? 2 : 4); n > 0; --n) word += syllables[random.below(32)];
            made.push_back(word);
        }
        return made;
    }();
    return list;
}

std::string_view word(Random& random) {
    std::size_t const limit = std::size_t{64} << random.below(7);  // 64 .. 4096
    return words()[random.below(limit)];
}

std::string header(Random& random, std::uint64_t seed, std::string const& to) {
    return fmt::format(
        "From: Sender {0} <sender{0}@example.com>\r\nTo: <{1}>\r\nSubject: {2} {3} {4}\r\n"
        "Date: Mon, {5:02} Jan 2024 10:{6:02}:{7:02} +0000\r\nMessage-ID: <{8:016x}.{9}@example.com>\r\n"
        "MIME-Version: 1.0\r\n",
        seed % 50, to, word(random), word(random), word(random), 1 + seed % 28, seed % 60, seed / 60 % 60,
        random.next(), seed);
}

void fill_with_text(std::string& out, std::size_t until, Random& random) {
    std::size_t column = 0;
    while (out.size() + 2 < until) {
        auto const w = word(random);
        if (column + w.size() > 74) {
            out += "\r\n";
            column = 0;
        }
        out += w;
        out += random.below(12) == 0 ? ". " : " ";
        column += w.size() + 1;
    }
    out += "\r\n";
}

}  // namespace

std::string text_message(std::uint64_t seed, std::size_t bytes, std::string const& to) {
    Random random{seed * 7919 + 1};
    auto out = header(random, seed, to) + "Content-Type: text/plain; charset=utf-8\r\n\r\n";
    fill_with_text(out, bytes, random);
    return out;
}

std::string attachment_message(std::uint64_t seed, std::size_t bytes, std::string const& to) {
    Random random{seed * 7919 + 1};
    auto out = header(random, seed, to) +
               "Content-Type: multipart/mixed; boundary=\"bench-boundary\"\r\n\r\n--bench-boundary\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n\r\n";
    fill_with_text(out, out.size() + 500, random);
    out +=
        "--bench-boundary\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename=\"data.bin\"\r\n\r\n";
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Random shared{7};
    for (std::size_t made = 0; made < bytes; made += 78) {
        std::uint64_t bits = 0;
        for (int i = 0; i < 76; ++i, bits >>= 6) {
            if (i % 10 == 0) bits = shared.next();
            out += alphabet[bits & 63];
        }
        out += "\r\n";
    }
    out += "--bench-boundary--\r\n";
    return out;
}

}  // namespace bench
