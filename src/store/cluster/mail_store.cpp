// Mailboxes and what all operations share.
#include "store/cluster/mail_store.hpp"

#include <algorithm>

#include "store/cluster/journal_entries.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Date;
using bson::Document;

constexpr std::int32_t mailbox_time_max_ms = 3'000;  // §1

Document mailbox_document(MailboxInfo const& info) {
    Document out{{"_id", info.id}, {"path", info.path}};
    out.set("specialUse", info.special_use.empty() ? bson::Value() : bson::Value(info.special_use));
    out.set("uidValidity", bson::number(info.uid_validity));
    out.set("uidNext", 1);
    out.set("modifyIndex", 1);
    out.set("subscribed", info.subscribed);
    out.set("flags", Array{});
    out.set("user", info.user);
    out.set("retention", bson::number(info.retention_ms));
    if (info.hidden) out.set("hidden", true);
    if (info.encrypt_messages) out.set("encryptMessages", true);
    return out;
}

std::string_view command_of(Event::Kind kind) {
    switch (kind) {
        case Event::Kind::mailbox_created: return "CREATE";
        case Event::Kind::mailbox_renamed: return "RENAME";
        case Event::Kind::mailbox_deleted: return "DELETE";
        case Event::Kind::mailbox_changed:
        case Event::Kind::logout: break;
    }
    return {};
}

}  // namespace

ClusterMailStore::ClusterMailStore(MongoClient& mongo, RedisClient& redis, Events& events, ChangeSignals* signals,
                                   Clock const& clock, DeriveRecord derive, std::chrono::milliseconds calm)
    : mongo_(mongo),
      redis_(redis),
      events_(events),
      clock_(clock),
      derive_(std::move(derive)),
      calm_(calm),
      attachments_(mongo, clock),
      open_(mongo, clock, signals) {}

Result<MailboxInfo> ClusterMailStore::create_mailbox(MailboxInfo info) {
    if (info.id.is_nil()) info.id = MailboxId::generate();
    if (info.uid_validity == 0) info.uid_validity = static_cast<std::uint32_t>(clock_.now() / 1000);
    // Others deliver to it as soon as it is there.
    MALLARD_TRY(mongo_.insert(Db::main, "mailboxes", mailbox_document(info), [](auto const&) { return true; }));
    open_.note_owner(info.id, info.user);
    MALLARD_TRY(write_journal({mailbox_entry(info, command_of(Event::Kind::mailbox_created), 1, true)}));
    announce(info, Event::Kind::mailbox_created);
    return info;
}

Result<std::vector<MailboxInfo>> ClusterMailStore::create_mailboxes(std::vector<MailboxInfo> infos) {
    std::vector<MailboxInfo> created;
    for (auto& info : infos) {
        auto one = create_mailbox(std::move(info));
        if (!one) {  // all or none: what was made for this call goes again
            for (auto const& made : created) (void)delete_mailbox(made.id);
            return std::unexpected(std::move(one).error());
        }
        created.push_back(std::move(*one));
    }
    return created;
}

Result<std::vector<MailboxInfo>> ClusterMailStore::mailboxes(UserId user) const {
    MALLARD_TRY_ASSIGN(auto const found,
                       mongo_.find(Db::main, "mailboxes", {{"user", user}}, {.max_time_ms = mailbox_time_max_ms}));
    std::vector<MailboxInfo> infos;
    infos.reserve(found.size());
    for (auto const& one : found) infos.push_back(open_.heard(one));
    return infos;
}

Result<std::optional<MailboxInfo>> ClusterMailStore::mailbox(MailboxId id) const {
    MALLARD_TRY_ASSIGN(auto const found, mongo_.find_one(Db::main, "mailboxes", {{"_id", id}}));
    if (!found) return std::nullopt;
    return open_.heard(*found);
}

Result<std::optional<MailboxInfo>> ClusterMailStore::find_mailbox(UserId user, std::string_view path) const {
    MALLARD_TRY_ASSIGN(auto const found, mongo_.find_one(Db::main, "mailboxes", {{"user", user}, {"path", path}}));
    if (!found) return std::nullopt;
    return open_.heard(*found);
}

