#pragma once
// ClusterMailStore: MailStore on MongoDB in WildDuck's schema (storage.md §4, §9 to §13).
//
// - UIDs and modseqs come from one atomic $inc of the mailbox document; they are never given back.
// - Order of writes: references to attachments and the storage counter rise before the message is there, and fall after
//   it is gone. A crash between leaves counters too high, never a message without its attachments.
// - Within a process the changes of a mailbox follow one another under its lock, from the $inc to the write. Between
//   processes they may cross: flags change by operators on each message, and only if it has no later modseq yet, else
//   anew with a later one. Messages leave a mailbox under WildDuck's lock of it (mailbox_lock.hpp).
// - Indexes are current without asking the database (open_mailboxes.hpp, docs/decisions/0020).
// - The exact bytes: `mallardSource` where WildDuck's rebuild differs, `mallardSize` where its size does, `mallard` for
//   the message's record. WildDuck ignores these and copies them along.
// Locks: first that in Redis, then mailboxes by ascending id; none while waiting for a client.

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "store/cluster/attachments.hpp"
#include "store/cluster/change_signals.hpp"
#include "store/cluster/mailbox_lock.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/open_mailboxes.hpp"
#include "store/cluster/redis_client.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::cluster {

// Makes the record of a message that another server wrote, from its bytes.
using DeriveRecord = std::function<MessageRecord(std::string_view source, TimeMs internal_date)>;

class ClusterMailStore final : public MailStore {
public:
    // All of them outlive the store. `signals` (ClusterEvents has them; null: the database is asked each time) tell of
    // what `events` of other processes announced. Without `derive` the records of messages that others wrote are
    // not_supported. `calm`: of what nothing came to or left for so long, check() says whether it is right.
    ClusterMailStore(MongoClient& mongo, RedisClient& redis, Events& events, ChangeSignals* signals, Clock const& clock,
                     DeriveRecord derive = {}, std::chrono::milliseconds calm = std::chrono::seconds(3));

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
    Result<Appended> append_to(UserId user, std::string_view path, NewMessage message) override;
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
    Result<std::int64_t> storage_used_by(bson::Document const& user) const override;

    Result<void> restore_messages(MailboxId mailbox, std::span<RestoredMessage const> messages) override;
    Result<void> restore_changes(MailboxId mailbox, std::span<RestoredFlags const> flags,
                                 UidSet const& vanished) override;
    Result<void> restore_marks(MailboxId mailbox, Uid uid_next, ModSeq highest_modseq) override;
    Result<void> recount_storage(UserId user) override;

