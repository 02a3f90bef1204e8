#pragma once
// The state of one LMTP connection (RFC 2033): command lines in, replies out; no sockets.
//
// - A transaction is MAIL, then RCPTs, then DATA; LHLO, RSET, STARTTLS and the end of DATA clear it.
// - After DATA there is one reply for each RCPT that was accepted, in order (RFC 2033 §4.2).
// - Only execute() and deliver() may touch the disk: run those on the worker pool.
// Threads: one at a time.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "delivery/delivery.hpp"
#include "lmtp/lmtp_server.hpp"
#include "smtp_proto/command.hpp"

namespace mallard::lmtp {

struct Peer {
    std::string address;
    bool secure = false;  // TLS from the first byte
};

enum class Next { command, data, starttls, close };

struct Answer {
    std::string reply;  // with CRLF
    Next next = Next::command;
};

class Session {
public:
    // `config` must outlive the session. tls_available: there is a certificate.
    Session(LmtpConfig const& config, delivery::Delivery& delivery, Peer peer, bool tls_available);

    std::string greeting() const;
    // The answer, when memory is enough for it; none: nothing has happened, execute() gives it on the worker pool.
    std::optional<Answer> try_execute(std::string_view line);
    Answer execute(std::string_view line);
    Answer line_too_long();
    std::string timeout() const;   // 421, then close
    std::string shutdown() const;  // 421, then close

    // After Next::data: the bytes are appended to incoming().spool, which is then finished; `received` tells how it
    // went.
    delivery::Incoming& incoming() { return *incoming_; }
    bool is_large() const;
    std::string deliver(Result<void> const& received);

    void tls_started();  // RFC 3207 §4.2: all that was said before is forgotten
    LogContext log_context() const { return {"lmtp", id_, {}, peer_.address}; }

private:
    std::string address_of(smtp::Path const& path) const;
    Answer reply(int code, std::string_view status, std::string_view text, Next next = Next::command) const;
    Answer execute(smtp::Command const& command);
    Answer lhlo(smtp::Command const& command);
    Answer mail(smtp::Command const& command);
    Answer rcpt(smtp::Command const& command);
    Answer data();
    Answer starttls();
    Answer unknown(std::string_view line);
    std::string outcome_reply(delivery::Recipient const& recipient, delivery::Outcome const& outcome);
    std::vector<delivery::Outcome> deliver_all(Result<void> const& received);
    void reset();

    LmtpConfig const& config_;
    delivery::Delivery& delivery_;
    Peer peer_;
    bool tls_available_;
    std::string id_;
    std::string client_name_;  // LHLO; empty: not yet
    std::size_t bad_commands_ = 0;

    std::optional<smtp::Command> mail_;
    std::string transaction_;
    std::vector<delivery::Recipient> recipients_;
    std::optional<delivery::Envelope> envelope_;
    std::optional<delivery::Incoming> incoming_;
};

}  // namespace mallard::lmtp
