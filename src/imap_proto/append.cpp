#include "imap_proto/append.hpp"

#include "imap_proto/date.hpp"

namespace mallard::imap_proto {

Result<AppendRequest> parse_append(std::vector<Argument> const& arguments, TimeMs now, Limits const& limits) {
    AppendRequest out;
    auto const mailbox = arguments[0].string_value();
    if (!mailbox) return fail(ErrorKind::invalid, "Invalid mailbox argument for APPEND");
    out.mailbox = *mailbox;

    std::size_t at = 1;
    if (at < arguments.size() && arguments[at].is_list()) {
        MALLARD_TRY_ASSIGN(out.flags, parse_flags(arguments[at].items, "APPEND", limits));
        ++at;
    }
    if (at < arguments.size() && arguments[at].kind == Argument::Kind::quoted) {
        auto const date = parse_date_time(arguments[at].text);
        if (!date.well_formed) return fail(ErrorKind::invalid, "Invalid date argument for APPEND");
        if (!date.when || *date.when <= 1000 || *date.when > now + day_ms)
            return fail(ErrorKind::invalid, "Invalid date-time argument for APPEND");
        out.date = date.when;
        ++at;
    }
    if (at + 1 < arguments.size() && arguments[at].is_word("UTF8") && arguments[at + 1].is_list() &&
        arguments[at + 1].items.size() == 1 && arguments[at + 1].items[0].is_literal()) {
        out.message = &arguments[at + 1].items[0];
        at += 2;
    } else if (at < arguments.size() && arguments[at].is_literal()) {
        out.message = &arguments[at];
        ++at;
    }
    if (out.message == nullptr) return fail(ErrorKind::invalid, "Invalid message argument for APPEND");
    if (at < arguments.size()) return fail(ErrorKind::invalid, "Too many arguments provided");
    // literal8 may carry NUL (RFC 3516 §4.4), but without BINARY such a message could not be given back.
    if (out.message->bytes().find('\0') != std::string_view::npos)
        return fail(ErrorKind::invalid, "NUL octets are not allowed in a message");
    return out;
}

}  // namespace mallard::imap_proto
