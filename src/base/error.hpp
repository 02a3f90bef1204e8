#pragma once
// Error: the one error type. A code from a closed set, a sentence for the person who reads it, context for the log.
// Each protocol maps ErrorKind to its own words once, in a switch without default.

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace mallard {

enum class ErrorKind {
    invalid,         // what was asked is malformed or makes no sense
    not_found,       // no such user, mailbox, message, ...
    already_exists,  // a unique name is taken
    denied,          // known, but not permitted (roles, special mailboxes, read-only)
    auth_failed,     // wrong name or password, disabled or suspended account
    scope_denied,    // right password, but not for this service
    rate_limited,    // too often; the message says when to come back
    over_quota,      // the account's storage is full
    too_large,       // one thing is larger than its limit
    limit,           // there are too many of a thing
    conflict,        // changed meanwhile, or the state does not allow it
    not_supported,   // understood, but not offered
    unavailable,     // temporary: try again (store busy, shutting down)
    timeout,         // a peer or a backend did not answer in time
    closed,          // the peer is gone
    io,              // the disk or the backend failed
    corrupt,         // stored data fails its checksum or its form
    internal,        // a bug of ours
};

struct Error {
    ErrorKind kind = ErrorKind::internal;
    std::string message;  // for people: says what to do next where it can
    std::string context;  // for the log only: file, key, errno text
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string context = {}) {
    return std::unexpected(Error{kind, std::move(message), std::move(context)});
}

std::string_view name_of(ErrorKind kind);

}  // namespace mallard

// MALLARD_TRY(expr): returns the error of a Result<void> expression from the enclosing function.
// MALLARD_TRY_ASSIGN(auto x, expr): declares x from a Result<T>, or returns its error.
#define MALLARD_CONCAT_INNER(a, b) a##b
#define MALLARD_CONCAT(a, b) MALLARD_CONCAT_INNER(a, b)
#define MALLARD_TRY(expr)                                                  \
    do {                                                                   \
        if (auto mallard_try_result = (expr); !mallard_try_result)         \
            return std::unexpected(std::move(mallard_try_result).error()); \
    } while (false)
#define MALLARD_TRY_ASSIGN_NAMED(temp, decl, expr)              \
    auto temp = (expr);                                         \
    if (!temp) return std::unexpected(std::move(temp).error()); \
    decl = std::move(*temp)
#define MALLARD_TRY_ASSIGN(decl, expr) MALLARD_TRY_ASSIGN_NAMED(MALLARD_CONCAT(mallard_try_, __LINE__), decl, expr)
