// IMAP transcripts: the whole server above the socket (connection, session, accounts, store), with
// any number of sessions. Words of "!" lines:
//
//   user NAME PASSWORD [quota=BYTES]      the first one is "the user" below
//   login [SESSION]...                    LOGIN as the user, its replies unseen; no number: the session without one
//   messages MAILBOX N                    appends N small messages: Subject "message 1" and so on
//   append MAILBOX TEXT                   a message; escapes \r \n \0
//   store MAILBOX UID FLAGS               another client sets flags: \Seen \Deleted word
//   expunge MAILBOX UID                   another client removes a message
//   delete MAILBOX, logout REASON         what a session must say BYE to
//   hidden MAILBOX, special MAILBOX USE   settings of a mailbox
//   config NAME=VALUE                     plaintext=0|1 maxMB=N; before the first line of a client
// Words of "=" lines: flags MAILBOX UID FLAGS; closed [SESSION]; exists MAILBOX; missing MAILBOX
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <sstream>

#include "engines/test_engine.hpp"
#include "imap/imap_server.hpp"
#include "net/connection.hpp"
#include "net/workers.hpp"
#include "transcripts/runner.hpp"

namespace mallard::imap {
namespace {

// A peer in this process: what it sends is fed, what it gets is collected.
class PipeStream final : public net::Stream {
public:
    explicit PipeStream(boost::asio::io_context& io) : timer_(io) {}

    void feed(std::string_view bytes) {
        input_ += bytes;
        interrupt();
    }
    std::string take_output() { return std::exchange(output_, {}); }
    bool waiting() const { return waiting_; }

    Result<std::size_t> try_read(char* out, std::size_t max) override {
        if (closed_) return fail(ErrorKind::closed, "closed");
        std::size_t const n = std::min(max, input_.size());
        input_.copy(out, n);
        input_.erase(0, n);
        return n;
    }
    net::Async<Result<void>> wait_readable() override {
        if (closed_) co_return fail(ErrorKind::closed, "closed");
        waiting_ = true;
        timer_.expires_at(std::chrono::steady_clock::time_point::max());
        co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        waiting_ = false;
        co_return Result<void>();
    }
    net::Async<Result<std::size_t>> read_some(char* out, std::size_t max) override {
        while (input_.empty() && !closed_) co_await wait_readable();
        co_return try_read(out, max);
    }
    void interrupt() override { timer_.cancel(); }
    net::Async<Result<void>> write(std::string_view bytes) override {
        output_ += bytes;
        co_return Result<void>();
    }
    net::Async<Result<void>> start_tls(net::TlsContext const&) override {
        co_return fail(ErrorKind::not_supported, "no TLS here");
    }
    net::TlsInfo tls() const override { return {}; }
    void expires_after(std::chrono::milliseconds) override {}
    void close() override {
        closed_ = true;
        interrupt();
    }
    std::string peer_address() const override { return "192.0.2.1"; }
    std::uint16_t peer_port() const override { return 50000; }
    std::string local_address() const override { return "127.0.0.1"; }
    std::uint16_t local_port() const override { return 1143; }

private:
    boost::asio::steady_timer timer_;
    std::string input_, output_;
    bool waiting_ = false, closed_ = false;
};

struct Peer {
    std::shared_ptr<net::Connection> connection;
    PipeStream* stream = nullptr;  // the connection's
    bool ended = false;
};

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size() &&
            std::string_view("rn0").find(text[i + 1]) != std::string_view::npos) {
            char const c = text[++i];
            out += c == 'r' ? '\r' : c == 'n' ? '\n' : '\0';
        } else {
            out += text[i];
        }
    }
    return out;
}

class ImapAdapter final : public transcripts::Adapter {
public:
    ImapAdapter() {
        store_ = engines::open_test_engine(clock_);
        accounts::AccountsConfig accounts_config;
        accounts_config.pbkdf2_iterations = 1;
        accounts_.emplace(store_->documents(), store_->state(), store_->mail(), store_->events(), clock_,
                          accounts_config);
        EXPECT_TRUE(accounts_->open());
        mailboxes_.emplace(store_->mail(), *accounts_, clock_);
        config_.allow_plaintext = true;
        config_.max_mb = 25;
        config_.version = "1";
    }

