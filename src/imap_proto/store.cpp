#include "imap_proto/store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::imap_proto {

namespace {

bool is_system_flag(std::string_view name) {
    for (std::string_view known : {"\\Answered", "\\Flagged", "\\Draft", "\\Deleted", "\\Seen"})
        if (iequals(name, known)) return true;
    return false;
}

Result<std::uint64_t> parse_unchanged_since(Argument const& list, std::string_view name) {
    if (list.items.size() == 2 && list.items[0].is_word("UNCHANGEDSINCE") && list.items[1].is_atom()) {
        auto const n = parse_number(list.items[1].text, 0x7fff'ffff'ffff'ffffULL);
        if (n) return *n;
    }
    return fail(ErrorKind::invalid, fmt::format("Invalid modifier for {}", name));
}

bool parse_operation(std::string_view word, StoreRequest& out) {
    if (word.starts_with('+') || word.starts_with('-')) {
        out.mode = word[0] == '+' ? StoreRequest::Mode::add : StoreRequest::Mode::remove;
        word.remove_prefix(1);
    }
    out.silent = iequals(word, "FLAGS.SILENT");
    return out.silent || iequals(word, "FLAGS");
}

}  // namespace

Result<FlagNames> parse_flags(std::vector<Argument> const& items, std::string_view command, Limits const& limits) {
    FlagNames out;
    for (Argument const& item : items) {
        if (!item.is_atom() || item.is_nil())
            return fail(ErrorKind::invalid, fmt::format("Invalid flag argument for {}", command));
        std::string const& name = item.text;
        if (name.size() > limits.keyword_bytes_max) return fail(ErrorKind::invalid, "Too long value for a flag");
        if (name.starts_with('\\')) {
            if (!is_system_flag(name))
                return fail(ErrorKind::invalid, fmt::format("Invalid system flag argument for {}", command));
        } else if (!std::ranges::all_of(name, is_atom_char)) {  // RFC 9051 §9 flag-keyword
            return fail(ErrorKind::invalid, fmt::format("Invalid flag argument for {}", command));
        }
        if (std::ranges::none_of(out, [&](auto const& known) { return iequals(known, name); })) out.push_back(name);
        if (out.size() > 128) return fail(ErrorKind::invalid, fmt::format("Too many flags for {}", command));
    }
    return out;
}

Result<StoreRequest> parse_store(std::vector<Argument> const& arguments, std::string_view name, Limits const& limits) {
    StoreRequest out;
    auto set = arguments[0].is_atom() ? parse_sequence_set(arguments[0].text) : fail(ErrorKind::invalid, "");
    if (!set) return fail(ErrorKind::invalid, fmt::format("Invalid sequence set for {}", name));
    out.set = std::move(*set);

    std::size_t at = 1;
    if (arguments[at].is_list()) {
        MALLARD_TRY_ASSIGN(out.unchanged_since, parse_unchanged_since(arguments[at], name));
        ++at;
    }
    if (at >= arguments.size() || !arguments[at].is_atom() || !parse_operation(arguments[at].text, out))
        return fail(ErrorKind::invalid, fmt::format("Invalid message data item name for {}", name));
    ++at;
    if (at >= arguments.size()) return fail(ErrorKind::invalid, "Not enough arguments provided");
    // RFC 9051 §9 store-att-flags: a flag list, or flags without parentheses.
    if (arguments[at].is_list()) {
        if (at + 1 < arguments.size()) return fail(ErrorKind::invalid, "Too many arguments provided");
        MALLARD_TRY_ASSIGN(out.flags, parse_flags(arguments[at].items, name, limits));
    } else {
        MALLARD_TRY_ASSIGN(
            out.flags,
            parse_flags({arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end()}, name, limits));
    }
    return out;
}

}  // namespace mallard::imap_proto
