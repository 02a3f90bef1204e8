// ENVELOPE, BODY and BODYSTRUCTURE.
#include "mime/imap_structure.hpp"

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/fields.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

bool is_quotable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c != '\r' && c != '\n' && c > 0; });
}

// RFC 9051 §9: a quoted string. What it cannot carry is made an encoded word first, so no literal is ever needed.
void append_string(std::string& out, std::string_view text) {
    std::string encoded;
    if (!is_quotable(text)) {
        encoded = encode_words(to_utf8(text, ""));
        text = encoded;
    }
    out.push_back('"');
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const special = std::min(text.find_first_of("\"\\", at), text.size());
        out.append(text, at, special - at);
        if (special < text.size()) out += {'\\', text[special]};
        at = special + 1;
    }
    out.push_back('"');
}

void append_nstring(std::string& out, std::string_view text) {
    if (text.empty())
        out += "NIL";
    else
        append_string(out, text);
}

void append_upper(std::string& out, std::string_view text) { append_string(out, to_upper(text)); }

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];
    auto const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

// RFC 9051 §2.3.5.1 and §7.5.2: (name NIL mailbox host).
void append_address(std::string& out, Address const& address) {
    out += '(';
    append_nstring(out, address.name);
    out += " NIL ";
    append_string(out, address.mailbox);
    out += ' ';
    // A host NIL would begin a group. An address without one repeats itself (protocols.md §1.12).
    append_string(out, address.host.empty() ? address.mailbox : domain_to_ascii(address.host));
    out += ')';
}

void append_addresses(std::string& out, std::vector<Address> const& list) {
    if (list.empty()) {
        out += "NIL";
        return;
    }
    out += '(';
    for (Address const& address : list) {
        if (!address.is_group) {
            append_address(out, address);
            continue;
        }
        out += "(NIL NIL ";
        append_string(out, address.name);
        out += " NIL)";
        for (Address const& member : address.group) append_address(out, member);
        out += "(NIL NIL NIL NIL)";
    }
    out += ')';
}

void append_envelope(std::string& out, Entity const& message) {
    CommonFields const fields = common_fields(message);
    out += '(';
    append_nstring(out, unfold(fields.date));
    out += ' ';
    append_string(out, decode_words(unfold(fields.subject)));  // a string, never NIL
    for (auto const* list : {&fields.from, fields.sender.empty() ? &fields.from : &fields.sender,
                             fields.reply_to.empty() ? &fields.from : &fields.reply_to, &fields.to, &fields.cc,
                             &fields.bcc}) {  // RFC 9051 §7.5.2: sender and reply-to default to from
        out += ' ';
        append_addresses(out, *list);
    }
    out += ' ';
    append_nstring(out, unfold(fields.in_reply_to));
    out += ' ';
    append_nstring(out, unfold(fields.message_id));
    out += ')';
}

void append_parameters(std::string& out, std::vector<Parameter> const& parameters) {
    if (parameters.empty()) {
        out += "NIL";
        return;
    }
    out += '(';
    for (Parameter const& parameter : parameters) {
        if (&parameter != &parameters.front()) out += ' ';
        append_upper(out, parameter.name);
        out += ' ';
        append_string(out, parameter.value);
    }
    out += ')';
}

// body-ext-1part and body-ext-mpart without their first element.
void append_extension(std::string& out, Entity const& part) {
    out += ' ';
    if (part.disposition.empty()) {
        out += "NIL";
    } else {
        out += '(';
        append_upper(out, part.disposition);
        out += ' ';
        append_parameters(out, part.disposition_parameters);
        out += ')';
    }
    out += ' ';
    if (part.languages.empty()) {
        out += "NIL";
    } else {
        out += '(';
        for (std::string const& language : part.languages) {
            if (&language != &part.languages.front()) out += ' ';
            append_string(out, language);
        }
        out += ')';
    }
    out += ' ';
    append_nstring(out, part.location);
}

void append_body(std::string& out, Entity const& part, bool extended);

void append_leaf(std::string& out, Entity const& part, bool extended) {
    bool const rfc822 = part.is_message && part.subtype == "rfc822";
    // MESSAGE/RFC822 announces an envelope (RFC 3501 §9: body-type-msg): without a tree it is named otherwise.
    bool const opaque = !part.is_message && part.type == "message" && part.subtype == "rfc822";
    append_upper(out, opaque ? "application" : part.type);
    out += ' ';
    append_upper(out, opaque ? "octet-stream" : part.subtype);
    out += ' ';
    append_parameters(out, part.parameters);
    out += ' ';
    append_nstring(out, part.id);
    out += ' ';
    append_nstring(out, part.description);
    out += ' ';
    append_upper(out, part.encoding);
    out += ' ';
    append_number(out, part.end - part.body_begin);
    if (rfc822) {
        out += ' ';
        append_envelope(out, part.children.front());
        out += ' ';
        append_body(out, part.children.front(), extended);
    }
    if (rfc822 || part.type == "text") {
        out += ' ';
        append_number(out, part.lines);
    }
    if (!extended) return;
    out += ' ';
    append_nstring(out, part.md5);
    append_extension(out, part);
}

// Depth is bounded by Limits::depth_max.
void append_body(std::string& out, Entity const& part, bool extended) {
    out += '(';
    if (part.is_multipart) {
        for (Entity const& child : part.children) append_body(out, child, extended);
        out += ' ';
        append_upper(out, part.subtype);
        if (extended) {
            out += ' ';
            append_parameters(out, part.parameters);
            append_extension(out, part);
        }
    } else {
        append_leaf(out, part, extended);
    }
    out += ')';
}

}  // namespace

std::string envelope(Entity const& message, std::string_view) {
    std::string out;
    out.reserve(512);
    append_envelope(out, message);
    return out;
}

std::string body_structure(Entity const& message, std::string_view) {
    std::string out;
    out.reserve(512);
    append_body(out, message, true);
    return out;
}

std::string body(Entity const& message, std::string_view) {
    std::string out;
    out.reserve(512);
    append_body(out, message, false);
    return out;
}

}  // namespace mallard::mime
