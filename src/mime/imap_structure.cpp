// ENVELOPE, BODY and BODYSTRUCTURE.
#include "mime/imap_structure.hpp"

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t field_bytes_max = 1024 * 1024;  // as Limits::header_bytes_max

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

struct EnvelopeFields {
    std::string_view date, subject, in_reply_to, message_id;
    std::vector<Address> from, sender, reply_to, to, cc, bcc;
};

void add_addresses(std::vector<Address>& list, std::string_view raw) {  // several fields of one name are one list
    std::vector<Address> more = parse_addresses(unfold(raw));
    if (list.empty())
        list = std::move(more);
    else
        std::ranges::move(more, std::back_inserter(list));
}

EnvelopeFields envelope_fields(Entity const& message) {
    EnvelopeFields out;
    for (Field const& field : message.fields) {
        std::string_view const name = field.name;
        std::string_view const value = field.value.substr(0, field_bytes_max);
        switch (name.size()) {
            case 2:
                if (iequals(name, "to"))
                    add_addresses(out.to, value);
                else if (iequals(name, "cc"))
                    add_addresses(out.cc, value);
                break;
            case 3:
                if (iequals(name, "bcc")) add_addresses(out.bcc, value);
                break;
            case 4:
                if (iequals(name, "from"))
                    add_addresses(out.from, value);
                else if (iequals(name, "date"))
                    out.date = value;
                break;
            case 6:
                if (iequals(name, "sender")) add_addresses(out.sender, value);
                break;
            case 7:  // the last that is not blank
                if (iequals(name, "subject") && !trim(value).empty()) out.subject = value;
                break;
            case 8:
                if (iequals(name, "reply-to")) add_addresses(out.reply_to, value);
                break;
            case 10:
                if (iequals(name, "message-id")) out.message_id = value;
                break;
            case 11:
                if (iequals(name, "in-reply-to")) out.in_reply_to = value;
                break;
            default: break;
        }
    }
    return out;
}

void append_envelope(std::string& out, Entity const& message) {
    EnvelopeFields const fields = envelope_fields(message);
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
