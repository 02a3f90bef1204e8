#include "imap_proto/list.hpp"

#include <fmt/format.h>

namespace mallard::imap_proto {

namespace {

// () or (SPECIAL-USE): true when it is there.
Result<bool> parse_options(Argument const& list, std::string_view name) {
    bool special = false;
    for (Argument const& option : list.items) {
        if (!option.is_word("SPECIAL-USE"))
            return fail(ErrorKind::invalid, fmt::format("Invalid argument provided for {}", name));
        special = true;
    }
    return special;
}

}  // namespace

Result<ListRequest> parse_list(std::vector<Argument> const& arguments, std::string_view name) {
    auto const invalid = [&] {
        return fail(ErrorKind::invalid, fmt::format("Invalid argument provided for {}", name));
    };
    ListRequest out;
    std::size_t at = 0;
    if (arguments[at].is_list()) {
        MALLARD_TRY_ASSIGN(out.select_special_use, parse_options(arguments[at], name));
        ++at;
    }
    if (at + 1 >= arguments.size()) return fail(ErrorKind::invalid, "Not enough arguments provided");
    auto const reference = arguments[at++].string_value();
    if (!reference) return invalid();
    out.reference = *reference;

    Argument const& patterns = arguments[at++];
    if (patterns.is_list()) {
        if (patterns.items.empty() || patterns.items.size() > 64) return invalid();
        for (Argument const& pattern : patterns.items) {
            auto const value = pattern.string_value();
            if (!value) return invalid();
            out.patterns.emplace_back(*value);
        }
    } else {
        auto const value = patterns.string_value();
        if (!value) return invalid();
        out.patterns.emplace_back(*value);
    }
    if (at < arguments.size()) {
        if (!arguments[at].is_word("RETURN") || at + 2 != arguments.size() || !arguments[at + 1].is_list())
            return invalid();
        MALLARD_TRY_ASSIGN(out.return_special_use, parse_options(arguments[at + 1], name));
    }
    return out;
}

bool list_match(std::string_view pattern, std::string_view name) {
    // reached[j]: the pattern's first j octets match the name so far.
    std::vector<char> reached(pattern.size() + 1, 0);
    auto pass_wildcards = [&] {
        for (std::size_t j = 0; j < pattern.size(); ++j)
            if (reached[j] && (pattern[j] == '*' || pattern[j] == '%')) reached[j + 1] = 1;
    };
    reached[0] = 1;
    pass_wildcards();
    for (char c : name) {
        reached.back() = 0;
        bool any = false;
        // From the end, so that a mark set by this octet is not advanced by it again.
        for (std::size_t j = pattern.size(); j-- > 0;) {
            if (!reached[j]) continue;
            char const p = pattern[j];
            bool const stays = p == '*' || (p == '%' && c != '/');
            bool const advances = p == c && p != '*' && p != '%';
            reached[j] = static_cast<char>(stays);
            if (advances) reached[j + 1] = 1;
            any = any || stays || advances;
        }
        if (!any) return false;
        pass_wildcards();
    }
    return reached[pattern.size()] != 0;
}

}  // namespace mallard::imap_proto
