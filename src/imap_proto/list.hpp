#pragma once
// LIST arguments (RFC 9051 §6.3.9, with RFC 6154's options), and the match of a pattern.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "imap_proto/command.hpp"

namespace mallard::imap_proto {

struct ListRequest {
    bool select_special_use = false;  // LIST (SPECIAL-USE) ...: only those
    bool return_special_use = false;  // ... RETURN (SPECIAL-USE): only that attribute
    std::string reference;
    std::vector<std::string> patterns;  // as they came: not decoded
};

Result<ListRequest> parse_list(std::vector<Argument> const& arguments, std::string_view name);

// `*` any octets, `%` any but '/'. Linear in name × pattern, whatever the pattern.
bool list_match(std::string_view pattern, std::string_view name);

}  // namespace mallard::imap_proto
