#pragma once
// What transcripts of mail servers play in: a store, accounts, mailboxes; and the words for it.
//   ! user alice@example.com secret [quota=1000] [disabled] [suspended] [pop3MaxMessages=2]
//   ! address alice@example.com sales@example.com
//   ! message alice@example.com INBOX Subject: one\r\n\r\nbody\r\n
//   = mailbox alice@example.com INBOX 2            how many messages
//   = flags alice@example.com INBOX 1 \Seen        of the n-th; - for none
//   = text alice@example.com INBOX 1 Subject: x    the n-th contains this

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "engines/test_engine.hpp"
#include "mailboxes/mailboxes.hpp"

namespace mallard::transcripts {

class World {
public:
    World();

    // Empty: done. What is not one of the words above is an error.
    std::string prepare(std::string_view words);
    std::string check(std::string_view words);

    ManualClock clock;
    std::unique_ptr<engines::TestEngine> store;
    std::optional<accounts::Accounts> accounts;
    std::optional<mailboxes::Mailboxes> mailboxes;

private:
    std::string add_user(std::vector<std::string> const& words);
    std::string add_message(std::string_view text);
    UserId user(std::string_view name);
    Result<std::string> body(MailboxId mailbox, store::Row const& row);
};

std::vector<std::string> split_words(std::string_view text);
// What follows the first `words` words.
std::string_view after_words(std::string_view text, int words);
std::string unescape(std::string_view text);

}  // namespace mallard::transcripts
