#include "imap/fetch_render.hpp"

#include "imap/session.hpp"
#include "imap_proto/date.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap {

using imap_proto::append_number;
using Kind = imap_proto::FetchItem::Kind;

Needs needs_of(std::vector<imap_proto::FetchItem> const& items) {
    Needs out;
    for (auto const& item : items) {
        if (item.kind == Kind::envelope) out.record |= store::want_envelope;
        if (item.kind == Kind::body) out.record |= store::want_body;
        if (item.kind == Kind::body_structure) out.record |= store::want_body_structure;
        if (needs_parts(item)) out.record |= store::want_parts;
        if (item.is_content()) ++out.contents;
    }
    return out;
}

void append_response_begin(std::string& out, std::uint32_t number) {
    out += "* ";
    append_number(out, number);
    out += " FETCH (";
}

void append_item(std::string& out, imap_proto::FetchItem const& item, store::MailboxIndex const& index,
                 store::Row const& row, std::string_view envelope, std::string_view body,
                 std::string_view body_structure) {
    out += item.label;
    out += ' ';
    switch (item.kind) {
        case Kind::flags: append_flags(out, index, row); break;
        case Kind::uid: append_number(out, row.uid); break;
        case Kind::internal_date:
            out += '"';
            imap_proto::append_date_time(out, row.internal_date);
            out += '"';
            break;
        case Kind::rfc822_size: append_number(out, row.size); break;
        case Kind::envelope: out += envelope; break;
        case Kind::body: out += body; break;
        case Kind::body_structure: out += body_structure; break;
        case Kind::modseq:
            out += '(';
            append_number(out, row.modseq);
            out += ')';
            break;
        case Kind::rfc822:
        case Kind::rfc822_header:
        case Kind::rfc822_text:
        case Kind::section: break;  // the caller's: octets
    }
}

void append_response(std::string& out, std::vector<imap_proto::FetchItem> const& items,
                     store::MailboxIndex const& index, Target target, Known const& known, std::string_view octets) {
    append_response_begin(out, target.number);
    bool first = true;
    for (auto const& item : items) {
        if (!first) out += ' ';
        first = false;
        append_item(out, item, index, *target.row, known.envelope, known.body, known.body_structure);
        if (!item.is_content()) continue;
        auto const content = resolve(item, known.parts, octets.size(), [&](std::uint64_t begin, std::uint64_t end) {
            return Result<std::string_view>(octets.substr(begin, end - begin));
        });
        // Octets at hand cannot fail to be read.
        std::string_view const bytes = content->text ? std::string_view(*content->text)
                                                     : octets.substr(content->begin, content->end - content->begin);
        imap_proto::append_literal_header(out, bytes.size());
        out += bytes;
    }
    out += ")\r\n";
}

}  // namespace mallard::imap
