#include "store/embedded/mailbox_open.hpp"

#include <algorithm>

#include "base/attempt.hpp"
#include "store/embedded/mailbox_load.hpp"

namespace mallard::store::embedded {

namespace {

// A checkpoint is due when reading the mailbox from the disk would replay more than this.
constexpr std::uint64_t journal_records_max = 1024;
constexpr std::uint64_t journal_bytes_max = 1024 * 1024;
constexpr std::uint64_t journal_touched_max = 500'000;  // rows

std::unexpected<Error> no_mailbox() { return fail(ErrorKind::not_found, "This mailbox does not exist"); }
std::unexpected<Error> disk_failed() {
    return fail(ErrorKind::unavailable, "The mailbox could not be written, try again");
}

}  // namespace

OpenMailbox::OpenMailbox(kv::Engine& engine, MailboxId id, std::atomic<std::int64_t>& rows_open)
    : engine_(engine), id_(id), rows_open_(rows_open) {}

OpenMailbox::~OpenMailbox() {
    if (published_) rows_open_ -= published_->size();
}

Result<Snapshot> OpenMailbox::snapshot() {
    std::lock_guard const lock(mutex_);
    if (gone_) return no_mailbox();
    MALLARD_TRY(load());
    return published_;
}

Result<OpenMailbox::Edit> OpenMailbox::edit() {
    std::unique_lock lock(mutex_);
    // Not even a wait for who deletes it: the caller may hold another mailbox's lock.
    if (gone_ || closing_) return no_mailbox();
    if (poisoned_) return disk_failed();
    MALLARD_TRY(load());
    return Edit(*this, std::move(lock));
}

void OpenMailbox::Edit::enqueue(OnItsWay& change, Snapshot next, std::size_t journal_bytes, std::uint64_t touched) {
    change.state = next;
    change.stage = OnItsWay::Stage::committing;
    box_->head_ = std::move(next);
    box_->on_their_way_.push_back(&change);
    if (journal_bytes > 0) {
        ++box_->journal_records_;
        box_->journal_bytes_ += journal_bytes;
        box_->journal_touched_ += touched;
        box_->note_journal();
    }
}

void OpenMailbox::note_journal() {
    wants_checkpoint_ = journal_records_ > journal_records_max || journal_bytes_ > journal_bytes_max ||
                        journal_touched_ > journal_touched_max;
}

void OpenMailbox::publish_ready() {
    auto change = on_their_way_.begin();
    for (; change != on_their_way_.end() && (*change)->stage != OnItsWay::Stage::committing; ++change) {
        OnItsWay& first = **change;
        if (first.stage == OnItsWay::Stage::failed) broken_ = true;
        if (broken_) {
            first.stage = OnItsWay::Stage::failed;
            continue;
        }
        rows_open_ += std::int64_t{first.state->size()} - std::int64_t{published_->size()};
        published_ = first.state;
        first.stage = OnItsWay::Stage::published;
    }
    on_their_way_.erase(on_their_way_.begin(), change);
}

Result<void> OpenMailbox::settle(OnItsWay& change, Result<void> const& committed) {
    if (change.stage == OnItsWay::Stage::free) return committed;
    std::unique_lock lock(mutex_);
    change.stage = committed ? OnItsWay::Stage::committed : OnItsWay::Stage::failed;
    if (!committed) poisoned_ = true;
    publish_ready();
    settled_.notify_all();
    settled_.wait(lock, [&] {
        return change.stage == OnItsWay::Stage::published ||
               (change.stage == OnItsWay::Stage::failed &&
                std::ranges::find(on_their_way_, &change) == on_their_way_.end());
    });
    if (!committed) return committed;
    if (change.stage == OnItsWay::Stage::failed) return disk_failed();
    return {};
}

bool OpenMailbox::spent() {
    std::lock_guard const lock(mutex_);
    return poisoned_ && on_their_way_.empty() && !checkpointing_;
}

Result<void> OpenMailbox::remove(std::function<Result<void>(MailboxIndex const&)> const& commit) {
    std::unique_lock lock(mutex_);
    settled_.wait(lock, [&] { return !closing_; });
    closing_ = true;
    settled_.wait(lock, [&] { return on_their_way_.empty() && !checkpointing_; });
    auto const done = [&]() -> Result<void> {
        if (gone_) return no_mailbox();
        if (poisoned_) return disk_failed();
        MALLARD_TRY(load());
        auto const result = commit(*published_);
        if (result)
            gone_ = true;
        else
            poisoned_ = true;
        return result;
    }();
    closing_ = false;
    settled_.notify_all();
    return done;
}

Result<void> OpenMailbox::load() {
    if (loaded_) return {};
    if (Attempt::active()) return Attempt::give_up();
    MALLARD_TRY_ASSIGN(auto loaded, load_mailbox(engine_, id_));
    head_ = published_ = std::move(loaded.index);
    checkpoint_modseq_ = loaded.checkpoint_modseq;
    saved_ = std::move(loaded.saved);
    journal_records_ = loaded.journal_records;
    journal_bytes_ = loaded.journal_bytes;
    journal_touched_ = loaded.journal_touched;
    rows_open_ += published_->size();
    note_journal();
    loaded_ = true;
    return {};
}

}  // namespace mallard::store::embedded
