#pragma once
// MailStore: the hot path, as semantic operations. Every engine does each the way it is fastest there; none can be told
// from another (one conformance suite, conformance/).
//
// Invariants, in every engine (docs/architecture.md):
// - What returns success is durable.
// - An append is whole or not at all: bytes, record, index, storage counter.
// - UIDs of a mailbox only grow and are never used twice (RFC 9051 §2.3.1.1).
// - Every change of a mailbox has a modseq; a change is committed first, then visible in snapshots, then announced on
//   Events, in commit order.
// - body() gives back exactly the bytes that append() was given.
// - Threads: every call may come from any thread; no lock escapes; no call waits for a client.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "store/index.hpp"
#include "store/types.hpp"

namespace mallard::mime {
struct Entity;
}
namespace mallard::bson {
class Document;
}

namespace mallard::store {

Error storage_full();  // over_quota, for the person who reads it

// What was computed once, at delivery, and is read ever after. Immutable with the message; shared by its copies.
struct MessageRecord {
    std::string envelope;        // the bytes that go on the IMAP wire: "(...)"
    std::string body;            // BODY (non-extensible), wire bytes
    std::string body_structure;  // BODYSTRUCTURE, wire bytes
    std::string parts;           // mime::encode_parts: offsets of every part, for BODY[1.2.MIME] without parsing
    std::string headers;         // indexed header fields for SEARCH: see mailboxes/search
    std::string info;            // BSON document for REST: from, to, subject, messageId, intro, attachments, ha, ...
    std::string meta;            // BSON document: how it came in (storage.md §4.3)
    ThreadId thread;             // filled by the store
    TimeMs header_date = 0;      // from Date:, or the internal date
};

struct NewMessage {
    std::string_view source;             // the bytes; may be a mapped file
    mime::Entity const* tree = nullptr;  // its parts: where the engine cuts
    Flags flags;
    TimeMs internal_date = 0;                 // ms; kept in whole seconds
    MessageRecord record;                     // thread is ignored on the way in
    std::vector<std::string> thread_refs;     // storage.md §11.4, hashed ids, at most 10
    std::string thread_subject;               // normalised
    std::optional<std::int64_t> storage_max;  // over_quota, if the user's storage would come above it
};

struct Appended {
    MessageId id;
    std::uint32_t uid_validity = 0;
    Uid uid = 0;
    ModSeq modseq = 0;
    std::uint64_t size = 0;
};

enum class FlagMode { set, add, remove };

struct FlagChange {
    FlagMode mode = FlagMode::add;
    Flags flags;
    std::optional<ModSeq> unchanged_since;  // RFC 7162 §3.1.3
};

struct FlagsChanged {
    UidSet changed;     // whose flags really changed; they share `modseq`, or carry another's later one
    UidSet modified;    // refused by unchanged_since
    ModSeq modseq = 0;  // 0 when nothing changed
};

struct Copied {
    std::uint32_t uid_validity = 0;  // of the target
    UidSet source;
    UidSet target;  // as many, in the same order
};

struct MailboxPatch {
    std::optional<std::string> path;  // rename: this mailbox only, children are the caller's business
    std::optional<bool> subscribed;
    std::optional<bool> hidden;
    std::optional<bool> encrypt_messages;
    std::optional<std::int64_t> retention_ms;
    std::optional<std::string> special_use;
};

// What restoring puts in its place: as it was on another engine, to the last number.
struct RestoredMessage {
    MessageId id;
    Uid uid = 0;
    ModSeq modseq = 0;
    NewMessage message;  // here record.thread counts; thread_refs are led to it
};

struct RestoredFlags {
    Uid uid = 0;
    ModSeq modseq = 0;
    Flags flags;
};

// What a message may be told beside its flags.
struct MessagePatch {
    std::optional<std::string> custom;             // meta.custom (storage.md §4.3): JSON text; stays with copies
    std::optional<std::optional<TimeMs>> expires;  // instead of the mailbox's retention; nullopt within: never
    bool operator==(MessagePatch const&) const = default;
};

// Which fields of a MessageRecord are wanted; others may be left empty.
enum RecordField : unsigned {
    want_envelope = 1,
    want_body = 2,
    want_body_structure = 4,
    want_parts = 8,
    want_headers = 16,
    want_info = 32,
    want_meta = 64,
    want_all = 127,
};

// Reads one message's bytes. Holds no lock; belongs to one thread at a time.
class BodyReader {
public:
    virtual ~BodyReader() = default;
    virtual std::uint64_t size() const = 0;
    // Appends [offset, offset + length) to out, cut at the end of the message. corrupt: a checksum failed.
    virtual Result<void> read(std::uint64_t offset, std::uint64_t length, std::string& out) = 0;
};

struct CheckReport {
    std::uint64_t users = 0, mailboxes = 0, messages = 0, bodies = 0;
    std::vector<std::string> problems;  // a sentence each; bounded, the rest is counted
    std::uint64_t problem_count = 0;
    std::uint64_t repaired = 0;
};

class MailStore {
public:
    virtual ~MailStore() = default;

    // Whether the whole engine keeps to an Attempt (base/attempt.hpp). Where it does not, none is made.
    virtual bool knows_attempts() const { return false; }

