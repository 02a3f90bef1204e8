#include "lmtp/session.hpp"

#include <fmt/format.h>

#include <array>

#include "base/encoding.hpp"
#include "base/ids.hpp"
#include "base/metrics.hpp"

namespace mallard::lmtp {

namespace {

using smtp::Verb;

struct Counters {  // protocols.md §10
    metrics::Counter& accepted = metrics::counter("wildduck_lmtp_recipients_total", {{"result", "accepted"}});
    metrics::Counter& rejected = metrics::counter("wildduck_lmtp_recipients_total", {{"result", "rejected"}});
    metrics::Counter& error = metrics::counter("wildduck_lmtp_recipients_total", {{"result", "error"}});
    metrics::Counter& stored = metrics::counter("wildduck_lmtp_messages_total", {{"result", "success"}});
    metrics::Counter& failed = metrics::counter("wildduck_lmtp_messages_total", {{"result", "error"}});
    metrics::Histogram& stored_bytes =
        metrics::histogram("wildduck_lmtp_message_size_bytes", metrics::Buckets::sizes, {{"result", "success"}});
    metrics::Histogram& failed_bytes =
        metrics::histogram("wildduck_lmtp_message_size_bytes", metrics::Buckets::sizes, {{"result", "error"}});
};

Counters& counters() {
    static Counters all;
    return all;
}

// A browser that was made to talk to this port must not get far (protocols.md §3).
bool is_http(std::string_view line) {
    for (std::string_view method : {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT "})
        if (line.starts_with(method) && line.contains(" HTTP/")) return true;
    return false;
}

// RFC 3848, RFC 6531 §4.3
std::string protocol_name(bool secure, bool utf8) {
    return std::string(utf8 ? "UTF8LMTP" : "LMTP") + (secure ? "S" : "");
}

}  // namespace

Session::Session(LmtpConfig const& config, delivery::Delivery& delivery, Peer peer, bool tls_available)
    : config_(config),
      delivery_(delivery),
      peer_(std::move(peer)),
      tls_available_(tls_available),
      id_(new_session_id()) {}

Answer Session::reply(int code, std::string_view status, std::string_view text, Next next) const {
    return {smtp::render({code, std::string(status), std::string(text)}), next};
}

std::string Session::greeting() const { return reply(220, "", config_.name + " LMTP " + config_.banner).reply; }

std::string Session::timeout() const { return reply(421, "4.4.2", "Timeout - closing connection").reply; }

std::string Session::shutdown() const {
    return reply(421, "4.3.2", config_.name + " is shutting down; try again later").reply;
}

std::optional<Answer> Session::try_execute(std::string_view line) {
    if (iequals(line.substr(0, 4), "RCPT")) {
        auto const command = smtp::parse_command(line);
        bool const asks_store = command && command->verb == Verb::rcpt && mail_;
        if (asks_store && !delivery_.is_at_hand(address_of(command->path))) return std::nullopt;
    }
    return execute(line);
}

// RFC 5321 §4.5.1: <Postmaster> without a domain is ours.
std::string Session::address_of(smtp::Path const& path) const {
    return path.local + '@' + (path.domain.empty() ? config_.name : path.domain);
}

Answer Session::line_too_long() {
    return reply(500, "5.5.2", fmt::format("Line too long: at most {} octets", smtp::command_line_bytes_max));
}

Answer Session::execute(std::string_view line) {
    auto const command = smtp::parse_command(line);
    if (!command) return {smtp::render(command.error()), Next::command};
    if (command->verb == Verb::unknown) return unknown(line);
    return execute(*command);
}

Answer Session::execute(smtp::Command const& command) {
    switch (command.verb) {
        case Verb::lhlo: return lhlo(command);
        case Verb::ehlo:
        case Verb::helo:  // RFC 2033 §4.1: must be refused with 500
            return reply(500, "5.5.1", fmt::format("{} not allowed in LMTP: send LHLO", name_of(command.verb)));
        case Verb::mail: return mail(command);
        case Verb::rcpt: return rcpt(command);
        case Verb::data: return data();
        case Verb::rset: reset(); return reply(250, "2.0.0", "Flushed");
        case Verb::noop: return reply(250, "2.0.0", "OK");
        case Verb::vrfy: return reply(252, "2.0.0", "Try to send something. No promises though");
        case Verb::expn: return reply(502, "5.5.1", "EXPN is not offered");
        case Verb::help: return reply(214, "2.0.0", "See https://www.rfc-editor.org/rfc/rfc2033 for details");
        case Verb::quit: return reply(221, "2.0.0", "Bye", Next::close);
        case Verb::starttls: return starttls();
        case Verb::auth:
        case Verb::bdat:
        case Verb::unknown: return unknown({});
    }
    return unknown({});
}

Answer Session::unknown(std::string_view line) {
    if (is_http(line)) return reply(421, "4.7.0", "HTTP requests not allowed", Next::close);
    if (++bad_commands_ >= config_.bad_commands_max)
        return reply(421, "4.7.0", "Error: too many unrecognized commands", Next::close);
    return reply(500, "5.5.1", "Error: command not recognized");
}

Answer Session::lhlo(smtp::Command const& command) {
    reset();
    client_name_ = command.argument;
    std::string text =
        fmt::format("{} Nice to meet you, [{}]\nPIPELINING\n8BITMIME\nSMTPUTF8\nSIZE {}\nENHANCEDSTATUSCODES",
                    config_.name, peer_.address, config_.message_bytes_max);
    if (tls_available_ && config_.starttls && !peer_.secure) text += "\nSTARTTLS";
    return reply(250, "", text);
}

Answer Session::mail(smtp::Command const& command) {
    if (client_name_.empty()) return reply(503, "5.5.1", "Error: send LHLO first");
    if (mail_) return reply(503, "5.5.1", "Error: nested MAIL command");
    // RFC 1870 §6.1
    if (command.mail.size.value_or(0) > config_.message_bytes_max)
        return reply(552, "5.3.4", fmt::format("Message too large: at most {} octets", config_.message_bytes_max));
    mail_ = command;
    transaction_ = ObjectId::generate().hex();
    return reply(250, "2.1.0", "Accepted");
}

Answer Session::rcpt(smtp::Command const& command) {
    if (!mail_) return reply(503, "5.5.1", "Error: need MAIL command");
    if (!command.path.is_ascii() && !mail_->mail.smtputf8)
        return reply(553, "5.6.7", "An address with non-ASCII characters needs SMTPUTF8");
    if (recipients_.size() >= config_.recipients_max)
        return reply(452, "4.5.3", fmt::format("Too many recipients: at most {} at a time", config_.recipients_max));
    auto recipient = delivery_.recipient(address_of(command.path), mail_->mail.size.value_or(0));
    if (!recipient) {
        Error const& error = recipient.error();
        smtp::Reply const refusal = smtp::reply_for(error);
        (refusal.code >= 500 ? counters().rejected : counters().error).add();
        log(LogLevel::info, log_context(), "recipient refused",
            {{"to", command.path.address()},
             {"from", mail_->path.address()},
             {"error", error.message + ' ' + error.context}});
        return {smtp::render(refusal), Next::command};
    }
    // What goes into headers is what was written, with its quotes.
    smtp::Path whole = command.path;
    if (whole.domain.empty()) whole.domain = config_.name;
    recipient->address = whole.address();
    recipients_.push_back(std::move(*recipient));
    counters().accepted.add();
    return reply(250, "2.1.5", "Accepted");
}

Answer Session::data() {
    if (!mail_) return reply(503, "5.5.1", "Error: need MAIL command");
    if (recipients_.empty()) return reply(503, "5.5.1", "Error: need RCPT command");  // RFC 2033 §4.2
    envelope_ = delivery::Envelope{
        .sender = mail_->path.address(),
        .transaction = transaction_,
        .client_name = client_name_,
        .client_address = peer_.address,
        .client_host = '[' + peer_.address + ']',
        .protocol = protocol_name(peer_.secure, mail_->mail.smtputf8),
        .server_name = config_.name,
    };
    incoming_ = delivery_.begin(*envelope_, recipients_);
    return reply(354, "", "End data with <CR><LF>.<CR><LF>", Next::data);
}

bool Session::is_large() const { return incoming_ && incoming_->spool.size() >= delivery::large_bytes; }

std::vector<delivery::Outcome> Session::deliver_all(Result<void> const& received) {
    Error error;
    try {
        if (received) return delivery_.deliver(*envelope_, recipients_, *incoming_);
        error = received.error();
        if (error.kind == ErrorKind::too_large)
            error.message = fmt::format("Message too large: at most {} octets", config_.message_bytes_max);
    } catch (std::exception const& bug) {
        error = {ErrorKind::internal, "The server has a fault; try again later", bug.what()};
    }
    return std::vector<delivery::Outcome>(recipients_.size(), delivery::Outcome{.stored = std::unexpected(error)});
}

std::string Session::deliver(Result<void> const& received) {
    std::string replies;
    auto const outcomes = deliver_all(received);
    for (std::size_t i = 0; i < outcomes.size(); ++i) replies += outcome_reply(recipients_[i], outcomes[i]);
    reset();
    return replies;
}

std::string Session::outcome_reply(delivery::Recipient const& recipient, delivery::Outcome const& outcome) {
    auto const size =
        static_cast<double>(incoming_->spool.size() - std::min(incoming_->message, incoming_->spool.size()));
    if (outcome.stored) {
        counters().stored.add();
        metrics::observe(counters().stored_bytes, size);
        std::string const id = outcome.stored->id.hex();
        log(LogLevel::info, log_context(), outcome.duplicate ? "message dropped as duplicate" : "message stored",
            {{"queue_id", transaction_},
             {"from", envelope_->sender},
             {"to", recipient.address},
             {"stored_user", recipient.user.hex()},
             {"stored_path", outcome.mailbox_path},
             {"stored_uid", std::to_string(outcome.stored->uid)},
             {"stored_id", id},
             {"stored_size", std::to_string(outcome.stored->size)}});
        return reply(250, "2.0.0", (outcome.duplicate ? "Message dropped as duplicate of " : "Message stored as ") + id)
            .reply;
    }
    counters().failed.add();
    metrics::observe(counters().failed_bytes, size);
    Error const& error = outcome.stored.error();
    log(LogLevel::warning, log_context(), "message not stored",
        {{"queue_id", transaction_},
         {"from", envelope_->sender},
         {"to", recipient.address},
         {"error", std::string(name_of(error.kind)) + ": " + error.message + ' ' + error.context}});
    if (outcome.loop) return reply(554, "5.4.6", error.message).reply;  // RFC 3463 §3.5
    return smtp::render(smtp::reply_for(error));
}

Answer Session::starttls() {
    if (peer_.secure) return reply(503, "5.5.1", "TLS is already active");
    if (!tls_available_ || !config_.starttls) return reply(502, "5.5.1", "STARTTLS is not offered");
    return reply(220, "2.0.0", "Ready to start TLS", Next::starttls);
}

void Session::tls_started() {
    reset();
    client_name_.clear();
    peer_.secure = true;
}

void Session::reset() {
    mail_.reset();
    recipients_.clear();
    envelope_.reset();
    incoming_.reset();
}

}  // namespace mallard::lmtp
