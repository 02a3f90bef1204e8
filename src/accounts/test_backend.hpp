#pragma once
// What the tests of accounts stand on: the embedded store in memory, and a MailStore that knows mailboxes only.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "accounts/accounts.hpp"
#include "store/embedded/documents.hpp"
#include "store/embedded/events.hpp"
#include "store/embedded/shared_state.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::accounts {

// The mailboxes of users, and nothing in them.
class MailboxesOnly final : public store::MailStore {
public:
    bool broken = false;       // refuses to create
    bool keeps_users = false;  // refuses to delete

    Result<std::vector<store::MailboxInfo>> create_mailboxes(std::vector<store::MailboxInfo> infos) override {
        std::lock_guard lock(mutex_);
        if (broken) return fail(ErrorKind::io, "The disk failed");
        for (auto& info : infos) {
            info.id = MailboxId::generate();
            users_[info.user].push_back(info);
        }
        return infos;
    }
    Result<std::vector<store::MailboxInfo>> mailboxes(UserId user) const override {
        std::lock_guard lock(mutex_);
        auto const found = users_.find(user);
        return found == users_.end() ? std::vector<store::MailboxInfo>{} : found->second;
    }
    Result<void> delete_user(UserId user) override {
        std::lock_guard lock(mutex_);
        if (keeps_users) return fail(ErrorKind::io, "The disk failed");
        users_.erase(user);
        return {};
    }
    Result<std::int64_t> storage_used(UserId) const override { return 0; }
    std::size_t users() const { return users_.size(); }

    Result<store::MailboxInfo> create_mailbox(store::MailboxInfo) override { return none(); }
    Result<std::optional<store::MailboxInfo>> mailbox(MailboxId) const override { return none(); }
    Result<std::optional<store::MailboxInfo>> find_mailbox(UserId, std::string_view) const override { return none(); }
    Result<store::MailboxInfo> update_mailbox(MailboxId, store::MailboxPatch const&) override { return none(); }
    Result<void> delete_mailbox(MailboxId) override { return none(); }
    Result<store::Snapshot> snapshot(MailboxId) override { return none(); }
    Result<store::Appended> append(MailboxId, store::NewMessage) override { return none(); }
    Result<store::FlagsChanged> change_flags(MailboxId, store::UidSet const&, store::FlagChange const&) override {
        return none();
    }
    Result<store::Copied> copy(MailboxId, store::UidSet const&, MailboxId) override { return none(); }
    Result<store::Copied> move(MailboxId, store::UidSet const&, MailboxId) override { return none(); }
    Result<store::UidSet> expunge(MailboxId, store::UidSet const&, bool) override { return none(); }
    Result<store::UidSet> vanished_since(MailboxId, store::ModSeq) const override { return none(); }
    Result<void> records(MailboxId, std::span<store::Row const* const>, unsigned,
                         std::function<void(std::size_t, store::MessageRecord const&)> const&) override {
        return none();
    }
    Result<std::unique_ptr<store::BodyReader>> body(MailboxId, store::Row const&) override { return none(); }
    Result<void> bodies(MailboxId, std::span<store::Row const* const>,
                        std::function<void(std::size_t, std::optional<std::string_view>)> const&) override {
        return none();
    }
    Result<void> restore_messages(MailboxId, std::span<store::RestoredMessage const>) override { return none(); }
    Result<void> restore_changes(MailboxId, std::span<store::RestoredFlags const>, store::UidSet const&) override {
        return none();
    }
    Result<void> restore_marks(MailboxId, store::Uid, store::ModSeq) override { return none(); }
    Result<void> recount_storage(UserId user) override {
        std::lock_guard lock(mutex_);
        if (keeps_users) return fail(ErrorKind::io, "The disk failed");
        recounted.push_back(user);
        return {};
    }
    std::vector<UserId> recounted;
    Result<store::UidSet> patch(MailboxId, store::UidSet const&, store::MessagePatch const&) override { return none(); }
    Result<std::optional<TimeMs>> expiry(MailboxId, store::Row const&) const override { return none(); }
    Result<std::map<store::Uid, store::MessagePatch>> patches(MailboxId) const override { return none(); }
    Result<std::uint64_t> remove_expired() override { return std::uint64_t{0}; }
    Result<bool> sweep() override { return false; }
    Result<store::CheckReport> check(bool, std::function<void(std::uint64_t, std::uint64_t)> const&) override {
        return none();
    }

private:
    static std::unexpected<Error> none() { return fail(ErrorKind::not_supported, "No messages in this test"); }

    mutable std::mutex mutex_;
    std::map<UserId, std::vector<store::MailboxInfo>> users_;
};

// Accounts over a store in memory whose commit number `fail_at` and all later ones fail (0: none).
class TestBackend {
public:
    explicit TestBackend(AccountsConfig config = quick(), int fail_at = 0,
                         std::shared_ptr<kv::MemoryState> memory = kv::new_memory_state())
        : disk_(kv::open_memory(std::move(memory), store::embedded::table_specs())),
          faulty(kv::wrap_faulty(*disk_, fail_at)),
          documents(*faulty, clock),
          state(*faulty, clock),
          accounts(documents, state, mail, events, clock, std::move(config)) {
        opened = state.open() && accounts.open();
    }

    static AccountsConfig quick() {
        AccountsConfig config;
        config.email_domain = "example.com";
        config.pbkdf2_iterations = 1000;
        return config;
    }

    User add_user(std::string const& username, std::string const& password = "secret") {
        auto const user = accounts.create({.username = username, .password = password});
        EXPECT_TRUE(user) << user.error().message;
        return user.value_or(User{});
    }
    Result<Login> log_in(std::string const& username, std::string const& password, Scope scope = Scope::imap) {
        return accounts.authenticate({.username = username,
                                      .password = password,
                                      .scope = scope,
                                      .protocol = "IMAP",
                                      .session = "s",
                                      .address = "192.0.2.1"});
    }

private:
    std::unique_ptr<kv::Engine> disk_;

public:
    std::unique_ptr<kv::FaultyEngine> faulty;
    ManualClock clock;
    store::embedded::EmbeddedDocuments documents;
    store::embedded::EmbeddedSharedState state;
    store::embedded::EmbeddedEvents events;
    MailboxesOnly mail;
    Accounts accounts;
    bool opened = false;
};

inline ErrorKind kind_of(auto const& result) { return result ? ErrorKind::internal : result.error().kind; }

}  // namespace mallard::accounts
