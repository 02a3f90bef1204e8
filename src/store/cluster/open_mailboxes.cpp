#include "store/cluster/open_mailboxes.hpp"

#include <algorithm>

namespace mallard::store::cluster {

namespace {

using bson::Document;

constexpr TimeMs in_flight_ms = 60'000;  // longer takes no change between its modseq and its write
constexpr ModSeq load_overlap = 64;      // modseqs below the newest that may be in flight when a mailbox is loaded
constexpr std::size_t boxes_max = 20'000;

Document above(MailboxId id, ModSeq modseq) {
    return {{"mailbox", id}, {"modseq", Document{{"$gt", bson::number(static_cast<std::int64_t>(modseq))}}}};
}

ModSeq modseq_of(Document const& document, std::string_view key) {
    return static_cast<ModSeq>(std::max<std::int64_t>(0, document.integer(key)));
}

}  // namespace

MailboxInfo mailbox_info(Document const& mailbox) {
    MailboxInfo info;
    if (auto const id = mailbox.id("_id")) info.id = MailboxId(*id);
    if (auto const user = mailbox.id("user")) info.user = UserId(*user);
    info.path = mailbox.text("path");
    info.special_use = mailbox.text("specialUse");
    info.uid_validity = static_cast<std::uint32_t>(mailbox.integer("uidValidity"));
    info.subscribed = mailbox.boolean("subscribed", true);
    info.hidden = mailbox.boolean("hidden");
    info.encrypt_messages = mailbox.boolean("encryptMessages");
    info.retention_ms = mailbox.integer("retention");
    return info;
}

Document row_projection() {
    return {{"_id", 1}, {"uid", 1}, {"modseq", 1}, {"flags", 1}, {"size", 1}, {"mallardSize", 1}, {"idate", 1}};
}

Row row_of(Document const& message, MailboxIndex& index) {
    Row row;
    row.uid = static_cast<Uid>(message.integer("uid"));
    row.modseq = modseq_of(message, "modseq");
    if (auto const id = message.id("_id")) row.id = MessageId(*id);
    auto const* exact = message.find("mallardSize");
    row.size = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, message.integer(exact && !exact->is_null() ? "mallardSize" : "size")));
    row.internal_date = message.date("idate").value_or(0) / 1000 * 1000;
    if (auto const* flags = message.array("flags"))
        for (auto const& flag : *flags) {
            auto const* name = flag.as<std::string>();
            if (!name) continue;
            if (auto const bit = system_flag(*name))
                row.system |= bit;
            else if (auto const number = keyword_number(index, *name))
                row.keywords.set(*number);
        }
    return row;
}

void OpenMailbox::note(ModSeq modseq) {
    newest = std::max(newest, modseq);
    if (modseq > floor) found.insert(modseq);
    while (!found.empty() && *found.begin() <= floor + 1) {
        floor = std::max(floor, *found.begin());
        found.erase(found.begin());
    }
}

std::shared_ptr<OpenMailbox> OpenMailboxes::get(MailboxId id) {
    std::lock_guard const lock(mutex_);
    auto& box = boxes_[id];
    if (box) return box;
    box = std::make_shared<OpenMailbox>();
    box->id = id;
    auto result = box;
    if (boxes_.size() > boxes_max)
        std::erase_if(boxes_, [](auto const& entry) { return entry.second.use_count() == 1; });
    return result;
}

void OpenMailboxes::forget(MailboxId id) {
    std::lock_guard const lock(mutex_);
    boxes_.erase(id);
}

Result<Snapshot> OpenMailboxes::refresh(OpenMailbox& box) const {
    MALLARD_TRY_ASSIGN(auto const mailbox, mongo_.find_one(Db::main, "mailboxes", {{"_id", box.id}}));
    if (!mailbox) {
        box.index = nullptr;
        return fail(ErrorKind::not_found, "there is no such mailbox");
    }
    ModSeq const newest = modseq_of(*mailbox, "modifyIndex");
    if (!box.index) {
        MALLARD_TRY(load(box, *mailbox));
    } else if (newest > box.newest || !box.settled()) {
        MALLARD_TRY(update(box, *mailbox));
    }
    MailboxInfo info = mailbox_info(*mailbox);
    auto const uid_next = static_cast<Uid>(mailbox->integer("uidNext", 1));
    MailboxInfo const& known = box.index->info;
    if (info.path != known.path || info.special_use != known.special_use || info.subscribed != known.subscribed ||
        info.hidden != known.hidden || info.retention_ms != known.retention_ms || uid_next > box.index->uid_next) {
        auto next = std::make_shared<MailboxIndex>(*box.index);
        next->info = std::move(info);
        next->uid_next = std::max(next->uid_next, uid_next);
        box.index = std::move(next);
    }
    return box.index;
}

