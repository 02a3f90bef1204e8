// Flags change: each message by operators of its own, so that no process undoes what another did to other flags of it.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "base/encoding.hpp"
#include "store/cluster/journal_entries.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Document;

constexpr std::size_t uids_per_filter = 1'000;
constexpr std::size_t single_writes_max = 16;   // by _id, which the driver can repeat; more go by UID, many at once
constexpr std::size_t mailbox_flags_max = 100;  // storage.md §4.1
constexpr int attempts_max = 12;
constexpr std::chrono::milliseconds retry_pause{20};

using Targets = std::vector<Row>;                // ascending by UID
using Messages = std::map<Uid, bson::Document>;  // of change_flags: what it has written

bool has(Flags const& flags, std::string_view keyword) {
    return std::ranges::find(flags.keywords, keyword) != flags.keywords.end();
}

bool changes(Flags const& before, FlagMode mode, Flags const& by) {
    switch (mode) {
        case FlagMode::set:
            return before.system != by.system || before.keywords.size() != by.keywords.size() ||
                   !std::ranges::all_of(by.keywords, [&](auto const& keyword) { return has(before, keyword); });
        case FlagMode::add:
            return (by.system & ~before.system) != 0 ||
                   !std::ranges::all_of(by.keywords, [&](auto const& keyword) { return has(before, keyword); });
        case FlagMode::remove:
            return (by.system & before.system) != 0 ||
                   std::ranges::any_of(by.keywords, [&](auto const& keyword) { return has(before, keyword); });
    }
    return false;
}

// The rows that become different; with them those that are `done`, for all shall share one modseq.
Targets targets_of(MailboxIndex const& index, UidSet const& uids, FlagChange const& change, Flags const& by,
                   Messages const& done, UidSet& modified) {
    Targets targets;
    bool any = false;
    index.for_uids(uids, [&](std::uint32_t, Row const& row) {
        bool const again = done.contains(row.uid);
        if (!again && change.unchanged_since && row.modseq > *change.unchanged_since) {
            modified.add(row.uid);
            return;
        }
        bool const differs = changes(index.flags(row), change.mode, by);
        any = any || differs;
        if (differs || again) targets.push_back(row);
    });
    if (!any) targets.clear();
    return targets;
}

// Keywords that the mailbox's document does not list yet, as long as it may.
std::vector<std::string> unlisted(OpenMailbox const& box, FlagMode mode, Flags const& by) {
    std::vector<std::string> out;
    if (mode == FlagMode::remove) return out;
    constexpr std::size_t system_flags = 5;
    for (auto const& keyword : by.keywords)
        if (system_flags + box.keywords.size() + out.size() < mailbox_flags_max &&
            std::ranges::none_of(box.keywords, [&](auto const& name) { return iequals(name, keyword); }))
            out.push_back(keyword);
    return out;
}

Document flag_update(MailboxInfo const& info, FlagMode mode, Flags const& by, ModSeq modseq) {  // §11.5
    Document set, unset, out;
    bool const adds = mode != FlagMode::remove;
    if (mode == FlagMode::set) {
        set.set("flags", flag_array(by));
        for (auto const& [key, value] : flag_mirrors(by.system).fields()) set.set(key, value);
    } else {
        if (by.system & seen) set.set("unseen", !adds);
        if (by.system & flagged) set.set("flagged", adds);
        if (by.system & deleted) set.set("undeleted", !adds);
        if (by.system & draft) set.set("draft", adds);
        if (adds) out.set("$addToSet", Document{{"flags", Document{{"$each", flag_array(by)}}}});
        if (!adds) out.set("$pullAll", Document{{"flags", flag_array(by)}});
    }
    bool const hidden = info.special_use == "\\Junk" || info.special_use == "\\Trash";
    if (adds && (by.system & deleted)) unset.set("searchable", true);
    if (mode == FlagMode::set && !(by.system & deleted)) set.set("searchable", true);
    if (!adds && (by.system & deleted) && !hidden) set.set("searchable", true);
    set.set("modseq", modseq_value(modseq));
    out.set("$set", std::move(set));
    if (!unset.empty()) out.set("$unset", std::move(unset));
    return out;
}

