#pragma once
// For tests: the embedded store in memory, with one user's INBOX in it.

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "kv/engine.hpp"
#include "mailboxes/mailboxes.hpp"
#include "mime/message.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::mailboxes {

class TestStore {
public:
    TestStore() : engine_(kv::open_memory(kv::new_memory_state(), store::embedded::table_specs())) {
        auto opened = store::embedded::EmbeddedStore::open(*engine_, {.upkeep = false}, clock);
        if (!opened) throw std::runtime_error(opened.error().message);
        store_ = std::move(*opened);
        inbox = mail().create_mailbox({.user = user, .path = "INBOX"})->id;
    }
    store::MailStore& mail() { return store_->mail(); }
    store::embedded::EmbeddedStore& all() { return *store_; }

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
    std::unique_ptr<kv::Engine> engine_;
    std::unique_ptr<store::embedded::EmbeddedStore> store_;
};

}  // namespace mallard::mailboxes