Result<void> OpenMailboxes::load(OpenMailbox& box, Document const& mailbox) const {
    MailboxIndex empty;
    IndexDelta delta;
    MALLARD_TRY(mongo_.find_each(Db::main, "messages", {{"mailbox", box.id}},
                                 {.projection = row_projection(), .sort = {{"uid", 1}}}, [&](Document message) {
                                     Row const row = row_of(message, empty);
                                     delta.rows.insert_or_assign(row.uid, row);
                                     return true;
                                 }));
    auto index = merge(empty, delta);
    index->info = mailbox_info(mailbox);
    index->uid_next = static_cast<Uid>(mailbox.integer("uidNext", 1));
    ModSeq const newest = modseq_of(mailbox, "modifyIndex");
    index->highest_modseq = newest;
    for (auto const& [uid, row] : delta.rows) index->highest_modseq = std::max(index->highest_modseq, row.modseq);
    box.floor = std::max<ModSeq>(1, newest > load_overlap ? newest - load_overlap : 0);  // 1: a mailbox's first
    box.found.clear();
    box.newest = newest;
    for (auto const& [uid, row] : delta.rows) box.note(row.modseq);
    box.first_seen = clock_.now();
    box.index = std::move(index);
    return {};
}

Result<void> OpenMailboxes::update(OpenMailbox& box, Document const& mailbox) const {
    ModSeq const newest = modseq_of(mailbox, "modifyIndex");
    if (newest > box.newest) {
        box.newest = newest;
        box.first_seen = clock_.now();
    }
    MailboxIndex keywords;
    keywords.keywords = box.index->keywords;
    IndexDelta delta;
    std::vector<ModSeq> found;
    MALLARD_TRY(mongo_.find_each(Db::main, "journal", above(box.id, box.floor),
                                 {.projection = {{"command", 1}, {"uid", 1}, {"modseq", 1}}}, [&](Document entry) {
                                     found.push_back(modseq_of(entry, "modseq"));
                                     if (entry.text("command") == "EXPUNGE")
                                         delta.removed.add(static_cast<Uid>(entry.integer("uid")));
                                     return true;
                                 }));
    MALLARD_TRY(mongo_.find_each(Db::main, "messages", above(box.id, box.floor), {.projection = row_projection()},
                                 [&](Document message) {
                                     Row const row = row_of(message, keywords);
                                     found.push_back(row.modseq);
                                     delta.rows.insert_or_assign(row.uid, row);
                                     return true;
                                 }));
    for (ModSeq const modseq : found) box.note(modseq);
    // A message is read before it is removed as well: what the journal says is gone was there only before.
    for (auto const& range : delta.removed.ranges())
        delta.rows.erase(delta.rows.lower_bound(range.first), delta.rows.upper_bound(range.last));
    auto next = merge(*box.index, delta);
    next->keywords = std::move(keywords.keywords);
    next->highest_modseq = std::max(next->highest_modseq, newest);
    next->uid_next = std::max(next->uid_next, static_cast<Uid>(mailbox.integer("uidNext", 1)));
    box.index = std::move(next);
    if (box.settled()) return {};
    // A change without a trace: it is on its way, or its journal entry was lost. Then only counting tells.
    MALLARD_TRY_ASSIGN(auto const count, mongo_.count(Db::main, "messages", {{"mailbox", box.id}}));
    if (count != box.index->size()) return load(box, mailbox);
    if (clock_.now() - box.first_seen > in_flight_ms) {
        box.floor = box.newest;
        box.found.clear();
    }
    return {};
}

}  // namespace mallard::store::cluster
