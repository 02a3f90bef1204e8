#pragma once
// The state of one POP3 connection (RFC 1939): command lines in, replies out; no sockets.
//
// - AUTHORIZATION until a password is accepted, then TRANSACTION until QUIT.
// - PASS and AUTH answer at once when the password was verified a moment ago; else execute() asks for authenticate().
// - A reply is pulled before the next command is executed: it reads the session.
// Threads: one at a time. What needs_worker() names, authenticate() and the pulling of replies run on the worker pool.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "accounts/accounts.hpp"
#include "base/generator.hpp"
#include "base/log.hpp"
#include "mailboxes/mailboxes.hpp"
#include "pop3/maildrop.hpp"
#include "pop3/pop3_server.hpp"
#include "pop3_proto/command.hpp"
#include "store/events.hpp"

namespace mallard::pop3 {

using Reply = Generator<std::string>;

struct Peer {
    std::string address;
    bool secure = false;  // TLS from the first byte
};

enum class Next { command, authenticate, starttls, close };

struct Answer {
    Reply reply;  // empty for Next::authenticate
    Next next = Next::command;
    bool refused = false;  // -ERR; for the metrics
};

class Session {
public:
    struct Services {
        accounts::Accounts& accounts;
        mailboxes::Mailboxes& mailboxes;
        store::SharedState& state;
        store::Events& events;
    };
    // `config` must outlive the session. tls_available: there is a certificate. `wake` is called, from any thread, when
    // farewell() has something to say.
    Session(Pop3Config const& config, Services services, Peer peer, bool tls_available, std::function<void()> wake);
    ~Session();
    Session(Session const&) = delete;
    Session& operator=(Session const&) = delete;

    std::string greeting() const;
    bool needs_worker(std::string_view line) const;
    Answer execute(std::string_view line);
    Answer authenticate();  // hashes; after Next::authenticate
    Answer line_too_long();
    std::string timeout() const;
    std::string shutdown() const;
    // Not empty once the user was logged out, disabled or deleted: said, and then the connection ends.
    std::string farewell() const { return dismissal_.farewell(); }
    void close();  // what may touch the disk at the end

    void tls_started();
    bool logged_in() const { return drop_.has_value(); }
    LogContext log_context() const { return {"pop3", id_, user_hex_, peer_.address}; }

private:
    using Method = Answer (Session::*)(Command const&);
    struct Entry;
    static Entry const entries[];

    Answer dispatch(Command const& command);
    Answer user(Command const& command);
    Answer pass(Command const& command);
    Answer auth(Command const& command);
    Answer stls(Command const& command);
    Answer capa(Command const& command);
    Answer stat(Command const& command);
    Answer list(Command const& command);
    Answer uidl(Command const& command);
    Answer retr(Command const& command);
    Answer top(Command const& command);
    Answer dele(Command const& command);
    Answer rset(Command const& command);
    Answer noop(Command const& command);
    Answer quit(Command const& command);

    Answer sasl_response(std::string_view line);
    Answer begin_login(std::string username, std::string password);
    Answer finish_login(accounts::Login const& login);
    Answer bad(std::string_view text);  // -ERR that counts
    bool passwords_allowed() const { return peer_.secure || config_.plaintext_allowed; }
    // The message a command names; the refusal when there is none, or it was deleted.
    Result<std::size_t> find(std::uint32_t number) const;
    std::string greeting_of_maildrop() const;
    Reply send(std::size_t index, std::optional<std::uint32_t> top_lines);
    Result<void> allow_download(std::uint64_t bytes);

    Pop3Config const& config_;
    Services services_;
    Peer peer_;
    bool tls_available_;
    std::string id_;
    std::size_t bad_commands_ = 0;

    std::string username_;  // USER
    bool in_sasl_ = false;  // the next line is a response
    std::optional<accounts::Credentials> pending_;
    std::optional<UserId> user_;
    std::string user_hex_;
    std::optional<Maildrop> drop_;  // TRANSACTION

    // Why the server ends the session. Written by any thread.
    class Dismissal {
    public:
        explicit Dismissal(std::function<void()> wake) : wake_(std::move(wake)) {}
        void notify(store::Event const& event);
        std::string farewell() const;

    private:
        std::function<void()> wake_;
        mutable std::mutex mutex_;
        std::string words_;
    };
    Dismissal dismissal_;
    std::unique_ptr<store::Subscription> subscription_;  // ends before dismissal_
};

}  // namespace mallard::pop3
