#pragma once
// BODY[section]<partial>: which octets of a message it names (RFC 9051 §6.4.5.1). Pure.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "imap_proto/fetch.hpp"
#include "mime/imap_structure.hpp"

namespace mallard::imap {

// Either a range of the message's octets, or octets of its own (selected header fields).
struct Content {
    std::uint64_t begin = 0, end = 0;
    std::optional<std::string> text;
    std::uint64_t size() const { return text ? text->size() : end - begin; }
};

// Gives [begin, end) of the message; valid until the next call.
using ReadRange = std::function<Result<std::string_view>(std::uint64_t begin, std::uint64_t end)>;

// `size`: the message's; `root`: its parts (needed unless the section is all of the message). `read` is only asked for
// headers, and only when fields are selected. A part that is not there has no octets.
Result<Content> resolve(imap_proto::FetchItem const& item, mime::Part const& root, std::uint64_t size,
                        ReadRange const& read);

bool needs_parts(imap_proto::FetchItem const& item);

// The fields of `header` whose names are in `fields` (lower case), or are not; then an empty line. No field: two line
// ends. Deviation: RFC 9051 would have one; clients of WildDuck count on four octets (protocols.md §1.11).
std::string select_fields(std::string_view header, std::vector<std::string> const& fields, bool wanted);

}  // namespace mallard::imap
