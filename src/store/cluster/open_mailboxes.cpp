#include "store/cluster/open_mailboxes.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Document;

constexpr TimeMs in_flight_ms = 60'000;    // longer takes no change between its modseq and its write
constexpr ModSeq load_overlap = 64;        // modseqs that may be in flight where the journal does not say since when
constexpr TimeMs uid_missing_ms = 10'000;  // so long a message may take from its UID to being there
constexpr TimeMs unused_ms = 15 * 60'000;
constexpr std::size_t boxes_max = 20'000;
constexpr std::size_t owners_max = 200'000;

Document above(MailboxId id, ModSeq modseq) {
    return {{"mailbox", id}, {"modseq", Document{{"$gt", bson::number(static_cast<std::int64_t>(modseq))}}}};
}

ModSeq modseq_of(Document const& document, std::string_view key) {
    return static_cast<ModSeq>(std::max<std::int64_t>(0, document.integer(key)));
}

FindOptions journal_options() { return {.projection = {{"command", 1}, {"uid", 1}, {"modseq", 1}}}; }

void forget_below(UidSet& uids, Uid first) {
    UidSet kept;
    for (auto const& range : uids.ranges())
        if (range.last >= first) kept.add(std::max(range.first, first), range.last);
    uids = std::move(kept);
}

void note_keywords(OpenMailbox& box, Document const& mailbox) {
    box.keywords.clear();
    if (auto const* flags = mailbox.array("flags"))
        for (auto const& flag : *flags)
            if (auto const* name = flag.as<std::string>()) box.keywords.push_back(*name);
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
    auto const size = message.integer("size");
    auto const* exact = message.document("mallardSize");  // of that size; else another server changed the message
    row.size = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, exact && exact->integer("of", -1) == size ? exact->integer("is") : size));
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

std::vector<std::vector<Uid>> batches_of(MailboxIndex const& index, UidSet const& uids, bool only_deleted) {
    constexpr std::size_t messages_max = 150;
    constexpr std::uint64_t bytes_max = 8 * 1024 * 1024, document_bytes_max = 512 * 1024;
    std::vector<std::vector<Uid>> batches;
    std::uint64_t bytes = 0;
    index.for_uids(uids, [&](std::uint32_t, Row const& row) {
        if (only_deleted && !(row.system & deleted)) return;
        if (batches.empty() || batches.back().size() == messages_max || bytes > bytes_max) {
            batches.emplace_back();
            bytes = 0;
        }
        batches.back().push_back(row.uid);
        bytes += std::min(row.size, document_bytes_max);  // large bodies are stored apart
    });
    return batches;
}

Result<Flags> spelled(OpenMailbox const& box, Flags flags, bool limited) {
    MailboxIndex const& index = *box.index;
    std::size_t known = index.keywords.size();
    for (auto& keyword : flags.keywords) {
        if (auto const number = index.keyword(keyword)) {
            keyword = index.keywords[*number];
            continue;
        }
        ++known;
        auto const listed =
            std::ranges::find_if(box.keywords, [&](auto const& name) { return iequals(name, keyword); });
        if (listed != box.keywords.end()) keyword = *listed;
    }
    if (limited && known > keywords_max)
        return fail(ErrorKind::limit, "a mailbox holds at most " + std::to_string(keywords_max) + " keywords");
    return flags;
}

void OpenMailbox::note(ModSeq modseq) {
    newest = std::max(newest, modseq);
    if (modseq > floor) found.insert(modseq);
    while (!found.empty() && *found.begin() <= floor + 1) {
        floor = std::max(floor, *found.begin());
        found.erase(found.begin());
    }
    while (!met.empty() && met.front().modseq <= floor) met.pop_front();
}

void OpenMailbox::apply(MailboxIndex numbered, IndexDelta delta, ModSeq modseq, Document const& before) {
    bool const all_told = index->highest_modseq >= newest && modseq_of(before, "modifyIndex") == newest;
    if (modseq_of(before, "modifyIndex") != newest) stale();
    note(modseq);
    auto const fresh = delta.rows.lower_bound(tail);
    withheld.insert(fresh, delta.rows.end());
    delta.rows.erase(fresh, delta.rows.end());
    decide(tail, 0, delta);
    if (!withheld.empty()) stale();  // another's lower UID is on its way
    auto next = merge(*index, delta);
    next->keywords = std::move(numbered.keywords);
    next->highest_modseq = std::max(next->highest_modseq, all_told || settled() ? modseq : floor);
    next->uid_next = std::max(next->uid_next, tail);
    index = std::move(next);
}

