// Transcripts of POP3, against the session.
//   ! config plain tls messages=2
#include <gtest/gtest.h>

#include "pop3/session.hpp"
#include "transcripts/runner.hpp"
#include "transcripts/world.hpp"

namespace mallard::transcripts {
namespace {

class Pop3Adapter final : public Adapter {
public:
    std::string prepare(std::string_view words) override {
        auto const split = split_words(words);
        if (split == std::vector<std::string>{"reconnect"}) {
            session_.reset();
            input_.clear();
            open_ = true;
            greet();
            return {};
        }
        if (split.empty() || split[0] != "config") return world_.prepare(words);
        for (std::size_t i = 1; i < split.size(); ++i) {
            if (split[i] == "plain")
                config_.plaintext_allowed = true;
            else if (split[i] == "tls")
                tls_ = true;
            else if (split[i].starts_with("messages="))
                config_.messages_max = std::stoull(split[i].substr(9));
            else
                return "unknown word: " + split[i];
        }
        return {};
    }

    std::string send(std::string_view bytes) override {
        if (!session_) return greet();
        input_ += bytes;
        std::string out;
        while (open_) {
            std::size_t const end = input_.find('\n');
            if (end == std::string::npos) break;
            std::string line = input_.substr(0, end);
            if (line.ends_with('\r')) line.pop_back();
            input_.erase(0, end + 1);
            one(line, out);
        }
        if (!open_) out += "<closed>\r\n";
        return out;
    }

    std::string check(std::string_view words) override { return world_.check(words); }

private:
    std::string greet() {
        session_.emplace(
            config_,
            pop3::Session::Services{*world_.accounts, *world_.mailboxes, world_.store->state(), world_.store->events()},
            pop3::Peer{"192.0.2.1", false}, tls_, std::function<void()>());
        return session_->greeting();
    }

    void one(std::string_view line, std::string& out) {
        pop3::Answer answer =
            line.size() > pop3::command_line_bytes_max ? session_->line_too_long() : session_->execute(line);
        if (answer.next == pop3::Next::authenticate) answer = session_->authenticate();
        while (std::string* chunk = answer.reply.next()) out += *chunk;
        if (answer.next == pop3::Next::close) open_ = false;
        if (answer.next == pop3::Next::starttls) {
            input_.clear();
            session_->tls_started();
        }
    }

    World world_;
    pop3::Pop3Config config_;
    bool tls_ = false;
    std::optional<pop3::Session> session_;
    std::string input_;
    bool open_ = true;
};

}  // namespace
}  // namespace mallard::transcripts

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    static_cast<void>(mallard::log_start({.level = mallard::LogLevel::off}));
    using namespace mallard::transcripts;
    register_folder("Pop3", "pop3", []() -> std::unique_ptr<Adapter> { return std::make_unique<Pop3Adapter>(); });
    return RUN_ALL_TESTS();
}
