// Transcripts of LMTP, against the session: what the edge does with bytes is tested in src/lmtp.
//   ! config size=1000 recipients=2
#include <gtest/gtest.h>

#include "delivery/delivery.hpp"
#include "lmtp/session.hpp"
#include "net/dot_data.hpp"
#include "transcripts/runner.hpp"
#include "transcripts/world.hpp"

namespace mallard::transcripts {
namespace {

class LmtpAdapter final : public Adapter {
public:
    LmtpAdapter() { config_.name = "mail.example.com"; }

    std::string prepare(std::string_view words) override {
        auto const split = split_words(words);
        if (split.empty() || split[0] != "config") return world_.prepare(words);
        for (std::size_t i = 1; i < split.size(); ++i) {
            std::string const& word = split[i];
            if (word.starts_with("size="))
                config_.message_bytes_max = std::stoull(word.substr(5));
            else if (word.starts_with("recipients="))
                config_.recipients_max = std::stoull(word.substr(11));
            else if (word == "tls")
                tls_ = true;
            else
                return "unknown word: " + word;
        }
        return {};
    }

    std::string send(std::string_view bytes) override {
        if (!session_) {
            session_.emplace(config_, delivery_, lmtp::Peer{"192.0.2.1", false}, tls_);
            return session_->greeting();
        }
        input_ += bytes;
        std::string out;
        while (open_ && step(out)) {}
        if (!open_) out += "<closed>\r\n";
        return out;
    }

    std::string check(std::string_view words) override { return world_.check(words); }

private:
    // One line, or what is here of the data; false: more is needed.
    bool step(std::string& out) {
        if (decoder_) return take_data(out);
        std::size_t const end = input_.find("\r\n");
        if (end == std::string::npos) return false;
        std::string const line = input_.substr(0, end);
        input_.erase(0, end + 2);
        lmtp::Answer const answer =
            line.size() > smtp::command_line_bytes_max ? session_->line_too_long() : session_->execute(line);
        out += answer.reply;
        if (answer.next == lmtp::Next::data) decoder_.emplace();
        if (answer.next == lmtp::Next::close) open_ = false;
        if (answer.next == lmtp::Next::starttls) {
            input_.clear();
            session_->tls_started();
        }
        return true;
    }

    bool take_data(std::string& out) {
        while (!input_.empty() && !decoder_->done()) {
            std::string_view piece;
            std::size_t const taken = decoder_->step(input_, piece);
            size_ += piece.size();
            if (size_ <= config_.message_bytes_max) EXPECT_TRUE(session_->incoming().spool.append(piece));
            input_.erase(0, taken);
        }
        if (!decoder_->done()) return false;
        decoder_.reset();
        Result<void> received = session_->incoming().spool.finish();
        if (size_ > config_.message_bytes_max) received = fail(ErrorKind::too_large, "too large");
        size_ = 0;
        out += session_->deliver(received);
        return true;
    }

    World world_;
    lmtp::LmtpConfig config_;
    bool tls_ = false;
    delivery::Delivery delivery_{*world_.accounts, *world_.mailboxes, world_.clock};
    std::optional<lmtp::Session> session_;
    std::string input_;
    std::optional<net::DotDecoder> decoder_;
    std::uint64_t size_ = 0;
    bool open_ = true;
};

}  // namespace
}  // namespace mallard::transcripts

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    static_cast<void>(mallard::log_start({.level = mallard::LogLevel::off}));
    using namespace mallard::transcripts;
    register_folder("Lmtp", "lmtp", []() -> std::unique_ptr<Adapter> { return std::make_unique<LmtpAdapter>(); });
    return RUN_ALL_TESTS();
}
