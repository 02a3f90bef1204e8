#include "pop3/session.hpp"

#include <fmt/format.h>

#include <chrono>

#include "base/encoding.hpp"
#include "pop3/command_metrics.hpp"

namespace mallard::pop3 {

namespace {

Reply one(std::string text) { co_yield std::move(text); }

Answer ok(std::string_view text, Next next = Next::command) {
    return {one(text.empty() ? "+OK\r\n" : fmt::format("+OK {}\r\n", text)), next};
}

// The one place where an Error becomes POP3 words (RFC 2449 §8, RFC 3206 §4).
std::string words(Error const& error) {
    switch (error.kind) {
        case ErrorKind::auth_failed: return "[AUTH] Username and password not accepted";
        case ErrorKind::scope_denied:
        case ErrorKind::rate_limited: return "[AUTH] " + error.message;
        case ErrorKind::limit:
        case ErrorKind::unavailable:
        case ErrorKind::timeout:
        case ErrorKind::conflict: return "[SYS/TEMP] " + error.message;
        case ErrorKind::io:
        case ErrorKind::closed: return "[SYS/TEMP] The server cannot read its storage now; try again later";
        case ErrorKind::corrupt:
        case ErrorKind::internal: return "[SYS/PERM] The server has a fault";
        case ErrorKind::invalid:
        case ErrorKind::not_found:
        case ErrorKind::already_exists:
        case ErrorKind::denied:
        case ErrorKind::over_quota:
        case ErrorKind::too_large:
        case ErrorKind::not_supported: return error.message;
    }
    return error.message;
}

Answer err(std::string_view text, Next next = Next::command) {
    return {one(fmt::format("-ERR {}\r\n", text)), next, true};
}

Answer err(Error const& error) { return err(words(error)); }

}  // namespace

enum class When { any, authorization, transaction };

// The map: what each verb does, and when it may.
struct Session::Entry {
    Verb verb;
    Method method;
    When when;
};

constexpr Session::Entry Session::entries[] = {
    {Verb::user, &Session::user, When::authorization}, {Verb::pass, &Session::pass, When::authorization},
    {Verb::auth, &Session::auth, When::authorization}, {Verb::stls, &Session::stls, When::authorization},
    {Verb::capa, &Session::capa, When::any},           {Verb::stat, &Session::stat, When::transaction},
    {Verb::list, &Session::list, When::transaction},   {Verb::uidl, &Session::uidl, When::transaction},
    {Verb::retr, &Session::retr, When::transaction},   {Verb::top, &Session::top, When::transaction},
    {Verb::dele, &Session::dele, When::transaction},   {Verb::rset, &Session::rset, When::transaction},
    {Verb::noop, &Session::noop, When::transaction},   {Verb::quit, &Session::quit, When::any},
};

Session::Session(Pop3Config const& config, Services services, Peer peer, bool tls_available, std::function<void()> wake)
    : config_(config),
      services_(services),
      peer_(std::move(peer)),
      tls_available_(tls_available),
      id_(new_session_id()),
      dismissal_(std::move(wake)) {}

Session::~Session() { close(); }

void Session::close() {
    subscription_.reset();
    if (user_) services_.accounts.session_closed(*user_, "pop3");
    user_.reset();
}

void Session::Dismissal::notify(store::Event const& event) {
    if (event.kind != store::Event::Kind::logout) return;
    {
        std::lock_guard const lock(mutex_);
        words_ = fmt::format("-ERR {}\r\n", event.reason.empty() ? "Logout requested" : event.reason);
    }
    if (wake_) wake_();
}

std::string Session::Dismissal::farewell() const {
    std::lock_guard const lock(mutex_);
    return words_;
}

std::string Session::greeting() const {
    return fmt::format("+OK {} ready for requests from {} {}\r\n", config_.name, peer_.address, id_);
}

std::string Session::timeout() const { return "-ERR Disconnected for inactivity\r\n"; }

std::string Session::shutdown() const { return "-ERR [SYS/TEMP] The server is shutting down; try again later\r\n"; }

bool Session::needs_worker(std::string_view line) const {
    if (in_sasl_) return true;
    line = trim(line);
    std::string_view const verb = line.substr(0, line.find(' '));
    for (std::string_view slow : {"PASS", "AUTH", "RETR", "TOP", "QUIT"})
        if (iequals(verb, slow)) return true;
    return false;
}

Answer Session::line_too_long() { return bad(fmt::format("line too long: at most {} octets", command_line_bytes_max)); }

Answer Session::bad(std::string_view text) {
    bool const last = ++bad_commands_ >= config_.bad_commands_max;
    return err(text, last ? Next::close : Next::command);
}

Answer Session::execute(std::string_view line) {
    auto const begun = std::chrono::steady_clock::now();
    if (in_sasl_) return sasl_response(line);
    auto const command = parse_command(line);
    if (!command) return bad(command.error().message);
    Answer answer = dispatch(*command);
    count_command(command->verb, answer.refused, std::chrono::steady_clock::now() - begun);
    return answer;
}

Answer Session::dispatch(Command const& command) {
    for (auto const& entry : entries) {
        if (entry.verb != command.verb) continue;
        bool const in_transaction = logged_in();
        if ((entry.when == When::authorization && in_transaction) ||
            (entry.when == When::transaction && !in_transaction))
            return bad("Command not accepted");
        return (this->*entry.method)(command);
    }
    return bad("bad command");
}

Answer Session::user(Command const& command) {
    if (!passwords_allowed()) return err("Passwords are not accepted without TLS: use STLS first");
    if (command.text.empty()) return err("USER who?");
    username_ = command.text;
    return ok("send PASS");
}

Answer Session::pass(Command const& command) {
    if (username_.empty() || command.text.empty()) return bad("malformed command");
    return begin_login(std::exchange(username_, {}), command.text);
}

// RFC 5034 §4
Answer Session::auth(Command const& command) {
    if (command.text.empty()) return {one("+OK\r\nPLAIN\r\n.\r\n")};
    std::size_t const blank = std::min(command.text.find(' '), command.text.size());
    if (!iequals(std::string_view(command.text).substr(0, blank), "PLAIN")) return err("unsupported SASL mechanism");
    if (!passwords_allowed()) return err("Passwords are not accepted without TLS: use STLS first");
    std::string_view const initial = trim(std::string_view(command.text).substr(blank));
    if (!initial.empty()) return sasl_response(initial);
    in_sasl_ = true;
    return {one("+ \r\n")};
}

Answer Session::sasl_response(std::string_view line) {
    in_sasl_ = false;
    if (trim(line) == "*") return err("authentication cancelled");
    auto plain = parse_plain(trim(line));
    if (!plain) return bad(plain.error().message);
    return begin_login(std::move(plain->username), std::move(plain->password));
}

Answer Session::begin_login(std::string username, std::string password) {
    pending_ = accounts::Credentials{.username = std::move(username),
                                     .password = std::move(password),
                                     .scope = accounts::Scope::pop3,
                                     .protocol = "POP3",
                                     .session = id_,
                                     .address = peer_.address};
    if (auto const login = services_.accounts.try_cached(*pending_)) return finish_login(*login);
    return {{}, Next::authenticate};
}

Answer Session::authenticate() {
    if (!pending_) return err("Command not accepted");
    auto const login = services_.accounts.authenticate(*pending_);
    if (login) return finish_login(*login);
    pending_.reset();
    return bad(words(login.error()));
}

Answer Session::finish_login(accounts::Login const& login) {
    pending_.reset();
    // Before the account is read: who disables or deletes it from here on ends this session.
    auto subscription =
        services_.events.subscribe(login.user, [this](store::Event const& event) { dismissal_.notify(event); });
    auto const account = services_.accounts.get(login.user);
    if (!account || !*account || (*account)->disabled || (*account)->suspended)
        return err("[SYS/TEMP] The account cannot be opened now; try again later");
    if (auto opened = services_.accounts.session_opened(login.user, "pop3"); !opened) return err(opened.error());
    std::int64_t const own_limit = (*account)->limits.pop3_max_messages;
    std::size_t const messages_max = own_limit > 0 ? static_cast<std::size_t>(own_limit) : config_.messages_max;
    auto drop = Maildrop::open(services_.mailboxes, services_.state, login.user, messages_max);
    if (!drop) {
        services_.accounts.session_closed(login.user, "pop3");
        return err(drop.error());
    }
    user_ = login.user;
    user_hex_ = login.user.hex();
    subscription_ = std::move(subscription);
    drop_ = std::move(*drop);
    return ok(greeting_of_maildrop());
}

std::string Session::greeting_of_maildrop() const {
    std::size_t const count = drop_->count();
    return fmt::format("maildrop has {} message{} ({} octets)", count, count == 1 ? "" : "s", drop_->bytes());
}

Answer Session::stls(Command const&) {  // RFC 2595 §4
    if (peer_.secure) return err("Command not permitted when TLS active");
    if (!tls_available_ || !config_.stls) return err("STLS is not offered");
    return ok("Begin TLS negotiation", Next::starttls);
}

void Session::tls_started() {
    peer_.secure = true;
    username_.clear();  // RFC 2595 §4: what was learned in clear is forgotten
}

Answer Session::capa(Command const&) {  // RFC 2449 §5
    std::string text = "+OK Capability list follows\r\nTOP\r\nUIDL\r\n";
    bool const may_log_in = !logged_in() && passwords_allowed() && username_.empty();
    if (may_log_in) text += "USER\r\n";
    text += "RESP-CODES\r\nAUTH-RESP-CODE\r\n";
    if (may_log_in) text += "SASL PLAIN\r\n";
    text += "PIPELINING\r\n";
    if (!peer_.secure && tls_available_ && config_.stls && !logged_in()) text += "STLS\r\n";
    if (!config_.implementation.empty()) text += "IMPLEMENTATION " + config_.implementation + "\r\n";
    return {one(text + ".\r\n")};
}

Answer Session::stat(Command const&) { return ok(fmt::format("{} {}", drop_->count(), drop_->bytes())); }

Result<std::size_t> Session::find(std::uint32_t number) const {
    auto const& messages = drop_->messages();
    if (number > messages.size())
        return fail(ErrorKind::not_found,
                    fmt::format("no such message, only {} messages in maildrop", messages.size()));
    if (messages[number - 1].deleted)
        return fail(ErrorKind::not_found, fmt::format("message {} already deleted", number));
    return number - 1;
}

Answer Session::list(Command const& command) {
    auto const& messages = drop_->messages();
    if (command.number) {
        auto const index = find(*command.number);
        if (!index) return err(index.error());
        return ok(fmt::format("{} {}", *command.number, messages[*index].row.size));
    }
    std::string text = fmt::format("+OK {} {}\r\n", drop_->count(), drop_->bytes());
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (!messages[i].deleted) text += fmt::format("{} {}\r\n", i + 1, messages[i].row.size);
    return {one(text + ".\r\n")};
}

Answer Session::uidl(Command const& command) {
    auto const& messages = drop_->messages();
    if (command.number) {
        auto const index = find(*command.number);
        if (!index) return err(index.error());
        return ok(fmt::format("{} {}", *command.number, messages[*index].row.id.hex()));
    }
    std::string text = "+OK\r\n";
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (!messages[i].deleted) text += fmt::format("{} {}\r\n", i + 1, messages[i].row.id.hex());
    return {one(text + ".\r\n")};
}

Answer Session::retr(Command const& command) {
    auto const index = find(*command.number);
    if (!index) return err(index.error());
    return {send(*index, std::nullopt)};
}

Answer Session::top(Command const& command) {
    auto const index = find(*command.number);
    if (!index) return err(index.error());
    return {send(*index, command.lines)};
}

Answer Session::dele(Command const& command) {
    auto const index = find(*command.number);
    if (!index) return err(index.error());
    drop_->messages()[*index].deleted = true;
    return ok(fmt::format("message {} deleted", *command.number));
}

Answer Session::rset(Command const&) {
    drop_->reset();
    return ok(greeting_of_maildrop());
}

Answer Session::noop(Command const&) { return ok(""); }

Answer Session::quit(Command const&) {  // RFC 1939 §6: the UPDATE state
    if (drop_) {
        if (auto updated = drop_->update(services_.mailboxes); !updated) {
            log(LogLevel::error, log_context(), "maildrop not updated",
                {{"error", updated.error().message + ' ' + updated.error().context}});
            return err("some messages were not updated: " + words(updated.error()), Next::close);
        }
    }
    return ok("Bye", Next::close);
}

}  // namespace mallard::pop3