// Only messages that no later modseq has reached; what is not `done` yet also only if it has not changed after `since`.
std::vector<Write> flag_writes(MailboxId mailbox, Targets const& targets, Document const& update, ModSeq modseq,
                               std::optional<ModSeq> since, Messages const& done) {
    std::vector<Write> writes;
    auto const below = [&](Row const& row) {
        return since && !done.contains(row.uid) ? std::min(modseq, *since + 1) : modseq;
    };
    auto const bound = [](ModSeq modseq) { return Document{{"$lt", modseq_value(modseq)}}; };
    if (targets.size() <= single_writes_max) {
        for (Row const& row : targets)
            writes.push_back({.filter = {{"_id", row.id},
                                         {"mailbox", mailbox},
                                         {"uid", bson::number(row.uid)},
                                         {"modseq", bound(below(row))}},
                              .document = update});
        return writes;
    }
    std::map<ModSeq, Array> by_bound;  // two at most
    for (Row const& row : targets) by_bound[below(row)].push_back(bson::number(row.uid));
    for (auto const& [limit, uids] : by_bound)
        for (std::size_t at = 0; at < uids.size(); at += uids_per_filter) {
            Array some(uids.begin() + static_cast<std::ptrdiff_t>(at),
                       uids.begin() + static_cast<std::ptrdiff_t>(std::min(uids.size(), at + uids_per_filter)));
            writes.push_back({.kind = Write::Kind::update_many,
                              .filter = {{"mailbox", mailbox},
                                         {"uid", Document{{"$in", std::move(some)}}},
                                         {"modseq", bound(limit)}},
                              .document = update});
        }
    return writes;
}

// Not all targets were written, and some messages carry a later modseq of another process: it came first, and ours had
// no effect, or it came after ours. A message that is as it was wanted counts as written. Not in a conditional change:
// of two processes that both add $Locked one at most may believe that it was it (RFC 7162 §3.1.3).
void drop_unwritten(Messages& messages, ModSeq modseq, FlagChange const& change, Flags const& by) {
    std::erase_if(messages, [&](auto const& entry) {
        bool const later = entry.second.integer("modseq") != static_cast<std::int64_t>(modseq);
        return later && (change.unchanged_since || changes(own_flags(entry.second), change.mode, by));
    });
}

// Removed flags that are still there, spelled in another way.
Array left_over(std::vector<Document> const& messages, Flags const& by) {
    Array out;
    for (auto const& message : messages)
        if (auto const* flags = message.array("flags"))
            for (auto const& flag : *flags) {
                auto const* name = flag.as<std::string>();
                if (!name || std::ranges::find(out, flag) != out.end()) continue;
                if ((system_flag(*name) & by.system) ||
                    std::ranges::any_of(by.keywords, [&](auto const& keyword) { return iequals(keyword, *name); }))
                    out.push_back(flag);
            }
    return out;
}

void erase_flags(Document& message, Array const& names) {
    Array kept;
    if (auto const* flags = message.array("flags"))
        for (auto const& flag : *flags)
            if (std::ranges::find(names, flag) == names.end()) kept.push_back(flag);
    message.set("flags", std::move(kept));
}

}  // namespace

// The targets that carry `modseq` or a later one now.
Result<std::map<Uid, Document>> ClusterMailStore::stamped(MailboxId id, std::vector<Row> const& targets, ModSeq modseq,
                                                          Flags const* removed) {
    Document const ours{{"mailbox", id}, {"modseq", modseq_value(modseq)}};
    Document filter{{"mailbox", id}, {"modseq", Document{{"$gte", modseq_value(modseq)}}}};
    if (targets.size() == 1) filter.set("_id", targets.front().id);
    Document projection = row_projection();
    for (std::string_view key : {"mailbox", "user", "thread"}) projection.set(key, 1);
    MALLARD_TRY_ASSIGN(auto messages,
                       mongo_.find(Db::main, "messages", filter,
                                   {.projection = projection, .batch = static_cast<std::int32_t>(targets.size() + 1)}));
    std::erase_if(messages, [&](auto const& message) {
        return !std::ranges::binary_search(targets, static_cast<Uid>(message.integer("uid")), {}, &Row::uid);
    });
    if (Array const others = removed ? left_over(messages, *removed) : Array{}; !others.empty()) {
        MALLARD_TRY(mongo_.write(Db::main, "messages",
                                 {.kind = Write::Kind::update_many,
                                  .filter = ours,
                                  .document = {{"$pullAll", Document{{"flags", others}}}}}));
        for (auto& message : messages)
            if (message.integer("modseq") == static_cast<std::int64_t>(modseq)) erase_flags(message, others);
    }
    std::map<Uid, Document> out;
    for (auto& message : messages) out.insert_or_assign(static_cast<Uid>(message.integer("uid")), std::move(message));
    return out;
}

