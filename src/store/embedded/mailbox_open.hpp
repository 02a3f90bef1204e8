#pragma once
// OpenMailbox: one mailbox in memory, shared by all who use it.
//
// - `head` is the newest state, with the changes whose commit is still on its way; `published` the newest that is
//   durable. A change is computed on the head under the lock, committed outside it, and published in order: it becomes
//   visible when it and all before it are on the disk. So many changes share one fsync.
// - A change may touch only published messages (uid < published_end): nothing durable then depends on what is not.
// - A failed commit poisons the mailbox: changes behind it fail too, and it is read from the disk again once the last
//   of them has come back.
// - Threads: every call may come from any thread. Two mailboxes are locked in the order of their ids.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kv/engine.hpp"
#include "store/embedded/index_codec.hpp"
#include "store/index.hpp"

namespace mallard::store::embedded {

// A change between being computed and being published. Lives on the stack of who makes it.
struct OnItsWay {
    Snapshot state;  // after it
    enum class Stage { free, committing, committed, published, failed } stage = Stage::free;
};

class OpenMailbox {
public:
    OpenMailbox(kv::Engine& engine, MailboxId id, std::atomic<std::int64_t>& rows_open);
    OpenMailbox(OpenMailbox const&) = delete;
    ~OpenMailbox();

    MailboxId id() const { return id_; }
    Result<Snapshot> snapshot();  // published; not_found

    // The mailbox locked, for the time of computing a change.
    class Edit {
    public:
        MailboxIndex const& head() const { return *box_->head_; }
        Uid published_end() const { return box_->published_->uid_next; }
        bool all_published() const { return box_->on_their_way_.empty(); }
        void enqueue(OnItsWay& change, Snapshot next, std::size_t journal_bytes, std::uint64_t touched);
        // Nothing to change, but what makes it so may not be durable yet: settle() waits for that.
        void enqueue_nothing(OnItsWay& change) { enqueue(change, box_->head_, 0, 0); }

    private:
        friend class OpenMailbox;
        Edit(OpenMailbox& box, std::unique_lock<std::mutex> lock) : box_(&box), lock_(std::move(lock)) {}
        OpenMailbox* box_;
        std::unique_lock<std::mutex> lock_;
    };
    Result<Edit> edit();  // not_found, unavailable (poisoned)
    // After the commit, without the lock: waits until the change is published. What was enqueued must be settled.
    Result<void> settle(OnItsWay& change, Result<void> const& committed);

    // Alone with the mailbox: nothing is on its way. The commit inside is done under the lock; then the mailbox is
    // gone.
    Result<void> remove(std::function<Result<void>(MailboxIndex const&)> const& commit);

    // Alone with the mailbox: puts in its place what `change` makes of it, as a checkpoint, in one commit with what it
    // puts into the batch. It gives back what it was given when there is nothing to do.
    using MakeNext = std::function<Result<Snapshot>(Snapshot const&, kv::WriteBatch&)>;
    Result<void> replace(MakeNext const& change);

    bool spent();  // poisoned, and the last of its changes has come back: to be opened anew
    bool wants_checkpoint() const { return wants_checkpoint_; }
    // Writes the chunks that changed and drops the journal up to here.
    Result<void> checkpoint();

private:
    Result<void> load();
    using Saved = std::map<Uid, std::weak_ptr<Chunk const>>;
    Result<void> put_checkpoint(MailboxIndex const& index, ModSeq journal_from, Saved const& saved,
                                kv::WriteBatch& batch) const;
    Result<void> compact_vanished(MailboxIndex const& index, kv::WriteBatch& batch) const;
    void publish_ready();
    void note_journal();

    kv::Engine& engine_;
    MailboxId const id_;
    std::atomic<std::int64_t>& rows_open_;  // of all mailboxes

    std::mutex mutex_;
    std::condition_variable settled_;
    bool loaded_ = false;
    bool gone_ = false;
    bool closing_ = false;
    bool poisoned_ = false;  // a commit failed: no new changes
    bool broken_ = false;    // and it is its turn: what comes behind it fails
    Snapshot head_, published_;
    std::vector<OnItsWay*> on_their_way_;  // in order

    // What a reader of the disk would have to replay.
    ModSeq checkpoint_modseq_ = 1;
    std::uint64_t journal_records_ = 0, journal_bytes_ = 0, journal_touched_ = 0;
    Saved saved_;  // chunks on disk, by their first uid
    bool checkpointing_ = false;
    std::atomic<bool> wants_checkpoint_ = false;
};

}  // namespace mallard::store::embedded
