#include "mime/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/fields.hpp"
#include "mime/html.hpp"
#include "mime/text_parts.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t intro_characters_max = 128;

// How much is read for the intro. The first is nearly always enough; style sheets and noise may ask for the second.
struct IntroLimits {
    std::size_t encoded_max;  // octets of each part
    std::size_t text_max;     // octets of text
};
constexpr std::array<IntroLimits, 2> intro_limits{{{3 * 1024, 768}, {64 * 1024, 2048}}};
constexpr std::size_t listed_text_max = 300 * 1024;  // storage.md §10.1

struct Extension {
    std::string_view content_type, extension;
};
constexpr std::array<Extension, 20> extensions{{{"application/pdf", "pdf"},
                                                {"application/zip", "zip"},
                                                {"application/json", "json"},
                                                {"application/msword", "doc"},
                                                {"application/pgp-signature", "asc"},
                                                {"application/pkcs7-signature", "p7s"},
                                                {"application/pkcs7-mime", "p7m"},
                                                {"application/rtf", "rtf"},
                                                {"application/vnd.ms-excel", "xls"},
                                                {"audio/mpeg", "mp3"},
                                                {"image/gif", "gif"},
                                                {"image/jpeg", "jpg"},
                                                {"image/png", "png"},
                                                {"image/svg+xml", "svg"},
                                                {"message/rfc822", "eml"},
                                                {"text/calendar", "ics"},
                                                {"text/csv", "csv"},
                                                {"text/html", "html"},
                                                {"text/plain", "txt"},
                                                {"video/mp4", "mp4"}}};

// A name for an attachment without one: the same each time the message is read.
std::string made_up_name(std::string_view content_type, std::string_view content) {
    std::uint32_t hash = 2'166'136'261;  // FNV-1a
    for (char c : content.substr(0, 1024)) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619;
    auto const known = std::ranges::find(extensions, content_type, &Extension::content_type);
    return fmt::format("{:08x}.{}", hash ^ static_cast<std::uint32_t>(content.size()),
                       known == extensions.end() ? "bin" : known->extension);
}

// Blanks as scripts see them, and what senders pad previews with.
bool is_blank(char32_t c) {
    return c <= ' ' || c == 0xA0 || c == 0xAD || c == 0x34F || (c >= 0x2000 && c <= 0x200F) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x2060 || c == 0x3000 || c == 0xFEFF;
}

char32_t next_character(std::string_view text, std::size_t& at) {  // precondition: valid UTF-8, at < size
    auto const lead = static_cast<unsigned char>(text[at++]);
    if (lead < 0x80) return lead;
    int const more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    char32_t code = lead & (0x3F >> more);
    for (int i = 0; i < more && at < text.size(); ++i)
        code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3F);
    return code;
}

// Stops when `size_max` octets are written (it may write a few more).
std::string collapse_blanks(std::string_view text, std::size_t size_max = std::string::npos) {
    std::string out;
    out.reserve(std::min(text.size(), size_max) + 8);
    bool blank = false;
    for (std::size_t at = 0; at < text.size() && out.size() < size_max;) {
        std::size_t const begin = at;
        while (at < text.size() && text[at] > ' ') ++at;  // a word in ASCII
        if (at == begin && is_blank(next_character(text, at))) {
            blank = true;
            continue;
        }
        if (blank && !out.empty()) out.push_back(' ');
        blank = false;
        out += text.substr(begin, at - begin);
    }
    return out;
}

bool is_ruler(std::string_view line) {
    line = trim(line);
    return line.size() > 1 && line.find_first_not_of(line[0]) == std::string_view::npos;
}

// Without quotes, rulers and what stands in brackets.
std::string without_noise(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const end = std::min(text.find('\n', at), text.size());
        std::string_view const line = text.substr(at, end - at);
        if (!line.starts_with('>') && !is_ruler(line)) out.append(line).push_back('\n');
        at = end + 1;
    }
    std::string kept;
    for (std::size_t at = 0; at < out.size();) {
        std::size_t const open = std::min(out.find('[', at), out.size());
        kept.append(out, at, open - at);
        if (open == out.size()) break;
        std::size_t const close = out.find(']', open);
        if (close == std::string::npos) {
            kept.append(out, open);
            break;
        }
        at = close + 1;
    }
    return kept;
}

