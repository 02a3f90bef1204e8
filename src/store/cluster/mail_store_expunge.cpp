// Messages go: into the archive, where who lost one by mistake finds it (storage.md §4.4, §11.7), or for good.
#include <algorithm>
#include <charconv>
#include <set>

#include "base/log.hpp"
#include "store/cluster/journal_entries.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Date;
using bson::Document;

constexpr LogContext who{.component = "store"};
constexpr TimeMs archive_time_default_ms = 25LL * 24 * 3'600'000;  // setting const:archive:time
constexpr int attempts_max = 8;
constexpr TimeMs setting_kept_ms = 5 * 60'000;

bool goes_to_archive(Document const& message) { return !message.boolean("draft") && !message.boolean("copied"); }

bool is_deleted(Document const& message) { return (own_flags(message).system & deleted) != 0; }

Document exactly(ObjectId mailbox, std::vector<Document> const& messages) {
    Array uids, ids;
    for (auto const& message : messages) {
        uids.push_back(*message.find("uid"));
        ids.push_back(*message.find("_id"));
    }
    return {
        {"mailbox", mailbox}, {"uid", Document{{"$in", std::move(uids)}}}, {"_id", Document{{"$in", std::move(ids)}}}};
}

}  // namespace

Result<ClusterMailStore::Removed> ClusterMailStore::take_away(ObjectId mailbox, std::vector<Document> messages) {
    // One by one in one request: each only as it was read, so that no change of flags at the same time is lost.
    std::vector<Write> writes;
    for (auto const& message : messages) {
        Document filter;
        for (std::string_view key : {"_id", "mailbox", "uid", "modseq"})
            if (auto const* value = message.find(key)) filter.set(key, *value);
        writes.push_back({.kind = Write::Kind::delete_one, .filter = std::move(filter)});
    }
    auto written = mongo_.bulk(Db::main, "messages", writes, false);
    bool const lost = !written && written.error().kind == ErrorKind::unavailable;
    if (lost) written = mongo_.bulk(Db::main, "messages", writes, false);  // nobody knows; twice does no harm
    if (!written) return std::unexpected(written.error());
    if (!written->failures.empty()) return std::unexpected(written->failures.front().error);
    Removed removed;
    if (!lost && written->deleted == static_cast<std::int64_t>(messages.size())) {
        removed.messages = std::move(messages);
        return removed;
    }
    MALLARD_TRY_ASSIGN(auto const left,
                       mongo_.find(Db::main, "messages", exactly(mailbox, messages), {.projection = {{"_id", 1}}}));
    std::set<ObjectId> there;
    for (auto const& message : left)
        if (auto const id = message.id("_id")) there.insert(*id);
    for (auto& message : messages)
        (there.contains(*message.id("_id")) ? removed.left : removed.messages).push_back(std::move(message));
    removed.by_us = written->deleted == static_cast<std::int64_t>(removed.messages.size());
    if (!removed.by_us)
        log(LogLevel::warning, who, "Others removed the same messages; counters may be too high until a check",
            {{"mailbox", mailbox.hex()}});
    return removed;
}

Result<ClusterMailStore::Removed> ClusterMailStore::remove(OpenMailbox& box, std::vector<Document> messages,
                                                           std::vector<Document>& entries) {
    MALLARD_TRY_ASSIGN(auto const before, bump({{"_id", box.id}}, 0, 1));
    ModSeq const modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
    auto removed = take_away(box.id, std::move(messages));
    if (!removed) {
        box.index = nullptr;  // nobody knows what is gone
        return removed;
    }
    IndexDelta delta;
    for (auto const& message : removed->messages) {
        delta.removed.add(static_cast<Uid>(message.integer("uid")));
        entries.push_back(expunge_entry(message, modseq));
    }
    MailboxIndex numbered;
    numbered.keywords = box.index->keywords;
    box.apply(std::move(numbered), std::move(delta), modseq, before);
    return removed;
}

Result<void> ClusterMailStore::let_go(UserId user, Removed const& removed) {
    if (!removed.by_us) return {};  // too high a counter is mended by a check; too low a one costs an attachment
    std::int64_t octets = 0;
    for (auto const& message : removed.messages) octets += message.integer("size");
    MALLARD_TRY(add_storage(user, -octets));
    return count_references(removed.messages, -1);
}

Result<UidSet> ClusterMailStore::expunge(MailboxId id, UidSet const& uids, bool only_deleted) {
    MALLARD_TRY_ASSIGN(auto lock, MailboxLock::take(redis_, id));
    auto const box = open_.get(id);
    UidSet expunged;
    MailboxInfo info;
    {
        std::lock_guard const locked(box->mutex);
        MALLARD_TRY_ASSIGN(Snapshot const index, open_.refresh(*box));
        info = index->info;
        for (auto const& some : batches_of(*index, uids, only_deleted)) {
            if (!expunged.empty()) MALLARD_TRY(lock.extend());
            if (auto done = expunge_batch(*box, some, only_deleted, expunged); !done) {
                box->stale();
                if (!expunged.empty()) announce(info);
                return std::unexpected(done.error());
            }
        }
    }
    if (!expunged.empty()) announce(info);
    return expunged;
}

