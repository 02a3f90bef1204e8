#include "api/failure.hpp"

namespace mallard::api {
namespace {

struct Words {
    std::string_view not_found, not_found_message, exists, denied;
};

Words words_of(Subject subject) {
    switch (subject) {
        case Subject::user: return {"UserNotFound", "This user does not exist", "UserExistsError", "NotPermitted"};
        case Subject::address:
            return {"AddressNotFound", "Invalid or unknown email address identifier", "AddressExistsError",
                    "NotPermitted"};
        case Subject::mailbox:
            return {"NoSuchMailbox", "This mailbox does not exist", "MailboxExistsError", "DisallowedMailboxMethod"};
        case Subject::message:
            return {"MessageNotFound", "This message does not exist", "AlreadyExists", "NotPermitted"};
        case Subject::attachment:
            return {"AttachmentNotFound", "This attachment does not exist", "AlreadyExists", "NotPermitted"};
    }
    return {};
}

// Without the cause.
Failure told(Error const& error, Subject subject) {
    Words const words = words_of(subject);
    switch (error.kind) {
        case ErrorKind::invalid: return {400, "InputValidationError", error.message};
        case ErrorKind::not_found: return {404, std::string(words.not_found), std::string(words.not_found_message)};
        case ErrorKind::already_exists: return {400, std::string(words.exists), error.message};
        case ErrorKind::denied: return {400, std::string(words.denied), error.message};
        case ErrorKind::auth_failed: return {403, "AuthFailed", error.message};
        case ErrorKind::scope_denied: return {403, "InvalidAuthScope", error.message};
        case ErrorKind::rate_limited: return {403, "RateLimitedError", error.message};
        case ErrorKind::over_quota: return {400, "OverQuotaError", error.message};
        case ErrorKind::too_large: return {400, "InputValidationError", error.message};
        case ErrorKind::limit: return {403, "TooMany", error.message};
        case ErrorKind::conflict: return {500, "InternalDatabaseError", error.message};
        case ErrorKind::not_supported: return {501, "NotSupported", error.message};
        case ErrorKind::unavailable: return {503, "TemporarilyUnavailable", error.message};
        case ErrorKind::timeout: return {503, "TemporarilyUnavailable", error.message};
        case ErrorKind::closed: return {503, "TemporarilyUnavailable", error.message};
        case ErrorKind::io: return {500, "InternalDatabaseError", "Database error: " + error.message};
        case ErrorKind::corrupt: return {500, "InternalDatabaseError", "Database error: " + error.message};
        case ErrorKind::internal: return {500, "InternalError", error.message};
    }
    return {500, "InternalError", error.message};
}

}  // namespace

http::OrderedJson Failure::body() const {
    http::OrderedJson out{{"error", message}};
    if (!code.empty()) out["code"] = code;
    out.update(extra);
    return out;
}

Failure failure_of(Error const& error, Subject subject) {
    Failure failure = told(error, subject);
    failure.cause = error.context;
    return failure;
}

Failure user_not_found() { return {404, "UserNotFound", "This user does not exist"}; }
Failure address_not_found() { return {404, "AddressNotFound", "Invalid or unknown email address identifier"}; }
Failure mailbox_not_found() { return {404, "NoSuchMailbox", "This mailbox does not exist"}; }
Failure message_not_found() { return {404, "MessageNotFound", "This message does not exist"}; }
Failure missing_privileges(std::string message) { return {403, "MissingPrivileges", std::move(message)}; }
Failure invalid_input(std::string message) { return {400, "InputValidationError", std::move(message)}; }
Failure not_offered(std::string what) { return {501, "NotSupported", std::move(what)}; }

}  // namespace mallard::api
