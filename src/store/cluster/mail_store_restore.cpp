// Restoring a mailbox as it was on another engine. No journal is written: what a mailbox's journal does not reach back
// to is told from the UIDs that are not there (vanished_since).

#include <algorithm>
#include <set>

#include "mime/message.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Date;
using bson::Document;

constexpr std::size_t uids_per_filter = 1'000;

Document uid_filter(MailboxId id, Array uids) { return {{"mailbox", id}, {"uid", Document{{"$in", std::move(uids)}}}}; }

// Forgets what this process knows of the mailbox: the next look loads it.
class Forgetting {
public:
    explicit Forgetting(std::shared_ptr<OpenMailbox> box) : box_(std::move(box)), lock_(box_->mutex) {}
    ~Forgetting() { box_->index = nullptr; }
    Forgetting(Forgetting const&) = delete;

private:
    std::shared_ptr<OpenMailbox> box_;
    std::lock_guard<std::mutex> lock_;
};

Result<void> raise_marks(MongoClient& mongo, MailboxId id, Uid uid_next, ModSeq highest_modseq) {
    MALLARD_TRY_ASSIGN(auto const mailbox, mongo.find_one(Db::main, "mailboxes", {{"_id", id}}));
    if (!mailbox) return fail(ErrorKind::not_found, "there is no such mailbox");
    Document set;
    if (mailbox->integer("uidNext", 1) < std::int64_t{uid_next}) set.set("uidNext", bson::number(uid_next));
    auto const modseq = static_cast<std::int64_t>(highest_modseq);
    if (mailbox->integer("modifyIndex", 1) < modseq) set.set("modifyIndex", bson::number(modseq));
    if (set.empty()) return {};
    MALLARD_TRY(mongo.write(Db::main, "mailboxes", {.filter = {{"_id", id}}, .document = {{"$set", std::move(set)}}}));
    return {};
}

Document flag_update(RestoredFlags const& restored) {
    Document set;
    set_flags(set, restored.flags);
    set.set("modseq", bson::number(static_cast<std::int64_t>(restored.modseq)));
    Document update{{"$set", std::move(set)}};
    if (restored.flags.system & deleted) update.set("$unset", Document{{"searchable", ""}});
    return update;
}

// One write for those that become alike, as long as they follow one another.
std::vector<Write> flag_writes(MailboxId id, std::span<RestoredFlags const> flags) {
    std::vector<Write> writes;
    while (!flags.empty()) {
        RestoredFlags const& first = flags.front();
        Array uids;
        std::size_t n = 0;
        for (; n < std::min(flags.size(), uids_per_filter); ++n) {
            if (flags[n].modseq != first.modseq || !(flags[n].flags == first.flags)) break;
            uids.push_back(bson::number(flags[n].uid));
        }
        writes.push_back({.kind = Write::Kind::update_many,
                          .filter = uid_filter(id, std::move(uids)),
                          .document = flag_update(first)});
        flags = flags.subspan(n);
    }
    return writes;
}

}  // namespace

Result<void> ClusterMailStore::restore_messages(MailboxId id, std::span<RestoredMessage const> messages) {
    MALLARD_TRY_ASSIGN(auto const info, mailbox(id));
    if (!info) return fail(ErrorKind::not_found, "there is no such mailbox");
    if (messages.empty()) return {};
    Forgetting const forgetting(open_.get(id));
    Uid uid_last = 0;
    ModSeq modseq_last = 0;
    Array uids;
    for (auto const& restored : messages) {
        uid_last = std::max(uid_last, restored.uid);
        modseq_last = std::max(modseq_last, restored.modseq);
        uids.push_back(bson::number(restored.uid));
    }
    std::set<Uid> there;
    MALLARD_TRY(mongo_.find_each(Db::main, "messages", uid_filter(id, std::move(uids)), {.projection = {{"uid", 1}}},
                                 [&](Document message) {
                                     there.insert(static_cast<Uid>(message.integer("uid")));
                                     return true;
                                 }));
    MALLARD_TRY(raise_marks(mongo_, id, uid_last + 1, modseq_last));
    for (auto const& restored : messages)
        if (!there.contains(restored.uid)) MALLARD_TRY(restore_message(*info, restored));
    return {};
}