void OpenMailbox::decide(Uid uid_next, TimeMs now, IndexDelta& delta) {
    if (!withheld.empty()) uid_next = std::max(uid_next, withheld.rbegin()->first + 1);
    if (now != 0 && uid_next > (met_uids.empty() ? tail : met_uids.back().uid_next))
        met_uids.push_back({uid_next, now});
    while (tail < uid_next) {
        if (auto const at = withheld.find(tail); at != withheld.end()) {
            delta.rows.insert(withheld.extract(at));
        } else if (!gone.contains(tail)) {
            bool const met = !met_uids.empty();
            if (!met || now - met_uids.front().at <= uid_missing_ms) return;
        }
        ++tail;
        while (!met_uids.empty() && met_uids.front().uid_next <= tail) met_uids.pop_front();
    }
    forget_below(gone, tail);  // of higher ones the journal may have told already
}

std::shared_ptr<OpenMailbox> OpenMailboxes::get(MailboxId id) {
    std::vector<std::shared_ptr<OpenMailbox>> unused;  // outlives the lock: they give up their watches
    std::lock_guard const lock(mutex_);
    TimeMs const now = clock_.now();
    auto& kept = boxes_[id];
    kept.used_at = now;
    if (!kept.box) {
        kept.box = std::make_shared<OpenMailbox>();
        kept.box->id = id;
    }
    auto result = kept.box;
    bool const too_many = boxes_.size() > boxes_max;
    if (now - tidied_at_ < (too_many ? 1'000 : unused_ms / 4)) return result;
    tidied_at_ = now;
    std::erase_if(boxes_, [&](auto& entry) {
        auto& [box, used_at] = entry.second;
        if (box.use_count() > 1 || (!too_many && now - used_at < unused_ms)) return false;
        unused.push_back(std::move(box));
        return true;
    });
    return result;
}

void OpenMailboxes::forget(MailboxId id) {
    Kept gone;
    std::lock_guard const lock(mutex_);
    if (auto const at = boxes_.find(id); at != boxes_.end()) {
        gone = std::move(at->second);
        boxes_.erase(at);
    }
}

MailboxInfo OpenMailboxes::heard(Document const& mailbox) const {
    MailboxInfo info = mailbox_info(mailbox);
    note_owner(info.id, info.user);
    std::lock_guard const lock(mutex_);
    if (auto const at = boxes_.find(info.id); at != boxes_.end()) {
        auto& heard = at->second.box->heard;
        heard = std::max(heard.load(), modseq_of(mailbox, "modifyIndex"));
    }
    return info;
}

std::optional<UserId> OpenMailboxes::owner(MailboxId id) const {
    std::lock_guard const lock(owners_mutex_);
    auto const at = owners_.find(id);
    return at == owners_.end() ? std::nullopt : std::optional(at->second);
}

void OpenMailboxes::note_owner(MailboxId id, UserId user) const {
    std::lock_guard const lock(owners_mutex_);
    if (owners_.size() >= owners_max) owners_.clear();
    owners_.insert_or_assign(id, user);
}

std::optional<MailboxId> OpenMailboxes::arrived_in(UserId user) const {
    std::lock_guard const lock(owners_mutex_);
    auto const at = arrived_in_.find(user);
    return at == arrived_in_.end() ? std::nullopt : std::optional(at->second);
}

void OpenMailboxes::note_arrival(MailboxInfo const& info) {
    note_owner(info.id, info.user);
    std::lock_guard const lock(owners_mutex_);
    if (arrived_in_.size() >= owners_max) arrived_in_.clear();
    arrived_in_.insert_or_assign(info.user, info.id);
}

Result<Snapshot> OpenMailboxes::current(OpenMailbox& box) const {
    TimeMs const age = clock_.now() - box.looked_at;
    bool const heard_nothing = box.index && box.watch && box.moment && box.watch->moment() == box.moment;
    // What was on its way at the last look may have been written and acknowledged before the document was read.
    ModSeq const heard = box.heard;
    bool const may_be_ahead = heard > box.newest || (heard != 0 && !box.settled());
    if (heard_nothing && !may_be_ahead && age >= 0 && age <= index_age_max_ms) return box.index;
    return refresh(box);
}

Result<Snapshot> OpenMailboxes::refresh(OpenMailbox& box) const {
    if (!box.watch && signals_)
        if (auto const user = owner(box.id)) box.watch = signals_->watch(*user);
    for (bool watched = box.watch != nullptr;; watched = true) {
        auto const moment = box.watch ? box.watch->moment() : std::nullopt;
        box.heard = 0;  // what is heard from here on may be news
        MALLARD_TRY_ASSIGN(auto const mailbox, mongo_.find_one(Db::main, "mailboxes", {{"_id", box.id}}));
        if (!mailbox) {
            box.index = nullptr;
            return fail(ErrorKind::not_found, "there is no such mailbox");
        }
        if (!watched && signals_) {  // listen first, then look
            auto const user = mailbox_info(*mailbox).user;
            note_owner(box.id, user);
            box.watch = signals_->watch(user);
            continue;
        }
        MALLARD_TRY(catch_up(box, *mailbox));
        box.moment = box.withheld.empty() ? moment : std::nullopt;  // else soon again
        box.looked_at = clock_.now();
        return box.index;
    }
}

Result<void> OpenMailboxes::catch_up(OpenMailbox& box, Document const& mailbox) const {
    if (!box.index) return load(box, mailbox);
    auto const uid_next = static_cast<Uid>(mailbox.integer("uidNext", 1));
    if (modseq_of(mailbox, "modifyIndex") > box.newest || !box.settled() || uid_next > box.tail)
        MALLARD_TRY(update(box, mailbox));
    note_keywords(box, mailbox);
    MailboxInfo info = mailbox_info(mailbox);
    MailboxInfo const& known = box.index->info;
    if (info.path != known.path || info.special_use != known.special_use || info.subscribed != known.subscribed ||
        info.hidden != known.hidden || info.retention_ms != known.retention_ms) {
        auto next = std::make_shared<MailboxIndex>(*box.index);
        next->info = std::move(info);
        box.index = std::move(next);
    }
    return {};
}

// Modseqs were taken in their order: below one that the journal told of a while ago none is in flight any more, however
// many have been taken since.
Result<void> OpenMailboxes::find_floor(OpenMailbox& box) const {
    box.floor = 1;  // a mailbox's first
    if (box.settled()) return {};
    std::vector<ModSeq> told;
    bool long_ago = false;
    MALLARD_TRY(mongo_.find_each(Db::main, "journal", {{"mailbox", box.id}},
                                 {.projection = {{"modseq", 1}, {"created", 1}}, .sort = {{"modseq", -1}}},
                                 [&](Document entry) {
                                     told.push_back(modseq_of(entry, "modseq"));
                                     long_ago = clock_.now() - entry.date("created").value_or(0) > in_flight_ms;
                                     return !long_ago;
                                 }));
    ModSeq const oldest = told.empty() ? box.newest : told.back();
    if (long_ago)
        box.floor = std::max(box.floor, oldest);
    else if (oldest > load_overlap)
        box.floor = std::max(box.floor, oldest - load_overlap);
    for (ModSeq const modseq : told) box.note(modseq);
    return {};
}

Result<void> OpenMailboxes::load(OpenMailbox& box, Document const& mailbox) const {
    MailboxIndex empty;
    IndexDelta delta;
    ModSeq const newest = modseq_of(mailbox, "modifyIndex");
    box.index = nullptr;  // of what fails from here on nothing counts
    box.newest = newest;
    box.found.clear();
    box.met.clear();
    box.met.push_back({newest, clock_.now()});
    MALLARD_TRY(find_floor(box));
    // UIDs that the document counts and whose messages this process is writing: those are awaited.
    arrivals(mailbox_info(mailbox).user).wait_for_all();
    MALLARD_TRY(mongo_.find_each(Db::main, "messages", {{"mailbox", box.id}},
                                 {.projection = row_projection(), .sort = {{"uid", 1}}}, [&](Document message) {
                                     Row const row = row_of(message, empty);
                                     delta.rows.insert_or_assign(row.uid, row);
                                     return true;
                                 }));
    ModSeq highest = newest;
    for (auto const& [uid, row] : delta.rows) highest = std::max(highest, row.modseq);
    box.tail = static_cast<Uid>(mailbox.integer("uidNext", 1));
    box.met_uids.clear();
    box.gone = {};
    box.withheld.clear();
    auto const fresh = delta.rows.lower_bound(box.tail);
    box.withheld.insert(fresh, delta.rows.end());
    delta.rows.erase(fresh, delta.rows.end());
    box.decide(box.tail, clock_.now(), delta);
    auto index = merge(empty, delta);
    index->info = mailbox_info(mailbox);
    index->uid_next = box.tail;
    index->highest_modseq = highest;
    note_owner(box.id, index->info.user);
    note_keywords(box, mailbox);
    box.index = std::move(index);
    return {};
}

// true: the floor rose over changes that were never seen.
bool OpenMailboxes::expire(OpenMailbox& box) const {
    bool unseen = false;
    while (!box.met.empty() && clock_.now() - box.met.front().at > in_flight_ms) {
        unseen = unseen || box.met.front().modseq > box.floor;
        box.floor = std::max(box.floor, box.met.front().modseq);
        box.met.pop_front();
    }
    box.found.erase(box.found.begin(), box.found.upper_bound(box.floor));
    box.note(box.floor);
    return unseen;
}

Result<void> OpenMailboxes::update(OpenMailbox& box, Document const& mailbox) const {
    ModSeq const newest = modseq_of(mailbox, "modifyIndex");
    if (newest > box.newest) {
        box.newest = newest;
        box.met.push_back({newest, clock_.now()});
    }
    MailboxIndex keywords;
    keywords.keywords = box.index->keywords;
    IndexDelta delta;
    std::vector<ModSeq> found;
    MALLARD_TRY(mongo_.find_each(Db::main, "journal", above(box.id, box.floor), journal_options(), [&](Document entry) {
        found.push_back(modseq_of(entry, "modseq"));
        if (entry.text("command") == "EXPUNGE") delta.removed.add(static_cast<Uid>(entry.integer("uid")));
        return true;
    }));
    MALLARD_TRY(mongo_.find_each(Db::main, "messages", above(box.id, box.floor), {.projection = row_projection()},
                                 [&](Document message) {
                                     Row const row = row_of(message, keywords);
                                     (row.uid < box.tail ? delta.rows : box.withheld).insert_or_assign(row.uid, row);
                                     return true;
                                 }));
    for (ModSeq const modseq : found) box.note(modseq);
    // A message is read before it is removed as well: what the journal says is gone was there only before.
    for (auto const& range : delta.removed.ranges())
        for (auto* rows : {&delta.rows, &box.withheld})
            rows->erase(rows->lower_bound(range.first), rows->upper_bound(range.last));
    for (auto const& range : delta.removed.ranges())
        if (range.last >= box.tail) box.gone.add(std::max(range.first, box.tail), range.last);
    box.decide(static_cast<Uid>(mailbox.integer("uidNext", 1)), clock_.now(), delta);
    bool const unseen = expire(box);
    auto next = merge(*box.index, delta);
    next->keywords = std::move(keywords.keywords);
    next->highest_modseq = std::max(next->highest_modseq, box.settled() ? box.newest : box.floor);
    next->uid_next = std::max(next->uid_next, box.tail);
    box.index = std::move(next);
    if (!unseen) return {};
    // A change without a trace: there was none, or its journal entry was lost. Then only counting tells.
    auto const count = mongo_.count(Db::main, "messages", {{"mailbox", box.id}});
    if (count && *count == static_cast<std::int64_t>(box.index->size() + box.withheld.size())) return {};
    box.index = nullptr;  // also if nobody could count: whoever looks next reads it anew
    MALLARD_TRY(count);
    return load(box, mailbox);
}

}  // namespace mallard::store::cluster
