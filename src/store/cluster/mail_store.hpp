#pragma once
// ClusterMailStore: MailStore on MongoDB in WildDuck's schema (storage.md §4, §9 to §13).
//
// - UIDs and modseqs come from one atomic $inc of the mailbox document; they are never given back.
// - Order of writes: references to attachments and the storage counter rise before the message is there, and fall after
//   it is gone. A crash between leaves counters too high, never a message without its attachments.
// - Within a process the changes of a mailbox follow one another under its lock, from the $inc to the write. Between
//   processes they may cross: the index of an open mailbox reads recent changes again until all their modseqs are
//   accounted for (open_mailboxes.hpp).
// - The exact bytes: `mallardSource` where WildDuck's rebuild differs, `mallardSize` where its size does, `mallard` for
//   the message's record. WildDuck ignores these and copies them along.
// Locks: mailboxes by ascending id; none while waiting for a client.

#include <functional>

#include "base/clock.hpp"
#include "store/cluster/attachments.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/open_mailboxes.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::store::cluster {

// Makes the record of a message that another server wrote, from its bytes.
using DeriveRecord = std::function<MessageRecord(std::string_view source, TimeMs internal_date)>;

class ClusterMailStore final : public MailStore {
public:
    // All of them outlive the store. Without `derive` the records of messages that others wrote are not_supported.
    ClusterMailStore(MongoClient& mongo, SharedState& state, Events& events, Clock const& clock,
                     DeriveRecord derive = {});

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
    Result<std::int64_t> storage_used(UserId user) const override;

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
    Result<Stored> store_content(MailboxInfo const& info, NewMessage const& message);
    Result<void> restore_message(MailboxInfo const& info, RestoredMessage const& restored);
    Result<void> lead_thread(UserId user, NewMessage const& message);
    void undo_content(Stored const& stored, UserId user);
    Result<ThreadId> join_thread(UserId user, std::vector<std::string> const& refs, std::string_view subject);
    Result<void> add_storage(UserId user, std::int64_t by);
    Result<Copied> transfer(MailboxId from, UidSet const& uids, MailboxId to, bool moving);
    Result<void> insert_copies(std::vector<bson::Document> const& sources, OpenMailbox& to, bool moving,
                               Copied& copied);
    Result<UidSet> remove(OpenMailbox& box, std::vector<bson::Document> const& messages, bool only_deleted);
    Result<void> release(std::vector<bson::Document> const& messages);
    Result<void> remove_all(bson::Document const& filter);  // without a mailbox to tell: it is gone
    Result<bson::Document> bump(MailboxId id, std::int64_t uids, std::int64_t modseqs);  // before; not_found
    Result<void> write_journal(MailboxInfo const& info, std::vector<bson::Document> entries);
    void announce(MailboxInfo const& info, Event::Kind kind = Event::Kind::mailbox_changed);
    Result<std::vector<bson::Document>> documents_of(MailboxId mailbox, std::vector<Uid> const& uids,
                                                     bson::Document projection = {}) const;
    Result<std::vector<struct Segment>> segments_of(bson::Document const& message) const;
    Result<std::string> source_of(bson::Document const& message) const;

    MongoClient& mongo_;
    SharedState& state_;
    Events& events_;
    Clock const& clock_;
    DeriveRecord derive_;
    Attachments attachments_;
    mutable OpenMailboxes open_;
};

}  // namespace mallard::store::cluster
