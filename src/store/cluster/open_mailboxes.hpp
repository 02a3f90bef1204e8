#pragma once
// OpenMailboxes: the indexes of mailboxes in use, kept current with the database (docs/decisions/0020).
//
// - An index is used without a look at the database as long as the watch of its user has not moved since before the
//   last look, for index_age_max at most; and as long as nobody has read a mailbox's document that is further on
//   (heard). So who finds the mailbox first, as SELECT and each REST call do, meets what was acknowledged before, also
//   where the signal of it is still on its way.
// - A change takes its modseq first and is written a moment later; another process may see the modseq before it.
//   So an update reads again all changes above `floor`, and the floor rises only over modseqs that were found in the
//   journal, which is written last, or that were met more than a minute ago: whoever took them is dead.
// - So with UIDs: while a lower one may still be on its way, a new message is withheld; sequence numbers only grow at
//   their end (RFC 9051 §2.3.1.2).
// - highest_modseq of an index stays below changes that may still come, so that who asks for the changes since then
//   misses none (RFC 7162 §3.1.2.1).
// Threads: OpenMailbox is used under its mutex only.

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "store/bson.hpp"
#include "store/cluster/change_signals.hpp"
#include "store/cluster/index_merge.hpp"
#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

inline constexpr TimeMs index_age_max_ms = 10'000;  // should a signal ever be lost unseen

MailboxInfo mailbox_info(bson::Document const& mailbox);
bson::Document row_projection();
// A message as a row; keywords are numbered in `index`.
Row row_of(bson::Document const& message, MailboxIndex& index);

// The mailbox's own spelling of flags. `limited`: limit, if it would hold too many keywords.
struct OpenMailbox;
Result<Flags> spelled(OpenMailbox const& box, Flags flags, bool limited);

// The rows of the set, cut into steps of whole documents that memory can hold.
std::vector<std::vector<Uid>> batches_of(MailboxIndex const& index, UidSet const& uids, bool only_deleted);

struct OpenMailbox {
    struct Met {
        ModSeq modseq = 0;
        TimeMs at = 0;
    };

    std::mutex mutex;
    MailboxId id;
    Snapshot index;                     // null: not loaded
    std::vector<std::string> keywords;  // that the mailbox's document lists

    ModSeq floor = 0;
    ModSeq newest = 0;
    std::set<ModSeq> found;  // modseqs above the floor whose change was seen
    std::deque<Met> met;     // when what is above the floor was first heard of

    Uid tail = 1;  // of all lower UIDs it is known whether they are messages
    std::map<Uid, Row> withheld;
    UidSet gone;  // from tail on
    struct MetUid {
        Uid uid_next = 1;
        TimeMs at = 0;
    };
    std::deque<MetUid> met_uids;  // when UIDs from tail on were first heard of

    std::shared_ptr<ChangeSignals::Watch> watch;
    std::optional<std::uint64_t> moment;  // of the watch, before the last look; nullopt: look again
    TimeMs looked_at = 0;
    std::atomic<ModSeq> heard = 0;  // the modseq that a document read elsewhere told of; without the mutex

    bool settled() const { return floor >= newest; }
    void note(ModSeq modseq);  // the change of this modseq is in the index, or there is none
    // Our own change, whose modseq followed on `before`: the mailbox's document ahead of it.
    void apply(MailboxIndex numbered, IndexDelta delta, ModSeq modseq, bson::Document const& before);
    void stale() { moment.reset(); }
    // Moves rows whose turn it is from withheld to `delta`.
    void decide(Uid uid_next, TimeMs now, IndexDelta& delta);
};

class OpenMailboxes {
public:
    OpenMailboxes(MongoClient const& mongo, Clock const& clock, ChangeSignals* signals)
        : mongo_(mongo), clock_(clock), signals_(signals) {}

    std::shared_ptr<OpenMailbox> get(MailboxId id);
    void forget(MailboxId id);
    // Precondition of what takes a box: its mutex is held. not_found: there is no such mailbox.
    Result<Snapshot> current(OpenMailbox& box) const;  // without a look where that may be
    Result<Snapshot> refresh(OpenMailbox& box) const;
    // The same, from the mailbox's document that the caller has just got.
    Result<void> catch_up(OpenMailbox& box, bson::Document const& mailbox) const;

    // What this document of a mailbox says, which somebody has read. An index that is behind it, or knows of changes on
    // their way, is read again before its next use.
    MailboxInfo heard(bson::Document const& mailbox) const;

    // Whose a mailbox is, which never changes; nullopt: not met yet.
    std::optional<UserId> owner(MailboxId id) const;
    void note_owner(MailboxId id, UserId user) const;

    // Into which mailbox a message of the user came last; nullopt: none in this process.
    std::optional<MailboxId> arrived_in(UserId user) const;
    void note_arrival(MailboxInfo const& info);
    // Who adds a message, from its UID to its document, and may not know the mailbox before, is counted. Meanwhile no
    // box may be waited for: who loads one waits for those that have begun, and not for those that come after them.
    class Arrivals {
    public:
        std::shared_lock<std::shared_mutex> begin() {
            std::lock_guard const turn(turn_);
            return std::shared_lock(under_way_);
        }
        void wait_for_all() {
            // Without a turn, arrivals that overlap could keep us waiting for ever.
            std::lock_guard const turn(turn_);
            std::lock_guard const none(under_way_);
        }

    private:
        std::mutex turn_;
        std::shared_mutex under_way_;
    };
    Arrivals& arrivals(UserId user) const { return arrivals_[std::hash<UserId>{}(user) % arrivals_.size()]; }

private:
    Result<void> find_floor(OpenMailbox& box) const;
    Result<void> load(OpenMailbox& box, bson::Document const& mailbox) const;
    Result<void> update(OpenMailbox& box, bson::Document const& mailbox) const;
    bool expire(OpenMailbox& box) const;

    MongoClient const& mongo_;
    Clock const& clock_;
    ChangeSignals* const signals_;  // null: every time a look
    mutable std::mutex mutex_;
    struct Kept {
        std::shared_ptr<OpenMailbox> box;
        TimeMs used_at = 0;
    };
    std::unordered_map<MailboxId, Kept> boxes_;
    TimeMs tidied_at_ = 0;
    mutable std::mutex owners_mutex_;
    mutable std::unordered_map<MailboxId, UserId> owners_;
    std::unordered_map<UserId, MailboxId> arrived_in_;  // under owners_mutex_
    mutable std::array<Arrivals, 64> arrivals_;
};

}  // namespace mallard::store::cluster
