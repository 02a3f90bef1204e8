// Messages are copied and moved to other mailboxes.
#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "store/cluster/journal_entries.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Date;
using bson::Document;

constexpr int attempts_max = 12;
constexpr std::chrono::milliseconds retry_pause{10};

// Several mailboxes' locks, in the order of their ids.
class Locked {
public:
    Locked(std::shared_ptr<OpenMailbox> a, std::shared_ptr<OpenMailbox> b)
        : first_(std::move(a)), second_(std::move(b)) {
        if (second_->id < first_->id) std::swap(first_, second_);
        first_->mutex.lock();
        if (second_ != first_) second_->mutex.lock();
    }
    ~Locked() {
        if (second_ != first_) second_->mutex.unlock();
        first_->mutex.unlock();
    }
    Locked(Locked const&) = delete;

private:
    std::shared_ptr<OpenMailbox> first_, second_;
};

// §11.6: 1 the message enters a \Junk mailbox, -1 it leaves one, but not for \Trash.
int junk_change(Document const& source, Document const& copy) {
    return int{copy.boolean("junk")} - int{source.boolean("junk")};
}

void note_copy(Document& message, TimeMs now) {
    auto const* meta = message.document("meta");
    if (!meta) return;
    Document changed = *meta;
    auto const* before = changed.array("events");
    Array events = before ? *before : Array{};
    events.push_back(Document{{"action", "IMAPCOPY"}, {"time", Date{now}}});
    changed.set("events", std::move(events));
    message.set("meta", std::move(changed));
}

}  // namespace

Result<Copied> ClusterMailStore::copy(MailboxId from, UidSet const& uids, MailboxId to) {
    return transfer(from, uids, to, false);
}

Result<Copied> ClusterMailStore::move(MailboxId from, UidSet const& uids, MailboxId to) {
    MALLARD_TRY_ASSIGN(auto lock, MailboxLock::take(redis_, from));
    return transfer(from, uids, to, true, &lock);
}

Result<Copied> ClusterMailStore::transfer(MailboxId from_id, UidSet const& uids, MailboxId to_id, bool moving,
                                          MailboxLock* lock) {
    auto const from = open_.get(from_id), to = open_.get(to_id);
    Copied copied;
    MailboxInfo source_info, target_info;
    {
        Locked const locked(from, to);
        // Who moved messages away before we had the lock may not have been heard of yet.
        MALLARD_TRY_ASSIGN(Snapshot const source, moving ? open_.refresh(*from) : open_.current(*from));
        source_info = source->info;
        if (to->index) {
            MALLARD_TRY_ASSIGN(auto const target, open_.current(*to));
            target_info = target->info;
        } else {
            MALLARD_TRY_ASSIGN(auto const target, mailbox(to_id));
            if (!target) return fail(ErrorKind::not_found, "there is no such mailbox");
            target_info = *target;
        }
        copied.uid_validity = target_info.uid_validity;
        for (auto const& some : batches_of(*source, uids, false)) {
            if (lock && !copied.source.empty()) MALLARD_TRY(lock->extend());
            if (auto done = transfer_batch(*from, some, *to, moving, copied); !done) {
                from->stale();  // something may have been written all the same
                to->stale();
                announce(target_info);
                if (moving && from != to) announce(source_info);
                return std::unexpected(done.error());
            }
        }
    }
    if (copied.target.empty()) return copied;
    announce(target_info);
    if (moving && from != to) announce(source_info);
    return copied;
}

Result<void> ClusterMailStore::transfer_batch(OpenMailbox& from, std::vector<Uid> const& uids, OpenMailbox& to,
                                              bool moving, Copied& copied) {
    MALLARD_TRY_ASSIGN(auto const messages, documents_of(from.id, uids));
    if (messages.empty()) return {};
    MALLARD_TRY_ASSIGN(auto copies, insert_copies(messages, to, moving));
    std::vector<Document> entries;
    auto const removed = moving ? remove_moved(from, messages, to, copies, entries) : Result<void>();
    for (std::size_t i = 0; i < messages.size(); ++i) {
        copied.source.add(static_cast<Uid>(messages[i].integer("uid")));
        copied.target.add(static_cast<Uid>(copies[i].integer("uid")));
        entries.push_back(exists_entry(copies[i], junk_change(messages[i], copies[i])));
    }
    // What was done is done, also where the rest failed: without its entries others notice later.
    (void)write_journal(std::move(entries));
    return removed;
}

// The messages leave, each in the state that its copy has.
Result<void> ClusterMailStore::remove_moved(OpenMailbox& from, std::vector<Document> sources, OpenMailbox& to,
                                            std::vector<Document>& copies, std::vector<Document>& entries) {
    std::map<ObjectId, Document*> copy_of;
    for (std::size_t i = 0; i < sources.size(); ++i) copy_of[*sources[i].id("_id")] = &copies[i];
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        MALLARD_TRY_ASSIGN(auto const removed, remove(from, std::move(sources), entries));
        if (removed.by_us) (void)count_references(removed.messages, -1);  // too high does no harm
        if (removed.left.empty()) return {};
        // Who changes flags of what has gone tries until the journal tells so, and with it changes what is left.
        (void)write_journal(std::exchange(entries, {}));
        std::this_thread::sleep_for(retry_pause * attempt);
        std::vector<Uid> uids;
        for (auto const& message : removed.left) uids.push_back(static_cast<Uid>(message.integer("uid")));
        MALLARD_TRY_ASSIGN(sources, documents_of(from.id, uids));
        std::map<ObjectId, Document> changed;
        for (auto const& source : sources) changed.emplace(*source.id("_id"), source);
        if (changed.empty()) return {};
        MALLARD_TRY(copy_flags(changed, to, copy_of));
    }
    return fail(ErrorKind::unavailable, "The mailbox is busy, try again later", "flags changed too often");
}