    // Mailboxes. Paths are unique per user: already_exists.
    virtual Result<MailboxInfo> create_mailbox(MailboxInfo info) = 0;  // id nil: generated; uid_validity 0: now
    // Several at once, all or none (a new user's).
    virtual Result<std::vector<MailboxInfo>> create_mailboxes(std::vector<MailboxInfo> infos) = 0;
    virtual Result<std::vector<MailboxInfo>> mailboxes(UserId user) const = 0;  // any order
    virtual Result<std::optional<MailboxInfo>> mailbox(MailboxId id) const = 0;
    virtual Result<std::optional<MailboxInfo>> find_mailbox(UserId user, std::string_view path) const = 0;
    virtual Result<MailboxInfo> update_mailbox(MailboxId id, MailboxPatch const& patch) = 0;
    virtual Result<void> delete_mailbox(MailboxId id) = 0;  // with its messages; the storage counter falls
    virtual Result<void> delete_user(UserId user) = 0;      // all mailboxes and the counter

    // The newest moment. O(1) when the mailbox is open anywhere; else loads it. not_found.
    virtual Result<Snapshot> snapshot(MailboxId id) = 0;

    // Messages.
    virtual Result<Appended> append(MailboxId mailbox, NewMessage message) = 0;
    // The same to the user's mailbox of this path; not_found.
    virtual Result<Appended> append_to(UserId user, std::string_view path, NewMessage message);
    virtual Result<FlagsChanged> change_flags(MailboxId mailbox, UidSet const& uids, FlagChange const& change) = 0;
    virtual Result<Copied> copy(MailboxId from, UidSet const& uids, MailboxId to) = 0;  // those that are there
    virtual Result<Copied> move(MailboxId from, UidSet const& uids, MailboxId to) = 0;
    // Removes the messages of the set; with only_deleted just those that are \Deleted at that moment.
    virtual Result<UidSet> expunge(MailboxId mailbox, UidSet const& uids, bool only_deleted) = 0;
    // UIDs that vanished after `since` (RFC 7162 §3.2.10.1); may name more than ever were told, never fewer.
    virtual Result<UidSet> vanished_since(MailboxId mailbox, ModSeq since) const = 0;

    // Calls visit(i, record) for each row that is still stored, in order; rows come from a snapshot of `mailbox`.
    // The record is valid during the call only.
    virtual Result<void> records(MailboxId mailbox, std::span<Row const* const> rows, unsigned fields,
                                 std::function<void(std::size_t, MessageRecord const&)> const& visit) = 0;
    virtual Result<std::unique_ptr<BodyReader>> body(MailboxId mailbox, Row const& row) = 0;  // not_found: expunged
    // Calls visit(i, bytes) with the whole of each message, in order, for messages of at most body_batch_max octets;
    // visit(i, nullopt) for larger or vanished ones (use body()).
    static constexpr std::uint64_t body_batch_max = 256 * 1024;
    virtual Result<void> bodies(MailboxId mailbox, std::span<Row const* const> rows,
                                std::function<void(std::size_t, std::optional<std::string_view>)> const& visit) = 0;

    // The messages of the set that are there get it: those. What a copy or a move brings into a mailbox follows that
    // mailbox's retention, and a change of the retention takes back every `expires` of its messages.
    virtual Result<UidSet> patch(MailboxId mailbox, UidSet const& uids, MessagePatch const& patch) = 0;
    // When the message is removed: its own date, else the retention counted from when it came into the mailbox.
    virtual Result<std::optional<TimeMs>> expiry(MailboxId mailbox, Row const& row) const = 0;
    // What patch() told of the messages of a mailbox that still holds, by UID; `custom` of those that brought one along
    // may be among it.
    virtual Result<std::map<Uid, MessagePatch>> patches(MailboxId mailbox) const = 0;
    // Removes messages that have expired, as expunge() does; how many. 0: there are none left now.
    virtual Result<std::uint64_t> remove_expired() = 0;

    // Bytes of all messages of the user (storage.md §13).
    virtual Result<std::int64_t> storage_used(UserId user) const = 0;
    // The same of the user whose document (storage.md §3.1) was just read: some engines count there.
    virtual Result<std::int64_t> storage_used_by(bson::Document const& user) const;

    // Restoring: how a mailbox comes from another engine such that no client notices (migrate). Only these calls take
    // UIDs, modseqs and ids from outside, in any order; they raise the mailbox's marks and never lower them. What is
    // done already is left alone, so all may be repeated. Nobody else changes the mailbox meanwhile, and nobody is
    // told. The mailbox itself is made by create_mailbox(), which keeps a given id and uid_validity.
    virtual Result<void> restore_messages(MailboxId mailbox, std::span<RestoredMessage const> messages) = 0;
    virtual Result<void> restore_changes(MailboxId mailbox, std::span<RestoredFlags const> flags,
                                         UidSet const& vanished) = 0;  // what is not there is left out
    // The last step: from then on vanished_since() knows of every UID below uid_next that is not there.
    virtual Result<void> restore_marks(MailboxId mailbox, Uid uid_next, ModSeq highest_modseq) = 0;
    virtual Result<void> recount_storage(UserId user) = 0;  // the counter becomes what the messages say

    // Background upkeep: frees what nothing points at any more, in bounded steps. true: there is more to do.
    virtual Result<bool> sweep() = 0;
    // Verifies every invariant; repairs what can be repaired when told to. `progress(done, total)` may be empty.
    virtual Result<CheckReport> check(bool repair,
                                      std::function<void(std::uint64_t, std::uint64_t)> const& progress) = 0;
};

}  // namespace mallard::store
