#include "support/random_mime.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/encoding.hpp"

namespace mallard::test {

namespace {

constexpr std::array<std::string_view, 12> words{"hello",
                                                 "a",
                                                 "",
                                                 "=?utf-8?q?=C3=A4?=",
                                                 "\xC3\xA4",
                                                 "\xE4",
                                                 "\"quoted \\\" x\"",
                                                 "(comment)",
                                                 "<a@b.example>",
                                                 ",",
                                                 "=?iso-8859-1?b?5A==?=",
                                                 "x@y"};
constexpr std::array<std::string_view, 14> names{"Subject",    "From",   "To",       "Cc",         "Bcc",
                                                 "Reply-To",   "Sender", "Date",     "Message-ID", "In-Reply-To",
                                                 "References", "X-Odd",  "Received", "List-Id"};
constexpr std::array<std::string_view, 8> leaf_types{"text/plain; charset=utf-8",
                                                     "text/html; charset=iso-8859-1",
                                                     "application/pdf; name=x.pdf",
                                                     "image/png",
                                                     "text/plain; format=flowed",
                                                     "message/delivery-status",
                                                     "x",
                                                     "text/calendar"};
constexpr std::array<std::string_view, 7> subtypes{"mixed",  "alternative", "related", "digest",
                                                   "report", "signed",      "MiXeD"};
constexpr std::array<std::string_view, 6> bad_bytes{std::string_view("\0", 1), "\r", "\n", "\xFF", "\r\r\n", "\n\r"};

// One octet in three escaped, soft line breaks at odd places.
std::string quoted_printable(std::string_view text, std::string_view line_end) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    std::size_t column = 0;
    for (char c : text) {
        auto const octet = static_cast<unsigned char>(c);
        if (octet % 3 == 0 || octet >= 0x7F || octet < ' ' || c == '=') {
            out += {'=', digits[octet >> 4], digits[octet & 15]};
            column += 3;
        } else {
            out.push_back(c);
            ++column;
        }
        if (column > 70) {
            out.append("=").append(line_end);
            column = 0;
        }
    }
    return out;
}

std::string base64_lines(std::string_view bytes, std::size_t width, std::string_view line_end) {
    std::string const encoded = base64_encode(bytes);
    std::string out;
    for (std::size_t at = 0; at < encoded.size(); at += width) out.append(encoded.substr(at, width)).append(line_end);
    return out;
}

}  // namespace

std::string RandomMime::word() { return std::string(pick(words)); }

std::string RandomMime::value() {
    std::string out;
    for (unsigned count = below(6); count > 0; --count) {
        out += ' ';
        out += word();
        if (chance(15)) out += line_end_ + (chance(50) ? " " : "\t");
    }
    return out;
}

std::string RandomMime::bytes(std::size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
}

std::string RandomMime::text(std::size_t size) {
    std::string out;
    while (out.size() < size) {
        out += word();
        out += chance(20) ? line_end_ : " ";
        if (chance(3)) out += "--" + last_boundary_ + (chance(50) ? line_end_ : "x");
    }
    return out;
}

std::string RandomMime::boundary() {
    constexpr std::array<std::string_view, 7> odd{"b", "bb", "b--", "--b", "a b", "=_x'()+_,-./:=?", "\xC3\xA4"};
    std::string out = chance(40) ? last_boundary_ : std::string(pick(odd));  // the same again, or much like it
    if (chance(30)) out += static_cast<char>('a' + below(26));
    if (chance(2)) out.assign(200, 'B');
    return last_boundary_ = out;
}

std::string RandomMime::fields(bool top) {
    std::string out;
    for (unsigned count = top ? 2 + below(8) : below(3); count > 0; --count) {
        if (chance(3)) out += "no colon here" + line_end_;
        out += std::string(pick(names)) + (chance(5) ? " :" : ":") + value() + line_end_;
    }
    return out;
}

std::string RandomMime::multipart(unsigned depth) {
    std::string const mark = boundary();
    std::string out = "Content-Type: multipart/" + std::string(pick(subtypes)) + "; boundary=\"" + mark + "\"" +
                      line_end_ + line_end_;
    if (chance(30)) out += text(below(80)) + line_end_;  // preamble
    for (unsigned count = below(options_.children_max + 1); count > 0; --count)
        out += "--" + mark + (chance(5) ? " " : "") + line_end_ + entity(depth + 1, false) + line_end_;
    if (!options_.damage || !chance(15)) out += "--" + mark + "--" + (chance(80) ? line_end_ : "");
    if (chance(20)) out += text(below(80));  // epilogue
    return out;
}

std::string RandomMime::leaf() {
    std::string out;
    if (chance(85)) out += "Content-Type: " + std::string(pick(leaf_types)) + line_end_;
    if (chance(30))
        out += "Content-Disposition: attachment; filename*=utf-8''%C3%A4" +
               std::string(1, static_cast<char>('a' + below(26))) + line_end_;
    if (chance(10)) out += "Content-ID: <" + std::to_string(below(1000)) + "@x>" + line_end_;
    std::size_t const size = below(static_cast<unsigned>(options_.leaf_bytes_max) + 1);
    switch (below(6)) {
        case 0:
            return out + "Content-Transfer-Encoding: base64" + line_end_ + line_end_ +
                   base64_lines(bytes(size), 4 + below(75), line_end_);
        case 1:
            return out + "Content-Transfer-Encoding: Quoted-Printable" + line_end_ + line_end_ +
                   quoted_printable(text(size), line_end_);
        case 2: return out + "Content-Transfer-Encoding: 8bit" + line_end_ + line_end_ + text(size);
        case 3:
            return out + "Content-Transfer-Encoding: binary" + line_end_ + line_end_ +
                   (options_.damage ? bytes(size) : text(size));
        case 4: return out + "Content-Transfer-Encoding: x-odd" + line_end_ + line_end_ + text(size);
        default: return out + line_end_ + text(size);
    }
}

std::string RandomMime::entity(unsigned depth, bool top) {
    if (options_.damage && chance(3)) return fields(top);  // a header that never ends
    std::string out = fields(top);
    bool const deeper = depth < options_.depth_max;
    if (deeper && chance(top ? 70 : 35)) return out + multipart(depth);
    if (deeper && chance(15))
        return out + "Content-Type: message/rfc822" + line_end_ + line_end_ + entity(depth + 1, true);
    return out + leaf();
}

std::string RandomMime::damaged(std::string source) {
    for (unsigned count = below(4); count > 0 && !source.empty(); --count) {
        std::size_t const at = random_() % source.size();
        switch (below(4)) {
            case 0: source.insert(at, pick(bad_bytes)); break;
            case 1: source.erase(at, 1 + below(20)); break;
            case 2: source[at] = static_cast<char>(below(256)); break;
            default: source.resize(at); break;
        }
    }
    return source;
}

std::string RandomMime::message() {
    line_end_ = chance(75) ? "\r\n" : "\n";
    std::string source = entity(0, true);
    if (chance(30))
        while (source.ends_with('\n') || source.ends_with('\r')) source.pop_back();
    return options_.damage && chance(50) ? damaged(std::move(source)) : source;
}

}  // namespace mallard::test
