#include "smtp_proto/reply.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mallard::smtp {

std::string render(Reply const& reply) {
    std::string out;
    std::string_view rest = reply.text;
    for (;;) {
        std::size_t const end = std::min(rest.find('\n'), rest.size());
        bool const last = end == rest.size();
        out += fmt::format("{}{}", reply.code, last ? ' ' : '-');
        if (!reply.status.empty()) out += reply.status + ' ';
        for (char c : rest.substr(0, end)) out += static_cast<unsigned char>(c) < ' ' || c == 0x7F ? '?' : c;
        out += "\r\n";
        if (last) return out;
        rest.remove_prefix(end + 1);
    }
}

Reply reply_for(Error const& error) {
    switch (error.kind) {
        case ErrorKind::invalid: return {501, "5.5.4", error.message};
        case ErrorKind::not_found: return {550, "5.1.1", error.message};  // RFC 3463 §3.2: bad destination mailbox
        case ErrorKind::already_exists: return {451, "4.3.0", error.message};
        case ErrorKind::denied: return {550, "5.2.1", error.message};       // the mailbox is disabled
        case ErrorKind::auth_failed: return {535, "5.7.8", error.message};  // RFC 4954 §6
        case ErrorKind::scope_denied: return {535, "5.7.8", error.message};
        case ErrorKind::rate_limited: return {450, "4.2.1", error.message};
        case ErrorKind::over_quota: return {552, "5.2.2", error.message};
        case ErrorKind::too_large: return {552, "5.3.4", error.message};
        case ErrorKind::limit: return {452, "4.5.3", error.message};
        case ErrorKind::conflict: return {451, "4.3.0", error.message};
        case ErrorKind::not_supported: return {504, "5.5.4", error.message};
        case ErrorKind::unavailable: return {451, "4.3.0", error.message};
        case ErrorKind::timeout: return {451, "4.4.1", error.message};
        case ErrorKind::closed: return {421, "4.3.2", error.message};
        case ErrorKind::io: return {452, "4.3.1", "The server cannot store the message now; try again later"};
        case ErrorKind::corrupt: return {451, "4.3.0", "The server's storage has a fault; try again later"};
        case ErrorKind::internal: return {451, "4.3.0", "The server has a fault; try again later"};
    }
    return {451, "4.3.0", error.message};
}

}  // namespace mallard::smtp