Result<MailboxInfo> ClusterMailStore::update_mailbox(MailboxId id, MailboxPatch const& patch) {
    Document set;
    if (patch.path) set.set("path", *patch.path);
    if (patch.subscribed) set.set("subscribed", *patch.subscribed);
    if (patch.hidden) set.set("hidden", *patch.hidden);
    if (patch.encrypt_messages) set.set("encryptMessages", *patch.encrypt_messages);
    if (patch.retention_ms) set.set("retention", bson::number(*patch.retention_ms));
    if (patch.special_use)
        set.set("specialUse", patch.special_use->empty() ? bson::Value() : bson::Value(*patch.special_use));
    if (set.empty()) {
        MALLARD_TRY_ASSIGN(auto const found, mailbox(id));
        if (!found) return fail(ErrorKind::not_found, "there is no such mailbox");
        return *found;
    }
    Document update{{"$set", set}};
    if (patch.retention_ms) update.set("$inc", Document{{"retentionCounter", 1}});
    auto const changed =
        mongo_.find_and_modify(Db::main, "mailboxes", {.filter = {{"_id", id}}, .update = update, .give_new = true});
    if (!changed && patch.path) {  // not every server says that it was the unique index
        MALLARD_TRY_ASSIGN(auto const own, mailbox(id));
        if (!own) return fail(ErrorKind::not_found, "there is no such mailbox");
        MALLARD_TRY_ASSIGN(auto const taken, find_mailbox(own->user, *patch.path));
        if (taken && taken->id != id) return fail(ErrorKind::already_exists, "there is a mailbox of this name");
    }
    if (!changed) return std::unexpected(changed.error());
    auto const& after = *changed;
    if (!after) return fail(ErrorKind::not_found, "there is no such mailbox");
    MailboxInfo info = mailbox_info(*after);
    {
        auto const box = open_.get(id);
        std::lock_guard const lock(box->mutex);
        box->stale();
    }
    if (patch.retention_ms) MALLARD_TRY(apply_retention(info));
    if (patch.path)
        MALLARD_TRY(write_journal({mailbox_entry(info, command_of(Event::Kind::mailbox_renamed),
                                                 static_cast<ModSeq>(after->integer("modifyIndex")), true)}));
    announce(info, patch.path ? Event::Kind::mailbox_renamed : Event::Kind::mailbox_changed);
    return info;
}

Result<void> ClusterMailStore::delete_mailbox(MailboxId id) { return drop_mailbox(id, true); }

Result<void> ClusterMailStore::delete_user(UserId user) {
    MALLARD_TRY_ASSIGN(auto const all, mailboxes(user));
    for (auto const& info : all)
        if (auto done = drop_mailbox(info.id, false); !done && done.error().kind != ErrorKind::not_found) return done;
    return {};
}

Result<void> ClusterMailStore::drop_mailbox(MailboxId id, bool archived) {
    auto const box = open_.get(id);
    std::lock_guard const lock(box->mutex);
    MALLARD_TRY_ASSIGN(auto const before,
                       mongo_.find_and_modify(Db::main, "mailboxes", {.filter = {{"_id", id}}, .remove = true}));
    if (!before) return fail(ErrorKind::not_found, "there is no such mailbox");
    MailboxInfo const info = mailbox_info(*before);
    box->index = nullptr;
    open_.forget(id);
    // Should this process end now, any collector of expired messages goes on (§4.1, §17.3).
    Document marks{{"exp", true}, {"rdate", static_cast<double>(clock_.now() - 24LL * 3'600'000)}};
    if (!archived) marks.set("userDeleted", true);
    MALLARD_TRY(mongo_.write(
        Db::main, "messages",
        {.kind = Write::Kind::update_many, .filter = {{"mailbox", id}}, .document = {{"$set", std::move(marks)}}}));
    MALLARD_TRY(write_journal({mailbox_entry(info, command_of(Event::Kind::mailbox_deleted),
                                             static_cast<ModSeq>(before->integer("modifyIndex")), false)}));
    (void)redis_.command({"DEL", "total:" + id.hex(), "unseen:" + id.hex()});
    MALLARD_TRY(remove_all(id, archived));
    announce(info, Event::Kind::mailbox_deleted);
    return {};
}

Result<void> ClusterMailStore::count_references(std::vector<Document> const& messages, int times) {
    Attachments::References references;
    for (auto const& message : messages)
        for (auto const& [digest, uses] : digests_of(message)) {
            auto& one = references[digest];
            one.times += uses * times;
            one.magics += uses * times * message.integer("magic");
        }
    return attachments_.count(references);
}