Result<void> ClusterMailStore::copy_flags(std::map<ObjectId, Document> const& sources, OpenMailbox& to,
                                          std::map<ObjectId, Document*> const& copies) {
    MALLARD_TRY_ASSIGN(auto const before, bump({{"_id", to.id}}, 0, 1));
    ModSeq const modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
    std::vector<Write> writes;
    MailboxIndex numbered;
    if (to.index) numbered.keywords = to.index->keywords;
    IndexDelta delta;
    for (auto const& [id, source] : sources) {
        Document& copy = *copies.at(id);
        set_flags(copy, own_flags(source));
        copy.set("modseq", modseq_value(modseq));
        Document filter, set;
        for (std::string_view key : {"_id", "mailbox", "uid"}) filter.set(key, *copy.find(key));
        for (std::string_view key : {"flags", "unseen", "flagged", "undeleted", "draft", "searchable", "modseq"})
            if (auto const* value = copy.find(key)) set.set(key, *value);
        Document update{{"$set", std::move(set)}};
        if (!copy.find("searchable")) update.set("$unset", Document{{"searchable", true}});
        writes.push_back({.filter = std::move(filter), .document = std::move(update)});
        Row const row = row_of(copy, numbered);
        delta.rows.emplace(row.uid, row);
    }
    MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "messages", writes, false));
    if (!written.failures.empty()) return std::unexpected(written.failures.front().error);
    if (to.index) to.apply(std::move(numbered), std::move(delta), modseq, before);
    return {};
}

// The copies, in the order of their sources.
Result<std::vector<Document>> ClusterMailStore::insert_copies(std::vector<Document> const& sources, OpenMailbox& to,
                                                              bool moving) {
    MALLARD_TRY(count_references(sources, 1));
    auto const failed = [&](Error error) {
        if (error.kind != ErrorKind::unavailable) (void)count_references(sources, -1);
        return std::unexpected(std::move(error));
    };
    auto const before = bump({{"_id", to.id}}, static_cast<std::int64_t>(sources.size()), 1);
    if (!before) return failed(before.error());
    MailboxInfo const info = mailbox_info(*before);
    auto uid = static_cast<Uid>(before->integer("uidNext", 1));
    ModSeq const modseq = static_cast<ModSeq>(before->integer("modifyIndex", 1)) + 1;
    MailboxIndex numbered;
    if (to.index) numbered.keywords = to.index->keywords;
    IndexDelta delta;
    std::vector<Write> writes;
    std::vector<Document> copies;
    Array new_ids;
    std::int64_t octets = 0;
    for (auto const& source : sources) {
        Document document = source;
        auto const id = ObjectId::generate();
        document.set("_id", id);
        set_mailbox(document, info, clock_.now());
        document.set("uid", bson::number(uid));
        document.set("modseq", modseq_value(modseq));
        document.set("copied", false);
        if (!moving) note_copy(document, clock_.now());
        Row const row = row_of(document, numbered);
        if (to.index) set_flags(document, std::as_const(numbered).flags(row));  // spelled as here
        if (!to.index) set_flags(document, own_flags(document));
        delta.rows.emplace(uid, row);
        ++uid;
        octets += source.integer("size");
        new_ids.emplace_back(id);
        copies.push_back(document);
        writes.push_back({.kind = Write::Kind::insert, .document = std::move(document)});
    }
    bool const counted = !moving || sources.front().id("user") != std::optional<ObjectId>(info.user);
    if (counted)
        if (auto added = add_storage(info.user, octets); !added) return failed(added.error());
    auto written = mongo_.bulk(Db::main, "messages", writes);
    if (written && !written->failures.empty()) {
        // All or none of a batch.
        (void)mongo_.erase(Db::main, "messages", {{"_id", Document{{"$in", new_ids}}}, {"mailbox", to.id}}, true);
        if (counted) (void)add_storage(info.user, -octets);
        written = std::unexpected(written->failures.front().error);
    }
    if (!written) {
        to.stale();
        return failed(written.error());
    }
    if (to.index) to.apply(std::move(numbered), std::move(delta), modseq, *before);
    if (!moving) {
        Array ids, source_uids;
        for (auto const& source : sources) {
            ids.push_back(*source.find("_id"));
            source_uids.push_back(*source.find("uid"));
        }
        MALLARD_TRY(mongo_.write(Db::main, "messages",
                                 {.kind = Write::Kind::update_many,
                                  .filter = {{"mailbox", *sources.front().find("mailbox")},
                                             {"uid", Document{{"$in", std::move(source_uids)}}},
                                             {"_id", Document{{"$in", std::move(ids)}}}},
                                  .document = {{"$set", Document{{"copied", true}}}}}));
    }
    return copies;
}

}  // namespace mallard::store::cluster
