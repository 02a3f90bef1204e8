#pragma once
// EmbeddedMailStore: MailStore on kv::Engine.
//
// What changes lies apart from what does not. A mailbox has an index: packed rows (the checkpoint) and a journal with
// one record per change, however many messages it touches. A message has a record and bytes under a body reference,
// which its copies share; who refers to what is counted by the sweep (ref_log.hpp), off every command's path.
// One commit carries all of a change. Nothing is loaded when the store is opened.
// Locks, in this order: patches, a user's paths, a mailbox (two by id), then the small ones inside; none across
// another's commit.

#include <array>
#include <mutex>
#include <unordered_map>

#include "base/clock.hpp"
#include "store/embedded/content.hpp"
#include "store/embedded/content_sweep.hpp"
#include "store/embedded/mailbox_cache.hpp"
#include "store/embedded/ref_log.hpp"
#include "store/embedded/storage_counters.hpp"
#include "store/embedded/threads.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

struct MailStoreOptions {
    std::int64_t rows_open_max = 4'000'000;  // rows of open mailboxes kept in memory, 72 octets each
    std::size_t mailboxes_open_max = 20'000;
};

class EmbeddedMailStore final : public MailStore {
public:
    // All of them outlive the store.
    EmbeddedMailStore(kv::Engine& engine, Events& events, Clock const& clock, MailStoreOptions options = {});
    ~EmbeddedMailStore() override;

    bool knows_attempts() const override { return true; }

    Result<MailboxInfo> create_mailbox(MailboxInfo info) override;
    Result<std::vector<MailboxInfo>> create_mailboxes(std::vector<MailboxInfo> infos) override;
    Result<std::vector<MailboxInfo>> mailboxes(UserId user) const override;
    Result<std::optional<MailboxInfo>> mailbox(MailboxId id) const override;
    Result<std::optional<MailboxInfo>> find_mailbox(UserId user, std::string_view path) const override;
    Result<MailboxInfo> update_mailbox(MailboxId id, MailboxPatch const& patch) override;
    Result<void> delete_mailbox(MailboxId id) override;
    Result<void> delete_user(UserId user) override;

    Result<Snapshot> snapshot(MailboxId id) override;
    Result<Appended> append(MailboxId mailbox, NewMessage message) override;
    Result<FlagsChanged> change_flags(MailboxId mailbox, UidSet const& uids, FlagChange const& change) override;
    Result<Copied> copy(MailboxId from, UidSet const& uids, MailboxId to) override;
    Result<Copied> move(MailboxId from, UidSet const& uids, MailboxId to) override;
    Result<UidSet> expunge(MailboxId mailbox, UidSet const& uids, bool only_deleted) override;
    Result<UidSet> vanished_since(MailboxId mailbox, ModSeq since) const override;

    Result<void> records(MailboxId mailbox, std::span<Row const* const> rows, unsigned fields,
                         std::function<void(std::size_t, MessageRecord const&)> const& visit) override;
    Result<std::unique_ptr<BodyReader>> body(MailboxId mailbox, Row const& row) override;
    Result<void> bodies(MailboxId mailbox, std::span<Row const* const> rows,
                        std::function<void(std::size_t, std::optional<std::string_view>)> const& visit) override;
    Result<UidSet> patch(MailboxId mailbox, UidSet const& uids, MessagePatch const& patch) override;
    Result<std::optional<TimeMs>> expiry(MailboxId mailbox, Row const& row) const override;
    Result<std::map<Uid, MessagePatch>> patches(MailboxId mailbox) const override;
    Result<std::uint64_t> remove_expired() override;
    Result<std::int64_t> storage_used(UserId user) const override;

    Result<void> restore_messages(MailboxId mailbox, std::span<RestoredMessage const> messages) override;
    Result<void> restore_changes(MailboxId mailbox, std::span<RestoredFlags const> flags,
                                 UidSet const& vanished) override;
    Result<void> restore_marks(MailboxId mailbox, Uid uid_next, ModSeq highest_modseq) override;
    Result<void> recount_storage(UserId user) override;

    Result<bool> sweep() override;
    Result<CheckReport> check(bool repair, std::function<void(std::uint64_t, std::uint64_t)> const& progress) override;

    // Upkeep in two parts, for who has a clock: what lost its last reference after `end` was taken is kept, so that a
    // session which still shows an expunged message can read it for a while.
    Result<std::uint64_t> sweep_mark() { return log_.settled_end(); }
    Result<bool> sweep_below(std::uint64_t end) { return sweep_.step(end); }
    Result<void> expire() { return threads_.expire(); }
    Result<void> checkpoint_due();  // mailboxes whose journal has grown
    bool has_checkpoints_due() const;
    Result<void> checkpoint_all();  // shutdown, tests

private:
    using Mailbox = std::shared_ptr<OpenMailbox>;
    std::mutex& paths_of(UserId user) const { return paths_[std::hash<UserId>{}(user) % paths_.size()]; }
    Result<Snapshot> open(MailboxId id, Mailbox& mailbox) const;  // loads it
    Result<void> commit(kv::WriteBatch const& batch, std::initializer_list<std::pair<Mailbox, OnItsWay*>> changes);
    void announce(MailboxInfo const& info, Event::Kind kind = Event::Kind::mailbox_changed) const;
    struct Transfer {  // a copy or move between being computed and being done
        kv::WriteBatch batch;
        OnItsWay source_way, target_way;
        RefLog::Pending gained;
        StorageCounters::Pending source_storage, target_storage;
        Copied copied;
    };
    Result<Copied> transfer(MailboxId from, UidSet const& uids, MailboxId to, bool moving);
    Result<void> compute_between(OpenMailbox::Edit& from, MailboxId from_id, UidSet const& uids, OpenMailbox::Edit& to,
                                 MailboxId to_id, bool moving, Transfer& work);
    Result<void> compute_within(OpenMailbox::Edit& edit, MailboxId id, UidSet const& uids, bool moving, Transfer& work);
    void note_checkpoint(Mailbox const& mailbox);
    Result<std::uint64_t> remove_expired_of(MailboxId id, UidSet const& uids);
    Result<std::uint64_t> remove_retained(MailboxInfo const& info, TimeMs now);

    kv::Engine& engine_;
    Events& events_;
    Clock const& clock_;
    Content content_;
    RefLog log_;
    ContentSweep sweep_;
    mutable StorageCounters storage_;
    Threads threads_;
    mutable MailboxCache cache_;
    mutable std::array<std::mutex, 64> paths_;

    std::mutex patch_mutex_;

    // When a mailbox with a retention has next something to remove, as far as it was looked at.
    std::mutex expiry_mutex_;
    std::unordered_map<MailboxId, TimeMs> next_expiry_;

    mutable std::mutex due_mutex_;
    std::vector<Mailbox> due_;  // for a checkpoint
};

}  // namespace mallard::store::embedded