    ~ImapAdapter() override {
        for (auto& [number, peer] : peers_) peer.stream->close();
        settle();
    }

    std::string prepare(std::string_view words) override {
        std::istringstream in{std::string(words)};
        std::string word;
        in >> word;
        std::string rest;
        std::getline(in >> std::ws, rest);
        if (word == "user") return add_user(rest);
        if (word == "login") return log_in(rest);
        if (word == "config") return configure(rest);
        if (word == "logout") {
            store_->events().publish({store::Event::Kind::logout, user_, {}, rest});
            settle();
            return {};
        }
        return change_mailbox(word, rest);
    }

    std::string send(std::string_view bytes) override { return send_to(0, bytes); }

    std::string send_to(int session, std::string_view bytes) override {
        Peer& peer = peer_of(session);
        if (!bytes.empty() && !peer.ended) peer.stream->feed(bytes);
        settle();
        return peer.stream->take_output();
    }

    std::string check(std::string_view words) override {
        std::istringstream in{std::string(words)};
        std::string word, name;
        in >> word;
        if (word == "closed") {
            int session = 0;
            in >> session;
            return peer_of(session).ended ? "" : "the connection is still open";
        }
        in >> name;
        auto const mailbox = mailboxes_->find(user_, name);
        if (word == "missing") return mailbox ? "the mailbox is there" : "";
        if (!mailbox) return "there is no mailbox " + name;
        if (word == "exists") return {};
        if (word != "flags") return "unknown check: " + word;
        std::uint32_t uid = 0;
        std::string wanted;
        in >> uid;
        std::getline(in >> std::ws, wanted);
        auto const snapshot = mailboxes_->snapshot(mailbox->id);
        auto const n = (*snapshot)->find(uid);
        if (!n) return "no such message";
        store::Flags const flags = (*snapshot)->flags((*snapshot)->row(*n));
        std::string is;
        for (std::string_view flag : store::system_flag_names(flags.system))
            is += (is.empty() ? "" : " ") + std::string(flag);
        for (std::string const& flag : flags.keywords) is += (is.empty() ? "" : " ") + flag;
        return is == wanted ? "" : "flags are: " + is;
    }

private:
    std::string add_user(std::string const& words) {
        std::istringstream in(words);
        accounts::NewUser user;
        std::string option;
        in >> user.username >> user.password;
        while (in >> option)
            if (option.starts_with("quota=")) user.limits.quota = std::stoll(option.substr(6));
        user.address = user.username;
        auto const made = accounts_->create(user);
        if (!made) return made.error().message + " " + made.error().context;
        if (user_.is_nil()) user_ = made->id, name_ = user.username, password_ = user.password;
        return {};
    }

    std::string log_in(std::string const& words) {
        std::istringstream in(words.empty() ? "0" : words);
        for (int session; in >> session;) {
            send_to(session, {});
            std::string const said = send_to(session, "login LOGIN " + name_ + " \"" + password_ + "\"\r\n");
            if (said.find("login OK") == std::string::npos) return "the server said: " + said;
        }
        return {};
    }

    std::string configure(std::string const& words) {
        auto const value = std::stoull(words.substr(words.find('=') + 1));
        if (words.starts_with("plaintext="))
            config_.allow_plaintext = value != 0;
        else if (words.starts_with("maxMB="))
            config_.max_mb = value;
        else
            return "unknown option: " + words;
        return {};
    }

