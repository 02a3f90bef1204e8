#include "imap_proto/fetch.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap_proto {

namespace {

using Kind = FetchItem::Kind;

struct Word {
    std::string_view name;
    Kind kind;
};
constexpr Word words[] = {
    {"FLAGS", Kind::flags},
    {"UID", Kind::uid},
    {"INTERNALDATE", Kind::internal_date},
    {"RFC822.SIZE", Kind::rfc822_size},
    {"ENVELOPE", Kind::envelope},
    {"BODY", Kind::body},
    {"BODYSTRUCTURE", Kind::body_structure},
    {"MODSEQ", Kind::modseq},
    {"RFC822", Kind::rfc822},
    {"RFC822.HEADER", Kind::rfc822_header},
    {"RFC822.TEXT", Kind::rfc822_text},
};

// RFC 9051 §6.4.5: the macros, alone and without parentheses.
std::vector<std::string_view> macro(std::string_view word) {
    if (iequals(word, "FAST")) return {"FLAGS", "INTERNALDATE", "RFC822.SIZE"};
    if (iequals(word, "ALL")) return {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"};
    if (iequals(word, "FULL")) return {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"};
    return {};
}

std::unexpected<Error> invalid_item(std::string_view item, std::string_view name) {
    return fail(ErrorKind::invalid, fmt::format("Invalid message data item {} for {}", printable(item), name));
}

std::optional<Kind> find_word(std::string_view text) {
    for (Word const& word : words)
        if (iequals(text, word.name)) return word.kind;
    return std::nullopt;
}

// RFC 9051 §9: "<" number64 "." nz-number64 ">"
std::optional<Partial> parse_partial(std::string_view text) {
    constexpr std::uint64_t max = 0x7fff'ffff'ffff'ffffULL;
    std::size_t const dot = text.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    auto const offset = parse_number(text.substr(0, dot), max);
    auto const length = parse_number(text.substr(dot + 1), max);
    if (!offset || !length || *length == 0) return std::nullopt;
    return Partial{*offset, *length};
}

// BODY[...]<...>, BODY.PEEK[...]<...>
Result<FetchItem> section_item(Argument const& argument, std::string_view name) {
    FetchItem item;
    item.kind = Kind::section;
    item.peek = iequals(argument.text, "BODY.PEEK");
    std::string spelled = argument.items.empty() ? std::string() : argument.items.front().text;
    std::string const shown = argument.text + '[' + spelled + ']';
    if (!item.peek && !iequals(argument.text, "BODY")) return invalid_item(shown, name);
    auto section = parse_section(argument.items);
    if (!section) return invalid_item(shown, name);
    item.section = std::move(*section);

    // The label keeps the client's spelling; ".PEEK" does not belong to it (RFC 9051 §7.5.2).
    item.label = argument.text.substr(0, 4) + '[' + spelled;
    if (argument.items.size() == 2) {
        item.label += " (";
        for (std::size_t i = 0; i < argument.items[1].items.size(); ++i) {
            if (i > 0) item.label += ' ';
            append_astring(item.label, argument.items[1].items[i].bytes());
        }
        item.label += ')';
    }
    item.label += ']';
    if (argument.has_partial) {
        item.partial = parse_partial(argument.partial);
        if (!item.partial) return invalid_item(shown + '<' + argument.partial + '>', name);
        item.label += fmt::format("<{}>", item.partial->offset);
    }
    return item;
}

Result<FetchItem> parse_item(Argument const& argument, std::string_view name) {
    if (argument.kind != Argument::Kind::atom)
        return fail(ErrorKind::invalid, fmt::format("Invalid message data item name for {}", name));
    if (argument.has_section) return section_item(argument, name);
    auto const kind = find_word(argument.text);
    if (!kind) return invalid_item(argument.text, name);
    FetchItem item;
    item.kind = *kind;
    item.label = argument.text;
    if (*kind == Kind::rfc822_header) item.section.what = Section::What::header;
    if (*kind == Kind::rfc822_text) item.section.what = Section::What::text;
    return item;
}

// RFC 7162 §3.1.4.1
Result<std::uint64_t> parse_modifier(Argument const& argument, std::string_view name) {
    if (argument.is_list() && argument.items.size() == 2 && argument.items[0].is_word("CHANGEDSINCE") &&
        argument.items[1].is_atom()) {
        auto const n = parse_number(argument.items[1].text, 0x7fff'ffff'ffff'ffffULL);
        if (n) return *n;
    }
    return fail(ErrorKind::invalid, fmt::format("Invalid modifier for {}", name));
}

}  // namespace

Result<Section> parse_section(std::vector<Argument> const& items) {
    auto const invalid = [] { return fail(ErrorKind::invalid, "Invalid section"); };
    Section out;
    if (items.empty()) return out;
    if (!items[0].is_atom() || items.size() > 2) return invalid();

    std::string_view rest = items[0].text;
    while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
        std::size_t const dot = rest.find('.');
        auto const part = parse_number(rest.substr(0, dot), 0xffff'ffff);
        if (!part || *part == 0 || out.path.size() >= 128) return invalid();
        out.path.push_back(static_cast<std::uint32_t>(*part));
        if (dot == std::string_view::npos) {
            rest = {};
            if (items.size() == 1) return out;
        } else {
            rest.remove_prefix(dot + 1);
            if (rest.empty()) return invalid();
        }
    }
    bool const with_list = iequals(rest, "HEADER.FIELDS") || iequals(rest, "HEADER.FIELDS.NOT");
    if (with_list != (items.size() == 2)) return invalid();
    if (with_list) {
        out.what = iequals(rest, "HEADER.FIELDS") ? Section::What::header_fields : Section::What::header_fields_not;
        if (!items[1].is_list()) return invalid();
        for (Argument const& field : items[1].items) {
            auto const value = field.string_value();
            if (!value) return invalid();
            out.fields.push_back(to_lower(*value));
        }
        return out;
    }
    if (iequals(rest, "HEADER"))
        out.what = Section::What::header;
    else if (iequals(rest, "TEXT"))
        out.what = Section::What::text;
    else if (iequals(rest, "MIME"))
        out.what = Section::What::mime;
    else
        return invalid();
    return out;
}

Result<FetchRequest> parse_fetch(std::vector<Argument> const& arguments, std::string_view name, Limits const& limits) {
    FetchRequest out;
    auto set = arguments[0].is_atom() ? parse_sequence_set(arguments[0].text) : fail(ErrorKind::invalid, "");
    if (!set) return fail(ErrorKind::invalid, fmt::format("Invalid sequence set for {}", name));
    out.set = std::move(*set);

    Argument const& items = arguments[1];
    if (items.is_list()) {
        if (items.items.empty() || items.items.size() > limits.fetch_items_max)
            return fail(ErrorKind::invalid, fmt::format("Invalid number of message data items for {}", name));
        for (Argument const& argument : items.items) {
            MALLARD_TRY_ASSIGN(FetchItem item, parse_item(argument, name));
            out.items.push_back(std::move(item));
        }
    } else if (auto const expanded = items.is_atom() ? macro(items.text) : std::vector<std::string_view>{};
               !expanded.empty()) {
        for (std::string_view word : expanded) {
            FetchItem item;
            item.kind = *find_word(word);
            item.label = word;
            out.items.push_back(std::move(item));
        }
    } else {
        MALLARD_TRY_ASSIGN(FetchItem item, parse_item(items, name));
        out.items.push_back(std::move(item));
    }
    if (arguments.size() > 2) {
        MALLARD_TRY_ASSIGN(out.changed_since, parse_modifier(arguments[2], name));
    }
    return out;
}

}  // namespace mallard::imap_proto
