#pragma once
// For tests: a store, with one user's INBOX in it.

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "engines/test_engine.hpp"
#include "mailboxes/mailboxes.hpp"
#include "mime/message.hpp"

namespace mallard::mailboxes {

class TestStore {
public:
    TestStore() { inbox = mail().create_mailbox({.user = user, .path = "INBOX"})->id; }
    store::MailStore& mail() { return store_->mail(); }
    engines::TestEngine& all() { return *store_; }

    store::Uid add(std::string const& source, store::Flags flags = {}, TimeMs date = 1'700'000'000'000) {
        auto const tree = mime::parse(source);
        auto appended = mail().append(inbox, derive(source, tree, std::move(flags), date, ""));
        EXPECT_TRUE(appended) << (appended ? "" : appended.error().message);
        return appended ? appended->uid : 0;
    }
    store::Snapshot snapshot() { return *mail().snapshot(inbox); }

    ManualClock clock;
    UserId user = UserId::generate();
    MailboxId inbox;

private:
    std::unique_ptr<engines::TestEngine> store_ = engines::open_test_engine(clock);
};

}  // namespace mallard::mailboxes