std::string make_intro(std::string_view text) {  // storage.md §11.2
    std::string intro = collapse_blanks(without_noise(text), 4 * intro_characters_max + 8);
    std::size_t at = 0;
    for (std::size_t characters = 0; characters < intro_characters_max && at < intro.size(); ++characters)
        next_character(intro, at);
    if (at >= intro.size()) return intro;
    intro.resize(at);
    if (std::size_t const space = intro.rfind(' '); space != std::string::npos && space > 0) intro.resize(space);
    return intro + "…";
}

// The text of the HTML parts, else of the plain ones. Sets `cut` when there is more of it.
std::string intro_text(Entity const& message, std::string_view source, IntroLimits limits, bool& cut) {
    std::string html, plain;
    visit_leaves(message, [&](Visit const& leaf) {
        if (!leaf.inline_text || (!is_html(leaf.part) && !html.empty())) return true;
        std::string& out = is_html(leaf.part) ? html : plain;
        if (out.size() >= limits.text_max) return true;
        if (!out.empty()) out.push_back('\n');
        cut = cut || leaf.part.end - leaf.part.body_begin > limits.encoded_max;
        std::string const text = decode_text(leaf.part, source, limits.encoded_max);
        out += is_html(leaf.part) ? html_to_text(text, limits.text_max) : text;
        return html.size() < limits.text_max;
    });
    std::string& text = html.empty() ? plain : html;
    if (text.size() <= limits.text_max) return std::move(text);
    cut = true;
    std::size_t size = limits.text_max;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    return text.substr(0, size);
}

std::string intro(Entity const& message, std::string_view source) {
    std::string intro;
    for (IntroLimits const& limits : intro_limits) {
        bool cut = false;
        intro = make_intro(intro_text(message, source, limits, cut));
        if (!cut || intro.ends_with("…")) break;
    }
    return intro;
}

void collect_attachments(Entity const& message, std::string_view source, Summary& out) {
    std::size_t number = 0;
    visit_leaves(message, [&](Visit const& leaf) {
        Entity const& part = leaf.part;
        std::uint64_t const size = part.end - part.body_begin;
        if (leaf.inline_text && size <= listed_text_max) return true;
        ++number;  // a long text is stored apart in WildDuck's schema: it has a number but is not listed
        if (leaf.inline_text) return true;
        Attachment entry;
        entry.id = fmt::format("ATT{:05}", number);
        entry.content_type = part.type + '/' + part.subtype;
        entry.filename = part.filename();
        if (entry.filename.empty()) entry.filename = made_up_name(entry.content_type, part.content(source));
        entry.disposition = part.disposition;
        entry.transfer_encoding = part.encoding;
        if (!part.id.empty()) {
            entry.content_id = to_valid_utf8(part.id);
            if (!entry.content_id.starts_with('<')) entry.content_id = '<' + entry.content_id + '>';
        }
        entry.related = leaf.related;
        entry.size = size;
        entry.begin = part.body_begin;
        entry.end = part.end;
        out.has_attachments = out.has_attachments || !leaf.related;
        out.attachments.push_back(std::move(entry));
        return true;
    });
}

std::string text_of(std::string_view raw) { return to_utf8(unfold(raw), ""); }

}  // namespace

Summary summarize(Entity const& message, std::string_view source) {
    constexpr std::size_t references_max = 1000;
    Summary out;
    CommonFields fields = common_fields(message);
    out.subject = collapse_blanks(decode_words(unfold(fields.subject)));
    out.message_id = text_of(fields.message_id);
    out.in_reply_to = text_of(fields.in_reply_to);
    std::string const references = text_of(fields.references);
    for (std::size_t at = 0; at < references.size() && out.references.size() < references_max;) {
        std::size_t const end = std::min(references.find_first_of(" \t", at), references.size());
        if (end > at) out.references.push_back(references.substr(at, end - at));
        at = end + 1;
    }
    out.date = text_of(fields.date);
    out.from = std::move(fields.from);
    out.sender = std::move(fields.sender);
    out.reply_to = std::move(fields.reply_to);
    out.to = std::move(fields.to);
    out.cc = std::move(fields.cc);
    out.bcc = std::move(fields.bcc);
    out.list_id = decode_words(unfold(fields.list_id));
    out.list_unsubscribe = text_of(fields.list_unsubscribe);
    out.intro = intro(message, source);
    collect_attachments(message, source, out);
    out.content_type = message.type + '/' + message.subtype;
    return out;
}

}  // namespace mallard::mime