Result<void> ClusterMailStore::add_storage(UserId user, std::int64_t by, std::optional<std::int64_t> most) {
    if (by == 0) return {};
    Document const update{{"$inc", Document{{"storageUsed", bson::number(by)}}}};
    if (!most) {
        MALLARD_TRY(mongo_.write(Db::users, "users", {.filter = {{"_id", user}}, .document = update}));
        return {};
    }
    // The answer tells what there is now: nothing need be asked for ahead.
    MALLARD_TRY_ASSIGN(
        auto const after,
        mongo_.find_and_modify(
            Db::users, "users",
            {.filter = {{"_id", user}}, .update = update, .projection = {{"storageUsed", 1}}, .give_new = true}));
    if (after) {
        if (std::max(by, after->integer("storageUsed")) <= *most) return {};
        (void)add_storage(user, -by);  // should this fail, the counter is too high, which a check mends
        return std::unexpected(storage_full());
    }
    MALLARD_TRY_ASSIGN(auto const used, storage_used(user));
    if (used + by > *most) return std::unexpected(storage_full());
    return {};
}

Result<std::int64_t> ClusterMailStore::storage_used(UserId user) const {
    MALLARD_TRY_ASSIGN(auto const found,
                       mongo_.find_one(Db::users, "users", {{"_id", user}}, {.projection = {{"storageUsed", 1}}}));
    if (found) return storage_used_by(*found);
    return octets_of(mongo_, user);  // nobody counts for who is no user (yet) (§13)
}

Result<std::int64_t> octets_of(MongoClient const& mongo, ObjectId user) {
    MALLARD_TRY_ASSIGN(
        auto const sums,
        mongo.aggregate(
            Db::main, "messages",
            {Document{{"$match", Document{{"user", user}}}},
             Document{{"$group", Document{{"_id", bson::Null{}}, {"used", Document{{"$sum", "$size"}}}}}}}));
    return sums.empty() ? 0 : std::max<std::int64_t>(0, sums.front().integer("used"));
}

Result<std::int64_t> ClusterMailStore::storage_used_by(Document const& user) const {
    return std::max<std::int64_t>(0, user.integer("storageUsed"));
}

Result<UserId> ClusterMailStore::owner_of(MailboxId id) const {
    if (auto const known = open_.owner(id)) return *known;
    MALLARD_TRY_ASSIGN(auto const found, mailbox(id));
    if (!found) return fail(ErrorKind::not_found, "there is no such mailbox");
    return found->user;
}

Result<Document> ClusterMailStore::bump(Document which, std::int64_t uids, std::int64_t modseqs,
                                        std::vector<std::string> const& keywords) {
    Document by;
    if (uids) by.set("uidNext", bson::number(uids));
    by.set("modifyIndex", bson::number(modseqs));
    Document update{{"$inc", std::move(by)}};
    if (!keywords.empty()) {
        Array names;
        for (auto const& keyword : keywords) names.emplace_back(keyword);
        update.set("$addToSet", Document{{"flags", Document{{"$each", std::move(names)}}}});
    }
    // Asked for as it is after the change: not every server gives the one right before it.
    MALLARD_TRY_ASSIGN(auto mailbox, mongo_.find_and_modify(
                                         Db::main, "mailboxes",
                                         {.filter = std::move(which), .update = std::move(update), .give_new = true}));
    if (!mailbox) return fail(ErrorKind::not_found, "there is no such mailbox");
    mailbox->set("uidNext", bson::number(mailbox->integer("uidNext", 1 + uids) - uids));
    mailbox->set("modifyIndex", bson::number(mailbox->integer("modifyIndex", 1 + modseqs) - modseqs));
    return std::move(*mailbox);
}

Result<void> ClusterMailStore::write_journal(std::vector<Document> entries) {
    std::vector<Write> writes;
    std::map<ObjectId, CounterChange> counters;
    writes.reserve(entries.size());
    Date const now{clock_.now()};
    for (auto& entry : entries) {
        entry.set("_id", ObjectId::generate());
        entry.set("created", now);
        if (auto const mailbox = entry.id("mailbox")) count_entry(entry, counters[*mailbox]);
        writes.push_back({.kind = Write::Kind::insert, .document = std::move(entry)});
    }
    if (writes.empty()) return {};
    auto const written = mongo_.bulk(Db::main, "journal", writes, false);
    for (auto const& [mailbox, change] : counters) adjust_counters(redis_, MailboxId(mailbox), change);
    if (!written) return std::unexpected(written.error());
    return {};
}

void ClusterMailStore::announce(MailboxInfo const& info, Event::Kind kind) {
    events_.publish({.kind = kind, .user = info.user, .mailbox = info.id});
}

Result<Snapshot> ClusterMailStore::snapshot(MailboxId id) {
    auto const box = open_.get(id);
    std::lock_guard const lock(box->mutex);
    return open_.current(*box);
}

}  // namespace mallard::store::cluster
