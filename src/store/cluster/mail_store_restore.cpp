// Restoring a mailbox as it was on another engine. No journal is written: what a mailbox's journal does not reach back
// to is told from the UIDs that are not there (vanished_since).

#include <algorithm>
#include <map>
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
    std::vector<RestoredMessage const*> missing;
    for (auto const& restored : messages)
        if (!there.contains(restored.uid)) missing.push_back(&restored);
    MALLARD_TRY(insert_restored(*info, missing));
    return lead_threads(info->user, missing);
}

Result<ClusterMailStore::Stored> ClusterMailStore::restored_content(MailboxInfo const& info,
                                                                    RestoredMessage const& restored) {
    NewMessage message = restored.message;
    mime::Entity parsed;
    if (!message.tree) {
        parsed = mime::parse(message.source);
        message.tree = &parsed;
    }
    MALLARD_TRY_ASSIGN(Stored stored, store_content(info.user, message));
    Document& document = stored.document;
    set_mailbox(document, info, restored.id.seconds() * 1000);  // retention counts from when it came in
    document.set("_id", restored.id);
    document.set("root", restored.id);
    document.set("uid", bson::number(restored.uid));
    document.set("modseq", bson::number(static_cast<std::int64_t>(restored.modseq)));
    document.set("thread", message.record.thread);
    set_flags(document, message.flags);
    return stored;
}

// The messages in one request, their stored bodies before.
Result<void> ClusterMailStore::insert_restored(MailboxInfo const& info,
                                               std::vector<RestoredMessage const*> const& messages) {
    std::vector<Stored> contents;
    std::vector<Write> inserts;
    auto const undo_all = [&] {
        for (auto const& content : contents) undo_content(content, info.user);
    };
    for (auto const* restored : messages) {
        auto content = restored_content(info, *restored);
        if (!content) {
            undo_all();
            return std::unexpected(content.error());
        }
        inserts.push_back({.kind = Write::Kind::insert, .filter = {}, .document = std::move(content->document)});
        contents.push_back(std::move(*content));
    }
    auto const written = mongo_.bulk(Db::main, "messages", inserts, false);
    if (!written) {  // of a write that may have happened nothing is taken back
        if (written.error().kind != ErrorKind::unavailable) undo_all();
        return std::unexpected(written.error());
    }
    for (auto const& failure : written->failures) undo_content(contents[failure.index], info.user);
    if (!written->failures.empty()) return std::unexpected(written->failures.front().error);
    return {};
}

// So that answers still to come find their threads (storage.md §11.4).
Result<void> ClusterMailStore::lead_threads(UserId user, std::vector<RestoredMessage const*> const& messages) {
    constexpr TimeMs kept_ms = 180LL * 86'400'000;  // storage.md §4.5
    struct Led {
        std::set<std::string> refs;
        std::string subject;
        TimeMs updated = 0;
    };
    std::map<ThreadId, Led> threads;
    for (auto const* restored : messages) {
        NewMessage const& message = restored->message;
        if (message.thread_refs.empty() || message.internal_date < clock_.now() - kept_ms) continue;
        Led& led = threads[message.record.thread];
        led.refs.insert(message.thread_refs.begin(), message.thread_refs.end());
        if (led.subject.empty()) led.subject = message.thread_subject;
        led.updated = std::max(led.updated, message.internal_date);
    }
    if (threads.empty()) return {};
    Array ids;
    for (auto const& [id, led] : threads) ids.emplace_back(id);
    std::map<ObjectId, TimeMs> known;
    MALLARD_TRY(mongo_.find_each(Db::main, "threads", {{"user", user}, {"_id", Document{{"$in", std::move(ids)}}}},
                                 {.projection = {{"updated", 1}}}, [&](Document thread) {
                                     known[thread.id("_id").value_or(ObjectId{})] = thread.date("updated").value_or(0);
                                     return true;
                                 }));
    std::vector<Write> writes;
    for (auto const& [id, led] : threads) {
        Array refs(led.refs.begin(), led.refs.end());
        auto const at = known.find(id);
        if (at == known.end()) {
            writes.push_back({.kind = Write::Kind::insert,
                              .filter = {},
                              .document = {{"_id", id},
                                           {"user", user},
                                           {"ids", std::move(refs)},
                                           {"subject", led.subject},
                                           {"updated", Date{led.updated}}}});
            continue;
        }
        Document update{{"$addToSet", Document{{"ids", Document{{"$each", std::move(refs)}}}}}};
        if (at->second < led.updated) update.set("$set", Document{{"updated", Date{led.updated}}});
        writes.push_back({.filter = {{"_id", id}}, .document = std::move(update)});
    }
    MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "threads", writes, false));
    for (auto const& failure : written.failures)
        if (failure.error.kind != ErrorKind::already_exists) return std::unexpected(failure.error);
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
    MALLARD_TRY_ASSIGN(auto const used, octets_of(mongo_, user));
    MALLARD_TRY(mongo_.write(
        Db::users, "users",
        {.filter = {{"_id", user}}, .document = {{"$set", Document{{"storageUsed", bson::number(used)}}}}}));
    return {};
}

}  // namespace mallard::store::cluster
