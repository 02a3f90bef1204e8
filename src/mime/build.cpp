#include "mime/build.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/clock.hpp"
#include "base/encoding.hpp"
#include "base/random.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t line_wanted = 76;  // RFC 5322 §2.1.1, RFC 2045 §6.8
constexpr std::size_t line_max = 998;

// A body part ready to be put into a multipart: header lines (CRLF each) and content.
struct Block {
    std::string header;
    std::string content;
    std::string whole() const { return header + "\r\n" + content; }
};

bool is_field_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) { return c > ' ' && c < 127 && c != ':'; });
}

bool is_address_field(std::string_view name) {
    constexpr std::array<std::string_view, 9> names{"from", "sender",      "reply-to",  "to",       "cc",
                                                    "bcc",  "resent-from", "resent-to", "resent-cc"};
    return std::ranges::any_of(names, [&](std::string_view n) { return iequals(n, name); });
}

// RFC 5322 §2.2.3: folds before blanks, where there are any.
std::string fold(std::string_view name, std::string_view value) {
    std::string out(name);
    out += ':';
    std::size_t column = out.size();
    for (std::size_t at = 0; at < value.size();) {
        std::size_t const end = std::min(value.find(' ', at + 1), value.size());
        std::string_view const word = value.substr(at, end - at);
        bool const first = at == 0;
        if (!first && word.front() == ' ' && word.size() > 1 && column + word.size() > line_wanted) {
            out += "\r\n";
            column = 0;
        }
        if (first && word.front() != ' ') {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        at = end;
    }
    return out += "\r\n";
}

std::string render_field(std::string_view name, std::string_view raw) {
    // Line ends are taken out and control characters encoded: a value cannot begin another field.
    std::string const value = unfold(raw);
    return fold(name, is_address_field(name) ? format_addresses(parse_addresses(value)) : encode_words(value));
}

std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 32);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        if (text[i] == '\n' || text[i] == '\r')
            out += "\r\n";
        else
            out.push_back(text[i]);
    }
    return out;
}

// RFC 2045 §2.7, with lines that need no wrapping.
bool is_seven_bit(std::string_view text) {
    std::size_t line = 0;
    for (char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80 || c == '\0') return false;
        line = c == '\n' ? 0 : line + 1;
        if (line > line_max) return false;
    }
    return true;
}

// RFC 2045 §6.7; the text has CRLF line ends.
std::string quoted_printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    std::size_t column = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const c = static_cast<unsigned char>(text[i]);
        if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
            out += "\r\n";
            ++i;
            column = 0;
            continue;
        }
        bool const line_ends = i + 1 == text.size() || text[i + 1] == '\r';
        bool const literal = (c > ' ' && c < 127 && c != '=') || ((c == ' ' || c == '\t') && !line_ends);
        std::size_t const width = literal ? 1 : 3;
        if (column + width > line_wanted - 1) {
            out += "=\r\n";
            column = 0;
        }
        if (literal)
            out.push_back(static_cast<char>(c));
        else
            out += {'=', digits[c >> 4], digits[c & 15]};
        column += width;
    }
    return out;
}

std::string base64_lines(std::string_view bytes) {
    constexpr std::size_t octets_per_line = line_wanted / 4 * 3;
    std::string out;
    out.reserve(bytes.size() / 3 * 4 + bytes.size() / octets_per_line * 2 + 8);
    for (std::size_t at = 0; at < bytes.size(); at += octets_per_line) {
        if (at > 0) out += "\r\n";
        out += base64_encode(bytes.substr(at, octets_per_line));
    }
    return out;
}