Result<void> ClusterMailStore::expunge_batch(OpenMailbox& box, std::vector<Uid> uids, bool only_deleted,
                                             UidSet& expunged) {
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        MailboxInfo const info = box.index->info;
        MALLARD_TRY_ASSIGN(auto messages, documents_of(box.id, uids));
        if (only_deleted) std::erase_if(messages, [](auto const& message) { return !is_deleted(message); });
        if (messages.empty()) return {};
        MALLARD_TRY(archive(messages));
        std::vector<Document> entries;
        MALLARD_TRY_ASSIGN(auto const removed, remove(box, std::move(messages), entries));
        for (auto const& message : removed.messages) expunged.add(static_cast<Uid>(message.integer("uid")));
        (void)write_journal(std::move(entries));
        MALLARD_TRY(let_go(info.user, removed));
        if (removed.left.empty()) return {};
        // Their flags changed since they were read: perhaps they are no longer \\Deleted.
        std::vector<Document> early;
        uids.clear();
        for (auto const& message : removed.left) {
            uids.push_back(static_cast<Uid>(message.integer("uid")));
            if (goes_to_archive(message)) early.push_back(message);
        }
        MALLARD_TRY(unarchive(early));
    }
    return fail(ErrorKind::unavailable, "The mailbox is busy, try again later", "flags changed too often");
}

TimeMs ClusterMailStore::archive_time() const {
    TimeMs const now = clock_.now();
    if (archive_time_ != 0 && now - archive_time_read_at_ < setting_kept_ms) return archive_time_;
    TimeMs time = archive_time_default_ms;
    auto const setting = mongo_.find_one(Db::main, "settings", {{"key", "const:archive:time"}});
    if (setting && *setting) {
        std::string_view const text = (*setting)->text("value");  // JSON: a number
        std::int64_t value = 0;
        if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc() && value > 0) time = value;
    }
    archive_time_ = time;
    archive_time_read_at_ = now;
    return time;
}

// The archive counts for itself: its references rise before its documents are there, those of the messages fall when
// they are gone. So neither can lose the attachments of the other.
Result<void> ClusterMailStore::archive(std::vector<Document> const& messages) {
    std::vector<Document> kept;
    std::ranges::copy_if(messages, std::back_inserter(kept), goes_to_archive);
    if (kept.empty()) return {};
    MALLARD_TRY(count_references(kept, 1));
    TimeMs const now = clock_.now(), until = now + archive_time();
    std::vector<Write> writes;
    for (auto const& message : kept) {
        Document document = message;
        document.set("archived", Date{now});
        document.set("exp", true);
        document.set("rdate", static_cast<double>(until));
        writes.push_back({.kind = Write::Kind::insert, .document = std::move(document)});
    }
    MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "archived", writes, false));
    std::vector<Document> twice;  // archived when an earlier attempt ended here
    for (auto const& failure : written.failures) {
        if (failure.error.kind != ErrorKind::already_exists) return std::unexpected(failure.error);
        twice.push_back(kept[failure.index]);
    }
    return count_references(twice, -1);
}

Result<void> ClusterMailStore::unarchive(std::vector<Document> const& messages) {
    if (messages.empty()) return {};
    Array ids;
    for (auto const& message : messages) ids.push_back(*message.find("_id"));
    MALLARD_TRY_ASSIGN(auto const erased, mongo_.erase(Db::main, "archived", {{"_id", Document{{"$in", ids}}}}, true));
    return erased == static_cast<std::int64_t>(messages.size()) ? count_references(messages, -1) : Result<void>();
}

Result<bool> ClusterMailStore::sweep_archive(std::int64_t limit) {
    Document const due{{"exp", true}, {"rdate", Document{{"$lte", static_cast<double>(clock_.now())}}}};
    MALLARD_TRY_ASSIGN(auto const found,
                       mongo_.find(Db::main, "archived", due,
                                   {.projection = {{"magic", 1}, {"mimeTree.attachmentMap", 1}}, .limit = limit}));
    std::vector<Document> gone;
    for (auto const& message : found) {
        Document filter = due;
        filter.set("_id", *message.find("_id"));
        MALLARD_TRY_ASSIGN(auto const erased, mongo_.erase(Db::main, "archived", filter));
        if (erased > 0) gone.push_back(message);  // else it was restored, or another sweeps too
    }
    MALLARD_TRY(count_references(gone, -1));
    return static_cast<std::int64_t>(found.size()) == limit;
}

Result<void> ClusterMailStore::remove_all(MailboxId id, bool archived, Document const& also) {
    constexpr std::int64_t batch = 100;
    Document filter{{"mailbox", id}};
    for (auto const& [key, value] : also.fields()) filter.set(key, value);
    while (true) {
        MALLARD_TRY_ASSIGN(auto found, mongo_.find(Db::main, "messages", filter, {.limit = batch}));
        if (found.empty()) return {};
        auto const user = found.front().id("user");
        if (archived) MALLARD_TRY(archive(found));
        MALLARD_TRY_ASSIGN(auto const removed, take_away(id, std::move(found)));
        if (user) MALLARD_TRY(let_go(UserId(*user), removed));
    }
}

}  // namespace mallard::store::cluster
