// Unfolding, encoded words, message ids.
#include "mime/header.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mime/charset.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t charset_name_max = 64;  // in an encoded word, with the language
constexpr std::size_t encoded_word_max = 75;  // RFC 2047 §2
constexpr std::size_t message_ids_max = 10'000;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

struct EncodedWord {
    std::string_view charset;  // without RFC 2231 §5's language
    char encoding = 'q';       // 'q' or 'b'
    std::string_view text;
    std::size_t end = 0;  // behind "?="
};

// Finds encoded words from left to right. Linear: the search for "?=" never passes the same octets twice.
class WordScanner {
public:
    explicit WordScanner(std::string_view text) : text_(text) {}

    // The encoded word that begins with the "=?" at `at`, if one does.
    std::optional<EncodedWord> word_at(std::size_t at) {
        std::size_t const charset_begin = at + 2;
        std::string_view const head = text_.substr(charset_begin, charset_name_max);
        std::size_t const length = head.find_first_of("? \t");
        if (length == std::string_view::npos || length == 0 || head[length] != '?') return std::nullopt;
        std::size_t const encoding_at = charset_begin + length + 1;
        if (encoding_at + 1 >= text_.size() || text_[encoding_at + 1] != '?') return std::nullopt;
        EncodedWord word;
        word.encoding = ascii_lower(text_[encoding_at]);
        if (word.encoding != 'q' && word.encoding != 'b') return std::nullopt;
        std::size_t const begin = encoding_at + 2;
        if (closing_ != std::string_view::npos && closing_ < begin) closing_ = text_.find("?=", begin);
        if (closing_ == std::string_view::npos) return std::nullopt;
        word.charset = head.substr(0, std::min(length, head.find('*')));
        word.text = text_.substr(begin, closing_ - begin);
        word.end = closing_ + 2;
        return word;
    }

private:
    std::string_view text_;
    std::size_t closing_ = 0;  // the first "?=" at or behind the place of the last search; npos: no more
};

std::string decode_q(std::string_view text) {  // RFC 2047 §4.2
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '_') {
            out.push_back(' ');
        } else if (text[i] == '=' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                   hex_digit(text[i + 2]) >= 0) {
            out.push_back(static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

// Neighbours of one charset and encoding, whose octets belong together: senders cut characters in two.
struct Run {
    std::string charset;
    char encoding = 0;  // 0: no run
    std::string text;

    void flush(std::string& out) {
        if (encoding == 0) return;
        std::string decoded = to_utf8(encoding == 'b' ? decode_transfer(text, "base64") : decode_q(text), charset);
        for (char& c : decoded)  // a header value has no line ends, however they were smuggled in
            if (c == '\r' || c == '\n' || c == '\0') c = ' ';
        out += decoded;
        encoding = 0;
        text.clear();
    }
};

bool is_printable_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= ' ' && c < 127) || c == '\t'; });
}

bool is_ascii(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

void append_q(std::string& out, char c) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    bool const safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '!' ||
                      c == '*' || c == '+' || c == '-' || c == '/';  // RFC 2047 §5 (3): the strictest place
    if (safe) {
        out.push_back(c);
    } else if (c == ' ') {
        out.push_back('_');
    } else {
        out += {'=', digits[static_cast<unsigned char>(c) >> 4], digits[static_cast<unsigned char>(c) & 15]};
    }
}

}  // namespace

std::string unfold(std::string_view raw) {
    std::string_view const text = trim(raw);
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const line_feed = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, line_feed - at);
        if (line_feed < text.size() && line.ends_with('\r')) line.remove_suffix(1);
        out.append(line);
        at = line_feed + 1;
    }
    return out;
}

std::string decode_words(std::string_view unfolded) {
    std::size_t next = unfolded.find("=?");
    if (next == std::string_view::npos) return is_ascii(unfolded) ? std::string(unfolded) : to_utf8(unfolded, "");
    std::string out;
    WordScanner scanner(unfolded);
    Run run;
    std::size_t plain = 0;  // what is not yet written begins here
    while (next != std::string_view::npos) {
        auto const word = scanner.word_at(next);
        if (!word) {
            next = unfolded.find("=?", next + 2);
            continue;
        }
        std::string_view const between = unfolded.substr(plain, next - plain);
        bool const adjacent = run.encoding != 0 && std::ranges::all_of(between, is_blank);  // RFC 2047 §6.2
        if (!adjacent || run.encoding != word->encoding || !iequals(run.charset, word->charset)) {
            run.flush(out);
            if (!adjacent) out += to_utf8(between, "");
            run.charset = word->charset;
            run.encoding = word->encoding;
        }
        run.text += word->text;
        plain = word->end;
        next = unfolded.find("=?", plain);
    }
    run.flush(out);
    out += to_utf8(unfolded.substr(plain), "");
    return out;
}

std::string encode_words(std::string_view utf8) {
    if (is_printable_ascii(utf8) && utf8.find("=?") == std::string_view::npos) return std::string(utf8);
    constexpr std::string_view prefix = "=?UTF-8?Q?", suffix = "?=";
    std::string const valid = to_valid_utf8(utf8);
    std::string out(prefix), character;
    std::size_t word_begin = 0;
    for (std::size_t at = 0; at < valid.size();) {
        std::size_t end = at + 1;  // a character is never cut in two (RFC 2047 §5)
        while (end < valid.size() && (static_cast<unsigned char>(valid[end]) & 0xC0) == 0x80) ++end;
        character.clear();
        for (; at < end; ++at) append_q(character, valid[at]);
        if (out.size() - word_begin + character.size() + suffix.size() > encoded_word_max) {
            out.append(suffix).push_back(' ');
            word_begin = out.size();
            out.append(prefix);
        }
        out += character;
    }
    return out.append(suffix);
}

std::vector<std::string> parse_message_ids(std::string_view unfolded) {
    std::vector<std::string> ids;
    for (std::size_t at = unfolded.find('<'); at != std::string_view::npos && ids.size() < message_ids_max;) {
        std::size_t const end = unfolded.find('>', at);
        if (end == std::string_view::npos) break;
        std::size_t const begin = unfolded.rfind('<', end);  // "<a <b@c>": the inner one
        ids.emplace_back(unfolded.substr(begin, end + 1 - begin));
        at = unfolded.find('<', end);
    }
    if (!ids.empty()) return ids;
    for (std::size_t at = 0; at < unfolded.size() && ids.size() < message_ids_max;) {  // bare ids
        std::size_t const end = std::min(unfolded.find_first_of(" \t\r\n,", at), unfolded.size());
        std::string_view const word = unfolded.substr(at, end - at);
        if (word.find('@') != std::string_view::npos) ids.push_back('<' + std::string(word) + '>');
        at = end + 1;
    }
    return ids;
}

}  // namespace mallard::mime