    Result<bool> sweep() override;
    Result<CheckReport> check(bool repair, std::function<void(std::uint64_t, std::uint64_t)> const& progress) override;

private:
    struct Stored {  // what an append has done before the message is there
        bson::Document document;
        std::map<std::string, std::int64_t> digests;
        std::int32_t magic = 0;
        std::int64_t size = 0;  // WildDuck's
    };
    Result<Stored> store_content(UserId user, NewMessage const& message);
    Result<Appended> append_where(bson::Document which, UserId user, std::optional<MailboxId> expected,
                                  NewMessage message);
    Result<Stored> restored_content(MailboxInfo const& info, RestoredMessage const& restored);
    Result<void> insert_restored(MailboxInfo const& info, std::vector<RestoredMessage const*> const& messages);
    Result<void> lead_threads(UserId user, std::vector<RestoredMessage const*> const& messages);
    void undo_content(Stored const& stored, UserId user);
    Result<bool> insert_message(bson::Document const& document);
    Result<ThreadId> join_thread(UserId user, std::vector<std::string> const& refs, std::string_view subject);
    // over_quota, and nothing is added, when that is more than `most`.
    Result<void> add_storage(UserId user, std::int64_t by, std::optional<std::int64_t> most = {});
    Result<UserId> owner_of(MailboxId id) const;
    Result<Copied> transfer(MailboxId from, UidSet const& uids, MailboxId to, bool moving, MailboxLock* lock = nullptr);
    Result<void> transfer_batch(OpenMailbox& from, std::vector<Uid> const& uids, OpenMailbox& to, bool moving,
                                Copied& copied);
    Result<std::vector<bson::Document>> insert_copies(std::vector<bson::Document> const& sources, OpenMailbox& to,
                                                      bool moving);
    Result<void> remove_moved(OpenMailbox& from, std::vector<bson::Document> sources, OpenMailbox& to,
                              std::vector<bson::Document>& copies, std::vector<bson::Document>& entries);
    Result<void> copy_flags(std::map<ObjectId, bson::Document> const& sources, OpenMailbox& to,
                            std::map<ObjectId, bson::Document*> const& copies);
    struct Removed {
        std::vector<bson::Document> messages;
        std::vector<bson::Document> left;  // changed since they were read, and still there
        bool by_us = true;                 // false: another removed some of them at the same time; nobody knows which
    };
    Result<Removed> take_away(ObjectId mailbox, std::vector<bson::Document> messages);
    Result<Removed> remove(OpenMailbox& box, std::vector<bson::Document> messages,
                           std::vector<bson::Document>& entries);
    Result<void> expunge_batch(OpenMailbox& box, std::vector<Uid> uids, bool only_deleted, UidSet& expunged);
    Result<void> archive(std::vector<bson::Document> const& messages);  // those that belong there
    Result<void> unarchive(std::vector<bson::Document> const& messages);
    Result<void> let_go(UserId user, Removed const& removed);
    Result<bool> sweep_archive(std::int64_t limit);
    TimeMs archive_time() const;
    Result<void> count_references(std::vector<bson::Document> const& messages, int times);
    // Messages that match `also`, without a mailbox to tell.
    Result<void> remove_all(MailboxId id, bool archived, bson::Document const& also = {});
    Result<void> drop_mailbox(MailboxId id, bool archived);
    Result<FlagsChanged> write_flags(OpenMailbox& box, UidSet const& uids, FlagChange const& change,
                                     std::map<Uid, bson::Document>& done);  // done: what was written
    Result<std::map<Uid, bson::Document>> stamped(MailboxId id, std::vector<Row> const& targets, ModSeq modseq,
                                                  Flags const* removed);
    // The document before, of the mailbox that the filter names; `keywords` are new to it. not_found.
    Result<bson::Document> bump(bson::Document which, std::int64_t uids, std::int64_t modseqs,
                                std::vector<std::string> const& keywords = {});
    Result<void> write_journal(std::vector<bson::Document> entries);
    Result<void> apply_retention(MailboxInfo const& info);  // to the messages that are there
    void announce(MailboxInfo const& info, Event::Kind kind = Event::Kind::mailbox_changed);
    Result<std::vector<bson::Document>> documents_of(MailboxId mailbox, std::vector<Uid> const& uids,
                                                     bson::Document projection = {}) const;
    Result<std::vector<struct Segment>> segments_of(bson::Document const& message) const;
    Result<std::map<std::string, AttachmentReader>> files_of(std::span<bson::Document const* const> messages) const;
    Result<std::unordered_map<MessageId, MessageRecord>> make_records(MailboxId mailbox,
                                                                      std::span<Row const* const> rows);

    MongoClient& mongo_;
    RedisClient& redis_;
    Events& events_;
    Clock const& clock_;
    DeriveRecord derive_;
    std::chrono::milliseconds calm_;
    Attachments attachments_;
    mutable OpenMailboxes open_;
    mutable std::atomic<TimeMs> archive_time_ = 0, archive_time_read_at_ = 0;
};

// Of all messages of a user: what their storage counter should be (§13).
Result<std::int64_t> octets_of(MongoClient const& mongo, ObjectId user);

}  // namespace mallard::store::cluster
