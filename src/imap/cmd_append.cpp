// APPEND (RFC 9051 §6.3.12, RFC 4315 §3; replies: protocols.md §1.14).

#include <fmt/format.h>

#include "imap/command_table.hpp"
#include "imap/flags.hpp"
#include "imap_proto/append.hpp"
#include "store/bson.hpp"

namespace mallard::imap {

namespace {

// How the message came in (storage.md §4.3).
std::string meta_of(Session const& session, std::string const& username) {
    return bson::Document{{"source", "IMAP"},
                          {"from", ""},
                          {"to", bson::Array{username}},
                          {"origin", session.address()},
                          {"transtype", "APPEND"},
                          {"time", bson::Date{session.services().clock.now()}}}
        .encode();
}

}  // namespace

Outcome cmd_append(Session& session, Request& request, std::string&) {
    auto const& services = session.services();
    auto const parsed = imap_proto::parse_append(request.arguments(), services.clock.now(), {});
    if (!parsed) return bad(parsed.error().message);
    std::string_view const message = parsed->message->bytes();
    if (message.empty()) return no("", "Can't save a zero byte message.");

    auto const path = session.path(parsed->mailbox);
    auto const mailbox = path ? services.mailboxes.find(session.user(), *path)
                              : Result<store::MailboxInfo>(fail(ErrorKind::not_found, ""));
    if (!mailbox) return mailbox.error().kind == ErrorKind::not_found ? no("TRYCREATE") : no(mailbox.error());
    auto const user = services.accounts.get(session.user());
    if (!user) return no(user.error());
    if (!*user) return no("NONEXISTENT");
    if (auto allowed = services.accounts.use_allowance(**user, "iup", static_cast<std::int64_t>(message.size()));
        !allowed)
        return allowed.error().kind == ErrorKind::rate_limited
                   ? no("TEMPFAIL", "Upload was rate limited. " + allowed.error().message)
                   : no(allowed.error());

    mailboxes::AppendRequest append;
    append.user = session.user();
    append.account = &**user;
    append.mailbox = mailbox->id;
    append.source = message;
    append.flags = to_flags(parsed->flags);
    append.internal_date = parsed->date;
    append.via = mailboxes::Source::imap;
    append.meta = meta_of(session, (*user)->username);
    auto const appended = services.mailboxes.append(append);
    if (!appended) {
        log(LogLevel::info, session.log_context(), "APPEND failed",
            {{"error", appended.error().message}, {"context", appended.error().context}});
        return appended.error().kind == ErrorKind::not_found ? no("TRYCREATE") : no(appended.error());
    }
    return ok({}, fmt::format("APPENDUID {} {}", appended->uid_validity, appended->uid));
}

}  // namespace mallard::imap