Result<void> ClusterMailStore::restore_message(MailboxInfo const& info, RestoredMessage const& restored) {
    NewMessage message = restored.message;
    mime::Entity parsed;
    if (!message.tree) {
        parsed = mime::parse(message.source);
        message.tree = &parsed;
    }
    MALLARD_TRY_ASSIGN(Stored stored, store_content(info.user, message));
    Document& document = stored.document;
    set_mailbox(document, info, clock_.now());
    document.set("_id", restored.id);
    document.set("root", restored.id);
    document.set("uid", bson::number(restored.uid));
    document.set("modseq", bson::number(static_cast<std::int64_t>(restored.modseq)));
    document.set("thread", message.record.thread);
    set_flags(document, message.flags);
    if (auto inserted = mongo_.insert(Db::main, "messages", document); !inserted) {
        if (inserted.error().kind != ErrorKind::unavailable) undo_content(stored, info.user);
        return inserted;
    }
    return lead_thread(info.user, message);
}

// So that answers still to come find their thread (storage.md §11.4).
Result<void> ClusterMailStore::lead_thread(UserId user, NewMessage const& message) {
    constexpr TimeMs kept_ms = 180LL * 86'400'000;  // storage.md §4.5
    if (message.thread_refs.empty() || message.internal_date < clock_.now() - kept_ms) return {};
    Array ids;
    for (auto const& ref : message.thread_refs) ids.emplace_back(ref);
    MALLARD_TRY_ASSIGN(auto const known,
                       mongo_.find_one(Db::main, "threads", {{"_id", message.record.thread}, {"user", user}}));
    if (!known)
        return mongo_.insert(Db::main, "threads",
                             {{"_id", message.record.thread},
                              {"user", user},
                              {"ids", std::move(ids)},
                              {"subject", message.thread_subject},
                              {"updated", Date{message.internal_date}}});
    Document update{{"$addToSet", Document{{"ids", Document{{"$each", std::move(ids)}}}}}};
    if (known->date("updated").value_or(0) < message.internal_date)
        update.set("$set", Document{{"updated", Date{message.internal_date}}});
    MALLARD_TRY(
        mongo_.write(Db::main, "threads", {.filter = {{"_id", message.record.thread}}, .document = std::move(update)}));
    return {};
}

Result<void> ClusterMailStore::restore_changes(MailboxId id, std::span<RestoredFlags const> flags,
                                               UidSet const& vanished) {
    Forgetting const forgetting(open_.get(id));
    if (!flags.empty()) {
        ModSeq modseq_last = 0;
        for (auto const& restored : flags) modseq_last = std::max(modseq_last, restored.modseq);
        MALLARD_TRY(raise_marks(mongo_, id, 0, modseq_last));
        MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "messages", flag_writes(id, flags)));
        if (!written.failures.empty()) return std::unexpected(written.failures.front().error);
    }
    for (auto const& range : vanished.ranges())
        MALLARD_TRY(remove_all(
            id, false, {{"uid", Document{{"$gte", bson::number(range.first)}, {"$lte", bson::number(range.last)}}}}));
    return {};
}

Result<void> ClusterMailStore::restore_marks(MailboxId id, Uid uid_next, ModSeq highest_modseq) {
    Forgetting const forgetting(open_.get(id));
    MALLARD_TRY(raise_marks(mongo_, id, uid_next, highest_modseq));
    MALLARD_TRY(mongo_.erase(Db::main, "journal", {{"mailbox", id}}, true));
    (void)redis_.command({"DEL", "total:" + id.hex(), "unseen:" + id.hex()});
    return {};
}

Result<void> ClusterMailStore::recount_storage(UserId user) {
    MALLARD_TRY_ASSIGN(auto const used, summed_storage(user));
    MALLARD_TRY(mongo_.write(
        Db::users, "users",
        {.filter = {{"_id", user}}, .document = {{"$set", Document{{"storageUsed", bson::number(used)}}}}}));
    return {};
}

}  // namespace mallard::store::cluster
