#include "imap/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/attempt.hpp"
#include "base/encoding.hpp"
#include "imap/command_table.hpp"
#include "imap_proto/fetch.hpp"
#include "imap_proto/output.hpp"
#include "imap_proto/utf7.hpp"

namespace mallard::imap {

namespace {

std::string_view word(Status status) {
    switch (status) {
        case Status::ok: return "OK";
        case Status::no: return "NO";
        case Status::bad: return "BAD";
    }
    return "BAD";
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// A FETCH that the index alone answers.
bool asks_index(imap_proto::Command const& command) {
    auto const& arguments = command.arguments;
    if (arguments.size() != 2) return false;
    auto const cheap = [](imap_proto::Argument const& item) {
        return item.is_word("FLAGS") || item.is_word("UID") || item.is_word("RFC822.SIZE") ||
               item.is_word("INTERNALDATE") || item.is_word("MODSEQ");
    };
    if (!arguments[1].is_list()) return cheap(arguments[1]);
    for (auto const& item : arguments[1].items)
        if (!cheap(item)) return false;
    return true;
}

// ... for a few messages.
bool index_answers(imap_proto::Command const& command) {
    if (!asks_index(command)) return false;
    auto const& set = command.arguments[0];
    return set.is_atom() && set.text.size() <= 64 && set.text.find_first_of(":*") == std::string::npos;
}

// One message by its number or UID.
bool names_one(imap_proto::Command const& command) {
    auto const& arguments = command.arguments;
    return !arguments.empty() && arguments[0].is_atom() &&
           arguments[0].text.find_first_not_of("0123456789") == std::string::npos;
}

bool is_large(imap_proto::Argument const& argument) {
    return (argument.spool && argument.spool->on_disk()) || std::ranges::any_of(argument.items, is_large);
}

bool reads_texts(std::vector<imap_proto::Argument> const& arguments) {
    for (auto const& argument : arguments)
        if (argument.is_word("TEXT") || argument.is_word("BODY") || argument.is_word("HEADER") ||
            reads_texts(argument.items))
            return true;
    return false;
}

}  // namespace

Outcome no(Error const& error) {
    switch (error.kind) {  // protocols.md §1.18; the texts there are "<NAME> completed"
        case ErrorKind::not_found: return no("NONEXISTENT");
        case ErrorKind::already_exists: return no("ALREADYEXISTS");
        case ErrorKind::invalid:
        case ErrorKind::denied:
        case ErrorKind::limit:
        case ErrorKind::not_supported: return no("CANNOT");
        case ErrorKind::over_quota: return no("OVERQUOTA");  // RFC 9208 §4.3.1
        case ErrorKind::too_large: return no("TOOBIG", error.message);
        case ErrorKind::rate_limited: return no("TEMPFAIL", error.message);
        case ErrorKind::auth_failed: return no("AUTHENTICATIONFAILED", "Invalid credentials");
        case ErrorKind::scope_denied: return no("InvalidAuthScope", error.message);
        case ErrorKind::conflict:
        case ErrorKind::unavailable:
        case ErrorKind::timeout:
        case ErrorKind::closed:
        case ErrorKind::io:
        case ErrorKind::corrupt:
        case ErrorKind::internal: return no("TEMPFAIL");
    }
    return no("TEMPFAIL");
}

Session::Session(Services const& services, std::string id, std::string peer_address, bool tls,
                 std::function<void()> wake)
    : services_(services), id_(std::move(id)), address_(std::move(peer_address)), tls_(tls), watch_(std::move(wake)) {}

Session::~Session() { close(); }

void Session::close() {
    subscription_.reset();
    selected_.reset();
    if (state_ == State::not_authenticated || user_.is_nil()) return;
    services_.accounts.session_closed(user_, "imap");
    user_ = {};
}

Place Session::place(imap_proto::Command const& command) {
    CommandSpec const* spec = find_command(command.name);
    if (spec == nullptr) return Place::network;
    if (spec->place == Place::long_work) {
        // A password verified a moment ago needs no hashing.
        auto credentials = credentials_of(*this, command);
        auto login = credentials && password_allowed() ? services_.accounts.try_cached(*credentials) : std::nullopt;
        if (!login) return Place::long_work;
        cached_login_ = std::make_unique<accounts::Login>(std::move(*login));
        return Place::commands;
    }
    // A large message is mapped, parsed and stored where few of them are worked on at a time.
    if (spec->name == "APPEND" && std::ranges::any_of(command.arguments, is_large)) return Place::long_work;
    if (spec->name.ends_with("SEARCH") && reads_texts(command.arguments)) return Place::long_work;
    if (spec->streaming == &cmd_fetch && index_answers(command)) return Place::network;
    if (spec->place == Place::attempt && !worth_an_attempt(*spec, command)) return Place::commands;
    return spec->place;
}

// What is short as long as the disk is not needed. One message at a time, so that whatever gives up has done nothing
// yet that would be done twice; or a mailbox that is quickly passed over.
bool Session::worth_an_attempt(CommandSpec const& spec, imap_proto::Command const& command) const {
    if (!services_.mailboxes.store().knows_attempts()) return false;
    if (!selected_) return true;
    if (spec.simple == &cmd_search) return selected_->view->size() <= attempt_rows_max;
    if (spec.streaming == nullptr || names_one(command)) return true;
    return spec.streaming == &cmd_fetch && selected_->view->size() <= attempt_rows_max && asks_index(command);
}

std::optional<accounts::Login> Session::take_cached_login() {
    if (!cached_login_) return std::nullopt;
    accounts::Login login = std::move(*cached_login_);
    cached_login_.reset();
    return login;
}

std::optional<Outcome> Session::refuse(std::string_view name) const {
    CommandSpec const* spec = find_command(name);
    if (spec == nullptr) return bad("Unknown command: " + imap_proto::printable(name));
    if ((spec->states & static_cast<unsigned>(state_)) == 0) return bad(fmt::format("{} not allowed now", name));
    return std::nullopt;
}

Outcome Session::run(Request& request, std::string& out) {
    CommandSpec const* spec = find_command(request.command.name);
    if (auto refused = refuse(request.command.name)) return *refused;
    if (request.arguments().size() < spec->arguments_min) return bad("Not enough arguments provided");
    if (request.arguments().size() > spec->arguments_max) return bad("Too many arguments provided");
    if (spec->simple == nullptr) return {};
    try {
        return spec->simple(*this, request, out);
    } catch (std::exception const& error) {
        log(LogLevel::error, log_context(), "A command failed unexpectedly",
            {{"command", request.command.name}, {"error", error.what()}});
        return no("TEMPFAIL");
    }
}

Reply Session::execute(imap_proto::Command command) {
    auto const begun = std::chrono::steady_clock::now();
    Request request{std::move(command), {}, false};
    gave_up_ = false;
    CommandSpec const* spec = find_command(request.command.name);
    std::string out;
    request.outcome = run(request, out);
    if (request.outcome.status == Status::ok && spec->streaming != nullptr) {
        Reply data = spec->streaming(*this, request);
        while (true) {
            std::string* chunk = nullptr;
            try {
                chunk = data.next();
            } catch (std::exception const& error) {
                log(LogLevel::error, log_context(), "A command failed unexpectedly",
                    {{"command", request.command.name}, {"error", error.what()}});
                request.outcome = no("TEMPFAIL");
            }
            if (chunk == nullptr || Attempt::gave_up()) break;
            co_yield std::move(*chunk);
        }
    }
    gave_up_ = Attempt::gave_up();
    if (gave_up_) co_return;
    broken_ = request.broken;
    if (!broken_) {
        if (spec != nullptr && spec->notices != Notices::none && request.outcome.status != Status::bad)
            append_notices(out, spec->notices == Notices::all);
        out += finish(request.command.tag, request.command.name, request.outcome, seconds_since(begun));
    }
    if (!out.empty()) co_yield std::move(out);
}

std::string Session::finish(std::string_view tag, std::string_view name, Outcome const& outcome, double seconds) {
    if (outcome.status == Status::bad) ++errors_;
    CommandMetrics& counts = metrics_of(find_command(name), outcome.status);
    counts.count->add();
    metrics::observe(*counts.seconds, seconds);

    std::string out(tag.empty() ? std::string_view("*") : tag);
    out += ' ';
    out += word(outcome.status);
    if (!outcome.code.empty()) {
        out += " [";
        out += outcome.code;
        out += ']';
    }
    out += ' ';
    if (outcome.text.empty()) {
        out += name;
        out += " completed";
    } else {
        out += outcome.text;
    }
    if (outcome.status != Status::ok && log_enabled(LogLevel::debug))
        log(LogLevel::debug, log_context(), "Command refused",
            {{"command", imap_proto::printable(name)}, {"reply", imap_proto::printable(out)}});
    out += "\r\n";
    return out;
}

std::string Session::capabilities() const {  // protocols.md §1.4
    bool const before = state_ == State::not_authenticated;
    std::string out = fmt::format("IMAP4rev1 APPENDLIMIT={}", services_.config.append_bytes_max());
    // Deviation: WildDuck lists AUTH=PLAIN beside LOGINDISABLED; RFC 9051 §11.3 forbids it.
    if (before && password_allowed()) out += " AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN";
    out += " CHILDREN CONDSTORE ENABLE ID IDLE LITERAL+";
    if (!password_allowed()) out += " LOGINDISABLED";
    out += " MOVE NAMESPACE QUOTA SASL-IR SPECIAL-USE";
    if (!tls_ && !services_.config.disable_starttls) out += " STARTTLS";
    out += " UIDPLUS UNSELECT UTF8=ACCEPT WITHIN XLIST";
    return out;
}

void Session::logged_in(accounts::Login const& login) {
    user_ = login.user;
    user_hex_ = login.user.hex();
    state_ = State::authenticated;
    subscription_ =
        services_.events.subscribe(user_, [watch = &watch_](store::Event const& event) { watch->notify(event); });
}

void Session::select(MailboxId id, store::Snapshot view, bool read_only) {
    selected_ = std::make_unique<Selected>(Selected{id, std::move(view), read_only, {}});
    state_ = State::selected;
    watch_.select(id);
}

void Session::unselect() {
    if (!selected_) return;
    selected_.reset();
    state_ = State::authenticated;
    watch_.select({});
}

std::optional<std::string> Session::path(imap_proto::Argument const& argument) const {
    auto const value = argument.string_value();
    if (!value) return std::nullopt;
    return path(*value);
}

std::optional<std::string> Session::path(std::string_view wire) const {
    if (!utf8_) return imap_proto::decode_utf7(wire);
    if (!is_valid_utf8(wire)) return std::nullopt;
    return std::string(wire);
}

}  // namespace mallard::imap
