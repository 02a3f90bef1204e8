#pragma once
// OpenMailboxes: the indexes of mailboxes in use, kept current with the database.
//
// A change takes its modseq first and is written a moment later; another process may see the modseq before the change.
// So a refresh reads again all changes above `floor`, and the floor rises only over modseqs that were found (on a
// message or in the journal), or that are older than a minute: whoever took them is dead.
// Threads: OpenMailbox is used under its mutex only.

#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "store/bson.hpp"
#include "store/cluster/index_merge.hpp"
#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

MailboxInfo mailbox_info(bson::Document const& mailbox);
bson::Document row_projection();
// A message as a row; keywords are numbered in `index`.
Row row_of(bson::Document const& message, MailboxIndex& index);

struct OpenMailbox {
    std::mutex mutex;
    MailboxId id;
    Snapshot index;  // null: not loaded
    ModSeq floor = 0;
    std::set<ModSeq> found;  // modseqs above the floor whose change was seen
    TimeMs first_seen = 0;   // when the newest modseq above the floor was first met
    ModSeq newest = 0;

    bool settled() const { return floor >= newest; }
    void note(ModSeq modseq);  // the change of this modseq is in the index
};

class OpenMailboxes {
public:
    OpenMailboxes(MongoClient const& mongo, Clock const& clock) : mongo_(mongo), clock_(clock) {}

    std::shared_ptr<OpenMailbox> get(MailboxId id);
    void forget(MailboxId id);
    Result<Snapshot> refresh(OpenMailbox& box) const;  // precondition: its mutex is held; not_found

private:
    Result<void> load(OpenMailbox& box, bson::Document const& mailbox) const;
    Result<void> update(OpenMailbox& box, bson::Document const& mailbox) const;

    MongoClient const& mongo_;
    Clock const& clock_;
    std::mutex mutex_;
    std::unordered_map<MailboxId, std::shared_ptr<OpenMailbox>> boxes_;
};

}  // namespace mallard::store::cluster
