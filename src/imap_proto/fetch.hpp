#pragma once
// FETCH arguments (RFC 9051 §6.4.5, RFC 7162 §3.1.4).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/sequence.hpp"

namespace mallard::imap_proto {

// What stands in BODY[...] (RFC 9051 §9 section-spec).
struct Section {
    enum class What { all, header, header_fields, header_fields_not, text, mime };
    What what = What::all;
    std::vector<std::uint32_t> path;  // 1.2.3
    std::vector<std::string> fields;  // lower case
    bool operator==(Section const&) const = default;
};

struct Partial {
    std::uint64_t offset = 0, length = 0;
    bool operator==(Partial const&) const = default;
};

struct FetchItem {
    enum class Kind {
        flags,
        uid,
        internal_date,
        rfc822_size,
        envelope,
        body,
        body_structure,
        modseq,  // about the message
        rfc822,
        rfc822_header,
        rfc822_text,
        section,  // of the message
    };
    Kind kind = Kind::flags;
    std::string label;  // how the reply names it: as the client spelled it (protocols.md §1.11), with <offset>
    Section section;    // of content: also of RFC822, RFC822.HEADER and RFC822.TEXT
    std::optional<Partial> partial;
    bool peek = false;

    bool is_content() const { return kind >= Kind::rfc822; }
    bool sets_seen() const { return is_content() && kind != Kind::rfc822_header && !peek; }
};

struct FetchRequest {
    SequenceSet set;
    std::vector<FetchItem> items;
    std::optional<std::uint64_t> changed_since;
};

// `name` is "FETCH" or "UID FETCH": it stands in the errors.
Result<FetchRequest> parse_fetch(std::vector<Argument> const& arguments, std::string_view name, Limits const& limits);

// The text between the brackets, as arguments.
Result<Section> parse_section(std::vector<Argument> const& items);

}  // namespace mallard::imap_proto
