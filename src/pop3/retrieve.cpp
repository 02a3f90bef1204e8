// RETR and TOP: a message in pieces, byte for byte as it is stored.
#include <fmt/format.h>

#include <stdexcept>

#include "pop3/session.hpp"
#include "pop3_proto/dot_stuff.hpp"

namespace mallard::pop3 {

namespace {

constexpr std::uint64_t piece_bytes = 64 * 1024;

}  // namespace

// RETR is charged before, for what it will send; TOP after, for what it sent (protocols.md §2.3).
Result<void> Session::allow_download(std::uint64_t bytes) {
    MALLARD_TRY_ASSIGN(auto account, services_.accounts.get(*user_));
    if (!account) return fail(ErrorKind::not_found, "The account is gone");
    return services_.accounts.use_allowance(*account, "pdw", static_cast<std::int64_t>(bytes));
}

Reply Session::send(std::size_t index, std::optional<std::uint32_t> top_lines) {
    Maildrop::Message& message = drop_->messages()[index];
    if (auto allowed = allow_download(top_lines ? 0 : message.row.size); !allowed) {
        co_yield fmt::format("-ERR {}\r\n", allowed.error().message);
        co_return;
    }
    auto reader = drop_->body(services_.mailboxes, message);
    if (!reader) {
        bool const gone = reader.error().kind == ErrorKind::not_found;
        if (!gone)
            log(LogLevel::error, log_context(), "message cannot be read",
                {{"message_id", message.row.id.hex()},
                 {"error", reader.error().message + ' ' + reader.error().context}});
        co_yield gone ? fmt::format("-ERR message {} is gone: another session deleted it\r\n", index + 1)
                      : std::string("-ERR [SYS/TEMP] The message cannot be read now; try again later\r\n");
        co_return;
    }

    std::string out =
        top_lines ? std::string("+OK message follows\r\n") : fmt::format("+OK {} octets\r\n", message.row.size);
    DotStuffer stuffer;
    TopCutter cutter(top_lines.value_or(0));
    std::uint64_t sent = 0;
    for (std::uint64_t at = 0; at < (*reader)->size() && !(top_lines && cutter.done());) {
        std::string piece;
        // The reply has begun: an error can only be said by closing the connection.
        if (auto read = (*reader)->read(at, piece_bytes, piece); !read)
            throw std::runtime_error("message " + message.row.id.hex() + ": " + read.error().message);
        if (piece.empty()) break;
        at += piece.size();
        std::string_view kept = piece;
        if (top_lines) kept = kept.substr(0, cutter.feed(kept));
        sent += kept.size();
        stuffer.feed(kept, out);
        if (out.size() >= piece_bytes) co_yield std::exchange(out, {});
    }
    stuffer.finish(out);
    if (top_lines)
        static_cast<void>(allow_download(sent));
    else
        message.fetched = true;
    log(LogLevel::debug, log_context(), top_lines ? "message header sent" : "message sent",
        {{"message_id", message.row.id.hex()},
         {"message_uid", std::to_string(message.row.uid)},
         {"message_size", std::to_string(message.row.size)},
         {"message_transferred_size", std::to_string(sent)}});
    co_yield std::move(out);
}

}  // namespace mallard::pop3