// "; name=value" in the form that fits (RFC 2045 §5.1, RFC 2231 §4), each on a line of its own when long.
std::string render_parameter(std::string_view name, std::string_view value) {
    constexpr std::size_t piece_max = 60;
    bool const printable = std::ranges::all_of(value, [](char c) { return c >= ' ' && c < 127; });
    if (printable && value.size() <= piece_max) {
        std::string out = fmt::format(";\r\n {}=\"", name);
        for (char c : value) {
            if (c == '"' || c == '\\') out.push_back('\\');
            out.push_back(c);
        }
        return out += '"';
    }
    std::vector<std::string> pieces(1, "utf-8''");
    for (char c : value) {
        bool const safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                          c == '-' || c == '_';
        if (pieces.back().size() + 3 > piece_max) pieces.emplace_back();
        pieces.back() += safe ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    // RFC 2231 §4.1; numbered also when there is one piece only, as WildDuck writes it (api.md §33).
    std::string out;
    for (std::size_t i = 0; i < pieces.size(); ++i) out += fmt::format(";\r\n {}*{}*={}", name, i, pieces[i]);
    return out;
}

Block text_block(std::string_view subtype, std::string_view utf8) {
    Block block;
    block.content = with_crlf(utf8);
    std::string_view encoding = "7bit";
    if (!is_seven_bit(block.content)) {
        encoding = "quoted-printable";
        block.content = quoted_printable(block.content);
    }
    block.header =
        fmt::format("Content-Type: text/{}; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n", subtype, encoding);
    return block;
}

// "type/subtype" in token characters, else application/octet-stream.
std::string content_type_of(NewAttachment const& attachment) {
    std::string_view const type =
        trim(std::string_view(attachment.content_type).substr(0, attachment.content_type.find(';')));
    bool const token = std::ranges::all_of(type, [](char c) {
        return c > ' ' && c < 127 && std::string_view("()<>@,;:\\\"[]?=").find(c) == std::string_view::npos;
    });
    std::size_t const slash = type.find('/');
    bool const valid = token && slash != std::string_view::npos && slash > 0 && slash + 1 < type.size() &&
                       !to_lower(type).starts_with("multipart/");
    return valid ? std::string(type) : "application/octet-stream";
}

Block attachment_block(NewAttachment const& attachment) {
    Block block;
    std::string const type = content_type_of(attachment);
    bool const message = to_lower(type) == "message/rfc822";  // RFC 2046 §5.2.1: never encoded
    block.header = "Content-Type: " + type;
    if (!attachment.filename.empty()) block.header += render_parameter("name", attachment.filename);
    std::string_view const wanted = attachment.disposition;
    bool const inside = wanted.empty() ? !attachment.content_id.empty() : iequals(wanted, "inline");
    block.header += fmt::format("\r\nContent-Disposition: {}", inside ? "inline" : "attachment");
    if (!attachment.filename.empty()) block.header += render_parameter("filename", attachment.filename);
    block.header += "\r\n";
    if (!attachment.content_id.empty()) {
        std::string id = unfold(attachment.content_id);
        if (!id.starts_with('<')) id = '<' + id + '>';
        block.header += render_field("Content-ID", id);
    }
    if (message) {
        block.content = attachment.content;
        block.header += fmt::format("Content-Transfer-Encoding: {}\r\n", is_seven_bit(block.content) ? "7bit" : "8bit");
    } else {
        block.content = base64_lines(attachment.content);
        block.header += "Content-Transfer-Encoding: base64\r\n";
    }
    return block;
}

Block multipart(std::string_view subtype, std::vector<Block> const& children) {
    std::string const boundary = "=_" + random_hex(16);  // "=_" never stands in quoted-printable or base64
    Block block;
    block.header = fmt::format("Content-Type: multipart/{}; boundary=\"{}\"\r\n", subtype, boundary);
    for (Block const& child : children) block.content += fmt::format("--{}\r\n{}\r\n", boundary, child.whole());
    block.content += fmt::format("--{}--\r\n", boundary);
    return block;
}

Block content_of(NewMail const& mail) {
    Block body;
    if (!mail.html.empty() && !mail.text.empty())
        body = multipart("alternative", {text_block("plain", mail.text), text_block("html", mail.html)});
    else if (!mail.html.empty())
        body = text_block("html", mail.html);
    else
        body = text_block("plain", mail.text);

    std::vector<Block> related, attached;  // what the HTML shows lies beside it (RFC 2387)
    for (NewAttachment const& attachment : mail.attachments) {
        bool const shown =
            !mail.html.empty() && !attachment.content_id.empty() && !iequals(attachment.disposition, "attachment");
        (shown ? related : attached).push_back(attachment_block(attachment));
    }
    if (!related.empty()) {
        related.insert(related.begin(), std::move(body));
        body = multipart("related", related);
    }
    if (!attached.empty()) {
        attached.insert(attached.begin(), std::move(body));
        body = multipart("mixed", attached);
    }
    return body;
}

std::string new_message_id(NewMail const& mail) {
    std::string host = "localhost";
    for (auto const& [name, value] : mail.fields) {
        if (!iequals(name, "from")) continue;
        auto const from = parse_addresses(unfold(value));
        if (!from.empty() && !from.front().host.empty()) host = from.front().host;
    }
    std::string const id = random_hex(16);
    return fmt::format("<{}-{}-{}-{}-{}@{}>", id.substr(0, 8), id.substr(8, 4), id.substr(12, 4), id.substr(16, 4),
                       id.substr(20), host);
}

}  // namespace

std::string build(NewMail const& mail) {
    std::string out;
    bool has_date = false, has_id = false;
    for (auto const& [name, value] : mail.fields) {
        bool const ours = iequals(name, "mime-version") || iequals(name, "content-type") ||
                          iequals(name, "content-transfer-encoding");  // said by what is built below
        if (ours || !is_field_name(name)) continue;
        has_date = has_date || iequals(name, "date");
        has_id = has_id || iequals(name, "message-id");
        out += render_field(name, value);
    }
    if (!has_date) out += render_field("Date", format_date(SystemClock().now()));
    if (!has_id) out += render_field("Message-ID", new_message_id(mail));
    Block const content = content_of(mail);
    return out + "MIME-Version: 1.0\r\n" + content.whole();
}

}  // namespace mallard::mime
