#pragma once
// Session: IMAP's state machine (RFC 9051 §3). A command goes in, a reply comes out; no socket is known here.
//
// - Commands run one after another; a session runs on one thread at a time (net::Workers).
// - A selected session keeps a snapshot as its view: sequence numbers stand for that view and for nothing else. Flags,
//   and whether a message is still there, are read from the newest snapshot.
// - The view moves on only where the client may be told (RFC 9051 §7.5.1): before a tagged reply, and in IDLE; never
//   past an EXPUNGE during FETCH, STORE or SEARCH.
// - An idle session is small: everything a command needs is freed when its reply has been pulled.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/log.hpp"
#include "imap/config.hpp"
#include "imap/watch.hpp"
#include "imap_proto/command.hpp"
#include "mailboxes/mailboxes.hpp"
#include "net/connection.hpp"
#include "store/events.hpp"
#include "store/index.hpp"

namespace mallard::net {
class Workers;
}

namespace mallard::imap {

using net::Reply;

struct CommandSpec;

constexpr std::uint32_t attempt_rows_max = 1000;  // of a mailbox that a network thread may pass over

// What a session works with; outlives it.
struct Services {
    mailboxes::Mailboxes& mailboxes;
    accounts::Accounts& accounts;
    store::Events& events;
    Clock const& clock;
    ImapConfig const& config;
    net::Workers* workers = nullptr;  // for commands that can use two
};

enum class State : std::uint8_t { not_authenticated = 1, authenticated = 2, selected = 4, logout = 8 };

enum class Status : std::uint8_t { ok, no, bad };

// The tagged reply: "<tag> <status> [<code>] <text>"; without a text "<NAME> completed" (protocols.md §1.3).
struct Outcome {
    Status status = Status::ok;
    std::string code;
    std::string text;
};
inline Outcome ok(std::string text = {}, std::string code = {}) {
    return {Status::ok, std::move(code), std::move(text)};
}
inline Outcome no(std::string code, std::string text = {}) { return {Status::no, std::move(code), std::move(text)}; }
inline Outcome bad(std::string text) { return {Status::bad, {}, std::move(text)}; }
// The words for an error of the inside.
Outcome no(Error const& error);

struct Request {
    imap_proto::Command command;
    Outcome outcome;      // set by streaming handlers
    bool broken = false;  // the reply ended inside a literal: the connection cannot go on

    std::vector<imap_proto::Argument> const& arguments() const { return command.arguments; }
    bool by_uid() const { return command.name.starts_with("UID "); }
};

// Where a command may run.
enum class Place : std::uint8_t {
    network,    // touches memory only
    attempt,    // memory often has all of it: tried on the network thread, else as `commands`
    commands,   // may touch the disk
    long_work,  // hashes passwords, reads message texts
};

// Flags of one command that the client already knows, though the view is older (its own STORE).
struct Told {
    store::UidSet uids;
    store::ModSeq modseq;
};

struct Selected {
    MailboxId id;
    store::Snapshot view;
    bool read_only = false;
    std::vector<Told> told;
};

class Session {
public:
    Session(Services const& services, std::string id, std::string peer_address, bool tls, std::function<void()> wake);
    ~Session();
    Session(Session const&) = delete;
    Session& operator=(Session const&) = delete;

    // The reply, pulled chunk by chunk; its last line is the tagged one. The session outlives it.
    Reply execute(imap_proto::Command command);
    Place place(imap_proto::Command const& command);
    // Before the arguments are read: why this command cannot be (unknown, wrong state).
    std::optional<Outcome> refuse(std::string_view name) const;
    // The tagged line, counted and logged. An empty tag: untagged.
    std::string finish(std::string_view tag, std::string_view name, Outcome const& outcome, double seconds = 0);
    void close();  // gives back what the session holds of others; may touch the store

    // IDLE (RFC 9051 §6.3.13): what the edge needs.
    void set_idling(bool idling) { watch_.set_idling(idling); }
    // What changed since the client was last told.
    void append_notices(std::string& out, bool may_expunge);

    std::string farewell() const { return watch_.farewell(); }
    State state() const { return state_; }
    bool broken() const { return broken_; }
    bool gave_up() const { return gave_up_; }  // the last execute(), under an Attempt: its reply counts for nothing
    std::size_t errors() const { return errors_; }  // BAD replies so far
    bool tls() const { return tls_; }
    bool wants_tls() const { return wants_tls_; }
    void end(std::string reason) { watch_.notify({store::Event::Kind::logout, user_, {}, std::move(reason)}); }
    void tls_started() { tls_ = true, wants_tls_ = false; }
    bool password_allowed() const { return tls_ || services_.config.allow_plaintext; }
    std::string const& id() const { return id_; }
    LogContext log_context() const { return {"imap", id_, user_hex_, address_}; }

    // For the commands.
    Services const& services() const { return services_; }
    UserId user() const { return user_; }
    std::string const& address() const { return address_; }
    Selected& selected() { return *selected_; }
    bool condstore() const { return condstore_; }
    void enable_condstore() { condstore_ = true; }
    bool utf8() const { return utf8_; }
    void enable_utf8() { utf8_ = true; }
    std::string capabilities() const;
    void logged_in(accounts::Login const& login);
    void select(MailboxId id, store::Snapshot view, bool read_only);
    void unselect();
    void log_out() { state_ = State::logout; }
    void want_tls() { wants_tls_ = true; }
    std::optional<accounts::Login> take_cached_login();
    // A name from the wire as a path: modified UTF-7 or UTF-8 (protocols.md §1.8); none: NIL, or not well-formed.
    std::optional<std::string> path(imap_proto::Argument const& argument) const;
    std::optional<std::string> path(std::string_view wire) const;

private:
    Outcome run(Request& request, std::string& out);
    bool worth_an_attempt(CommandSpec const& spec, imap_proto::Command const& command) const;

    Services const& services_;
    std::string id_, address_, user_hex_;
    UserId user_;
    State state_ = State::not_authenticated;
    bool tls_, wants_tls_ = false, condstore_ = false, utf8_ = false, broken_ = false, gave_up_ = false;
    std::uint16_t errors_ = 0;
    std::unique_ptr<Selected> selected_;
    std::unique_ptr<accounts::Login> cached_login_;
    Watch watch_;
    std::unique_ptr<store::Subscription> subscription_;  // ends before watch_
};

// " (\\Seen keyword)" without the blank: a row's flags.
void append_flags(std::string& out, store::MailboxIndex const& index, store::Row const& row);
// "* n FETCH (...)" CRLF about flags alone.
void append_flags_line(std::string& out, store::MailboxIndex const& index, store::Row const& row, std::uint32_t number,
                       bool uid, bool modseq);

}  // namespace mallard::imap
