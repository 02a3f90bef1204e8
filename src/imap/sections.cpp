#include "imap/sections.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::imap {

namespace {

using What = imap_proto::Section::What;

// The part that a path names (RFC 9051 §6.4.5.1): children of a multipart are numbered; a message that is no multipart
// has one part, 1, its body; a message/rfc822 part is numbered like the message it carries.
mime::Part const* find_part(mime::Part const& root, std::vector<std::uint32_t> const& path) {
    mime::Part const* numbered = &root;  // whose parts the next number counts
    mime::Part const* part = nullptr;
    for (std::uint32_t n : path) {
        if (numbered == nullptr) return nullptr;
        if (numbered->is_multipart) {
            if (n > numbered->children.size()) return nullptr;
            part = &numbered->children[n - 1];
        } else {
            if (n != 1) return nullptr;
            part = numbered;
        }
        if (part->is_message && !part->children.empty())
            numbered = &part->children[0];
        else
            numbered = part->is_multipart ? part : nullptr;
    }
    return part;
}

struct Range {
    std::uint64_t begin = 0, end = 0;
};

std::optional<Range> range_of(imap_proto::Section const& section, mime::Part const& root, std::uint64_t size) {
    if (section.path.empty()) {
        switch (section.what) {
            case What::all: return Range{0, size};
            case What::text: return Range{std::min(root.body_begin, size), size};
            case What::header:
            case What::header_fields:
            case What::header_fields_not:
            case What::mime: return Range{0, std::min(root.body_begin, size)};
        }
    }
    mime::Part const* part = find_part(root, section.path);
    if (part == nullptr) return std::nullopt;
    if (section.what == What::all) return Range{part->body_begin, part->end};
    if (section.what == What::mime) return Range{part->header_begin, part->body_begin};
    if (!part->is_message || part->children.empty()) return std::nullopt;  // HEADER and TEXT are of embedded messages
    mime::Part const& message = part->children[0];
    if (section.what == What::text) return Range{message.body_begin, message.end};
    return Range{message.header_begin, message.body_begin};
}

void apply_partial(Content& content, imap_proto::Partial const& partial) {
    std::uint64_t const skip = std::min(partial.offset, content.size());
    std::uint64_t const take = std::min(partial.length, content.size() - skip);
    if (content.text) {
        content.text = content.text->substr(skip, take);
    } else {
        content.begin += skip;
        content.end = content.begin + take;
    }
}

}  // namespace

bool needs_parts(imap_proto::FetchItem const& item) {
    return item.is_content() && (item.section.what != What::all || !item.section.path.empty());
}

std::string select_fields(std::string_view header, std::vector<std::string> const& fields, bool wanted) {
    std::string out;
    bool taking = false;
    while (!header.empty()) {
        std::size_t const line_end = header.find('\n');
        std::string_view const line =
            header.substr(0, line_end == std::string_view::npos ? header.size() : line_end + 1);
        header.remove_prefix(line.size());
        if (line == "\r\n" || line == "\n") break;
        if (line[0] != ' ' && line[0] != '\t') {  // a new field; else the last one goes on
            std::size_t const colon = line.find(':');
            std::string const name = to_lower(trim(line.substr(0, colon)));
            bool const named = colon != std::string_view::npos && std::ranges::find(fields, name) != fields.end();
            taking = named == wanted;
        }
        if (!taking) continue;
        out += line;
        if (!line.ends_with('\n')) out += "\r\n";
    }
    if (out.empty()) out += "\r\n";
    out += "\r\n";
    return out;
}

Result<Content> resolve(imap_proto::FetchItem const& item, mime::Part const& root, std::uint64_t size,
                        ReadRange const& read) {
    Content out;
    auto const range = range_of(item.section, root, size);
    if (range) {
        out.begin = std::min(range->begin, size);
        out.end = std::clamp(range->end, out.begin, size);
    }
    bool const fields = item.section.what == What::header_fields || item.section.what == What::header_fields_not;
    if (range && fields) {
        MALLARD_TRY_ASSIGN(std::string_view const header, read(out.begin, out.end));
        out.text = select_fields(header, item.section.fields, item.section.what == What::header_fields);
    }
    if (item.partial) apply_partial(out, *item.partial);
    return out;
}

}  // namespace mallard::imap