    std::string change_mailbox(std::string const& word, std::string const& words) {
        std::istringstream in(words);
        std::string name;
        in >> name;
        auto const mailbox = mailboxes_->find(user_, name);
        if (!mailbox) return "there is no mailbox " + name;
        Result<void> done;
        auto keep = [&](auto const& result) {
            if (!result) done = std::unexpected(result.error());
        };
        if (word == "messages") {
            int count = 0;
            in >> count;
            for (int i = 1; i <= count; ++i) keep(append(mailbox->id, message(i)));
        } else if (word == "append") {
            std::string text;
            std::getline(in >> std::ws, text);
            keep(append(mailbox->id, unescape(text)));
        } else if (word == "store") {
            std::uint32_t uid = 0;
            store::FlagChange change;
            change.mode = store::FlagMode::set;
            in >> uid;
            for (std::string flag; in >> flag;) {
                if (std::uint8_t const bit = store::system_flag(flag))
                    change.flags.system |= bit;
                else
                    change.flags.keywords.push_back(flag);
            }
            keep(mailboxes_->change_flags(mailbox->id, {{uid, uid}}, change));
        } else if (word == "expunge") {
            std::uint32_t uid = 0;
            in >> uid;
            keep(mailboxes_->expunge(mailbox->id, {{uid, uid}}, false));
        } else if (word == "delete") {
            keep(mailboxes_->erase(user_, mailbox->id));
        } else if (word == "hidden") {
            store::MailboxPatch patch;
            patch.hidden = true;
            keep(store_->mail().update_mailbox(mailbox->id, patch));
        } else {
            return "unknown word: " + word;
        }
        settle();
        return done ? std::string() : done.error().message + " " + done.error().context;
    }

    Result<store::Appended> append(MailboxId mailbox, std::string const& text) {
        mailboxes::AppendRequest request;
        request.user = user_;
        request.mailbox = mailbox;
        request.source = text;
        request.check_quota = false;
        request.internal_date = 1'379'204'548'000;  // 15-Sep-2013 00:22:28 +0000
        return mailboxes_->append(request);
    }

    static std::string message(int i) {
        std::string const n = std::to_string(i);
        return "From: sender@example.com\r\nSubject: message " + n + "\r\n\r\nBody " + n + "\r\n";
    }

    Peer& peer_of(int session) {
        if (auto const known = peers_.find(session); known != peers_.end()) return known->second;
        if (!handler_) handler_ = make_handler(config_, *mailboxes_, *accounts_, store_->events(), clock_, server_);
        Peer& peer = peers_[session];
        auto stream = std::make_unique<PipeStream>(io_);
        peer.stream = stream.get();
        peer.connection = std::make_shared<net::Connection>(std::move(stream), &workers_);
        boost::asio::co_spawn(io_, handler_(peer.connection), [&peer](std::exception_ptr error) {
            peer.ended = true;
            if (!error) return;
            try {
                std::rethrow_exception(error);
            } catch (std::exception const& e) {
                ADD_FAILURE() << "the connection threw: " << e.what();
            }
        });
        return peer;
    }

    // Until every session waits for its client.
    void settle() {
        for (auto const deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);;) {
            io_.restart();
            while (io_.poll() > 0) io_.restart();
            bool const quiet = std::ranges::all_of(
                peers_, [](auto const& item) { return item.second.ended || item.second.stream->waiting(); });
            if (quiet) return;
            if (std::chrono::steady_clock::now() > deadline) {
                ADD_FAILURE() << "a session does not come to rest";
                return;
            }
            io_.restart();
            io_.run_one_for(std::chrono::milliseconds(50));
        }
    }

    ManualClock clock_;
    std::unique_ptr<engines::TestEngine> store_;
    std::optional<accounts::Accounts> accounts_;
    std::optional<mailboxes::Mailboxes> mailboxes_;
    ImapConfig config_;
    boost::asio::io_context io_;
    net::Workers workers_{2, 1};
    net::Server server_{1, workers_};
    net::Handler handler_;
    UserId user_;
    std::string name_, password_;
    std::map<int, Peer> peers_;
};

std::unique_ptr<transcripts::Adapter> make_adapter() { return std::make_unique<ImapAdapter>(); }

}  // namespace
}  // namespace mallard::imap

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    mallard::transcripts::register_folder("Imap", "imap", mallard::imap::make_adapter);
    return RUN_ALL_TESTS();
}
