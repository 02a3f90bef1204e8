#pragma once
// For tests: stores to move between, people who use them, and whether two stores are equal.

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "base/clock.hpp"
#include "base/random.hpp"
#include "kv/engine.hpp"
#include "migrate/migration.hpp"
#include "store/cluster/documents.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/redis_client.hpp"
#include "store/cluster/shared_state.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::migrate {

store::Collection const& test_users();
store::Collection const& test_deleted_users();
store::Collection const& test_addresses();

class TestStore {
public:
    virtual ~TestStore() = default;
    virtual Side side() = 0;
    virtual void reopen() = 0;  // as after the end of the process
    ManualClock clock{SystemClock().now()};
};

class EmbeddedTestStore final : public TestStore {
public:
    explicit EmbeddedTestStore(int fail_at = 0) { open(fail_at); }
    Side side() override { return {store_->documents(), store_->mail(), store_->state()}; }
    void reopen() override { open(0); }
    bool fault_fired() const { return faulty_->fired(); }

private:
    void open(int fail_at);
    std::shared_ptr<kv::MemoryState> memory_ = kv::new_memory_state();
    std::unique_ptr<kv::Engine> disk_;
    std::unique_ptr<kv::FaultyEngine> faulty_;
    std::unique_ptr<store::embedded::EmbeddedStore> store_;
};

bool have_cluster();
std::unique_ptr<TestStore> make_cluster_store();  // a database of its own; at most one at a time

// Somebody who uses a store, at random: mailboxes, messages, flags, copies, users and their documents come and go.
class Usage {
public:
    Usage(Side side, unsigned seed) : side_(side), random_(seed) {}
    void some(int steps);
    UserId add_user();
    void append(MailboxId mailbox);

private:
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
    void step();
    void add_mailbox(UserId user);
    void change_messages(UserId user, MailboxId mailbox);
    void change_mailbox(MailboxId mailbox);
    void tell_messages(MailboxId mailbox);
    void remove_user(std::size_t n);
    void change_documents(UserId user);
    store::UidSet some_uids(MailboxId mailbox);

    Side side_;
    std::mt19937 random_;
    std::vector<UserId> users_;
    std::uint64_t number_ = 0;
};

// Moves until nothing differs any more, as when nobody writes to the source.
void move_all(Migration& migration);
void expect_equal(Side a, Side b);

}  // namespace mallard::migrate
