#include "base/error.hpp"

namespace mallard {

std::string_view name_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid: return "invalid";
        case ErrorKind::not_found: return "not_found";
        case ErrorKind::already_exists: return "already_exists";
        case ErrorKind::denied: return "denied";
        case ErrorKind::auth_failed: return "auth_failed";
        case ErrorKind::scope_denied: return "scope_denied";
        case ErrorKind::rate_limited: return "rate_limited";
        case ErrorKind::over_quota: return "over_quota";
        case ErrorKind::too_large: return "too_large";
        case ErrorKind::limit: return "limit";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::not_supported: return "not_supported";
        case ErrorKind::unavailable: return "unavailable";
        case ErrorKind::timeout: return "timeout";
        case ErrorKind::closed: return "closed";
        case ErrorKind::io: return "io";
        case ErrorKind::corrupt: return "corrupt";
        case ErrorKind::internal: return "internal";
    }
    return "internal";
}

}  // namespace mallard