Result<FlagsChanged> ClusterMailStore::change_flags(MailboxId id, UidSet const& uids, FlagChange const& change) {
    auto const box = open_.get(id);
    std::unique_lock lock(box->mutex);
    MALLARD_TRY_ASSIGN(Snapshot const before, open_.current(*box));
    std::map<Uid, Document> done;
    auto result = write_flags(*box, uids, change, done);
    if (!result) box->stale();  // something may have been written all the same
    if (!result) return result;
    std::vector<Document> entries;
    for (auto const& [uid, message] : done) {
        result->changed.add(uid);
        auto const n = before->find(uid);
        bool const was_seen = n && (before->row(*n).system & seen);
        entries.push_back(fetch_entry(message, was_seen != ((own_flags(message).system & seen) != 0)));
        entries.back().set("modseq", modseq_value(result->modseq));
    }
    MailboxInfo const info = box->index->info;
    lock.unlock();
    if (entries.empty()) return result;
    (void)write_journal(std::move(entries));
    announce(info);
    return result;
}

Result<FlagsChanged> ClusterMailStore::write_flags(OpenMailbox& box, UidSet const& uids, FlagChange const& change,
                                                   std::map<Uid, Document>& done) {
    FlagsChanged result;
    bool looked = false;
    bool const limited = change.mode != FlagMode::remove;
    for (int attempt = 0;;) {
        MALLARD_TRY_ASSIGN(Flags by, spelled(box, change.flags, limited));
        result.modified = {};
        Targets targets = targets_of(*box.index, uids, change, by, done, result.modified);
        if (targets.empty() && !looked) {  // that nothing is to be done, the database must say
            looked = true;
            MALLARD_TRY(open_.refresh(box));
            continue;
        }
        if (targets.empty()) break;
        if (++attempt > attempts_max)
            return fail(ErrorKind::unavailable, "The mailbox is busy, try again later", "flags changed too often");
        MALLARD_TRY_ASSIGN(auto const before, bump({{"_id", box.id}}, 0, 1, unlisted(box, change.mode, by)));
        ModSeq const known = box.newest, modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
        if (known + 1 != modseq) {  // others were here
            looked = true;
            MALLARD_TRY(open_.catch_up(box, before));
            MALLARD_TRY_ASSIGN(by, spelled(box, change.flags, limited));
            result.modified = {};
            targets = targets_of(*box.index, uids, change, by, done, result.modified);
            if (targets.empty()) box.note(modseq);
            if (targets.empty()) break;
        }
        MALLARD_TRY_ASSIGN(
            auto const written,
            mongo_.bulk(Db::main, "messages",
                        flag_writes(box.id, targets, flag_update(box.index->info, change.mode, by, modseq), modseq,
                                    change.unchanged_since, done),
                        false));
        if (!written.failures.empty()) return std::unexpected(written.failures.front().error);
        MALLARD_TRY_ASSIGN(Messages now,
                           stamped(box.id, targets, modseq, change.mode == FlagMode::remove ? &by : nullptr));
        if (written.matched != static_cast<std::int64_t>(targets.size())) drop_unwritten(now, modseq, change, by);
        MailboxIndex numbered;
        numbered.keywords = box.index->keywords;
        IndexDelta delta;
        for (auto const& [uid, message] : now) delta.rows.emplace(uid, row_of(message, numbered));
        box.apply(std::move(numbered), std::move(delta), modseq, before);
        if (!now.empty()) result.modseq = modseq;
        bool const all = now.size() == targets.size();
        for (auto& [uid, message] : now) done.insert_or_assign(uid, std::move(message));
        if (all) break;
        // Who is being moved away is gone before its entry is in the journal.
        std::this_thread::sleep_for(retry_pause * attempt);
        // Some are gone, or were changed by another process after it took a later modseq: what is there now?
        looked = true;
        MALLARD_TRY(open_.refresh(box));
        std::erase_if(done, [&](auto const& entry) { return !box.index->find(entry.first); });
    }
    if (done.empty()) result.modseq = 0;
    return result;
}

}  // namespace mallard::store::cluster
