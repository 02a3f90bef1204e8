// Messages come, change, and go.
#include <algorithm>
#include <unordered_map>

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "mime/message.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Date;
using bson::Document;

constexpr std::size_t uids_per_filter = 1'000;
constexpr std::size_t literal_bytes_max = 256 * 1024;  // of mallardSource; more becomes a stored body

bson::Value as_value(ModSeq modseq) { return bson::number(static_cast<std::int64_t>(modseq)); }

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

// Flags with keywords spelled as the mailbox has them already; limit: too many.
Result<Flags> spelled(MailboxIndex const& index, Flags flags) {
    std::size_t known = index.keywords.size();
    for (auto& keyword : flags.keywords)
        if (auto const number = index.keyword(keyword))
            keyword = index.keywords[*number];
        else
            ++known;
    if (known > keywords_max)
        return fail(ErrorKind::limit, "a mailbox holds at most " + std::to_string(keywords_max) + " keywords");
    return flags;
}

Flags changed_flags(Flags before, FlagMode mode, Flags const& by) {
    if (mode == FlagMode::set) return by;
    if (mode == FlagMode::add) {
        before.system |= by.system;
        for (auto const& keyword : by.keywords)
            if (std::ranges::find(before.keywords, keyword) == before.keywords.end())
                before.keywords.push_back(keyword);
        return before;
    }
    before.system &= static_cast<std::uint8_t>(~by.system);
    std::erase_if(before.keywords,
                  [&](auto const& keyword) { return std::ranges::find(by.keywords, keyword) != by.keywords.end(); });
    return before;
}

std::string key_of(Flags const& flags) {
    std::string key(1, static_cast<char>(flags.system + 1));
    auto keywords = flags.keywords;
    std::ranges::sort(keywords);
    for (auto const& keyword : keywords) key += keyword + '\n';
    return key;
}

struct FlagGroup {
    Flags flags;
    std::vector<Row const*> rows;
};

// The rows that become different, by what they become.
std::vector<FlagGroup> group_changes(MailboxIndex const& index, UidSet const& uids, FlagChange const& change,
                                     Flags const& by, UidSet& modified) {
    std::vector<FlagGroup> groups;
    std::unordered_map<std::string, std::size_t> by_key;
    index.for_uids(uids, [&](std::uint32_t, Row const& row) {
        if (change.unchanged_since && row.modseq > *change.unchanged_since) {
            modified.add(row.uid);
            return;
        }
        Flags const before = index.flags(row);
        Flags after = changed_flags(before, change.mode, by);
        if (key_of(after) == key_of(before)) return;
        auto const [at, is_new] = by_key.emplace(key_of(after), groups.size());
        if (is_new) groups.push_back({.flags = std::move(after), .rows = {}});
        groups[at->second].rows.push_back(&row);
    });
    return groups;
}

Document flag_update(FlagGroup const& group, ModSeq modseq) {
    Document set{{"flags", flag_array(group.flags)}};
    for (auto const& [key, value] : flag_mirrors(group.flags.system).fields()) set.set(key, value);
    set.set("modseq", as_value(modseq));
    if (group.flags.system & deleted) return {{"$set", std::move(set)}, {"$unset", Document{{"searchable", ""}}}};
    set.set("searchable", true);
    return {{"$set", std::move(set)}};
}

std::vector<Write> flag_writes(MailboxId mailbox, std::vector<FlagGroup> const& groups, ModSeq modseq,
                               std::optional<ModSeq> unchanged_since) {
    std::vector<Write> writes;
    for (auto const& group : groups)
        for (std::size_t at = 0; at < group.rows.size(); at += uids_per_filter) {
            Array uids;
            for (std::size_t i = at; i < std::min(group.rows.size(), at + uids_per_filter); ++i)
                uids.push_back(bson::number(group.rows[i]->uid));
            Document const bound =
                unchanged_since ? Document{{"$lte", as_value(*unchanged_since)}} : Document{{"$lt", as_value(modseq)}};
            writes.push_back(
                {.kind = Write::Kind::update_many,
                 .filter = {{"mailbox", mailbox}, {"uid", Document{{"$in", std::move(uids)}}}, {"modseq", bound}},
                 .document = flag_update(group, modseq)});
        }
    return writes;
}

// Puts rows into the index of a mailbox whose changes up to `modseq` it has.
void apply(OpenMailbox& box, MailboxIndex keywords, IndexDelta const& delta, ModSeq modseq) {
    auto next = merge(*box.index, delta);
    next->keywords = std::move(keywords.keywords);
    next->highest_modseq = std::max(next->highest_modseq, modseq);
    if (!delta.rows.empty()) next->uid_next = std::max(next->uid_next, delta.rows.rbegin()->first + 1);
    box.index = std::move(next);
    box.note(modseq);
}

MailboxIndex keywords_of(OpenMailbox const& box) {
    MailboxIndex index;
    index.keywords = box.index->keywords;
    return index;
}

Document exists_entry(Document const& message) {
    Document entry{{"command", "EXISTS"}};
    for (std::string_view key : {"uid", "modseq", "unseen", "idate", "thread"})
        if (auto const* value = message.find(key)) entry.set(key, *value);
    entry.set("message", *message.find("_id"));
    if (message.boolean("junk")) entry.set("junk", 1);
    return entry;
}

}  // namespace

Result<ClusterMailStore::Stored> ClusterMailStore::store_content(MailboxInfo const& info, NewMessage const& message) {
    Stored stored;
    std::uint16_t magic = 0;
    random_bytes(&magic, sizeof magic);
    stored.magic = magic;
    MimeTree tree = make_tree(message.source);
    stored.size = static_cast<std::int64_t>(tree.size);
    if (!tree.exact && tree.literals.size() > literal_bytes_max)  // counted like any body, by whoever copies it
        tree.bodies.push_back({.id = "SOURCE",
                               .digest = sha256(tree.literals),
                               .encoded = tree.literals,
                               .content_type = "application/octet-stream",
                               .transfer_encoding = "binary"});
    MALLARD_TRY(attachments_.store(tree.bodies, stored.magic));
    for (auto const& body : tree.bodies) {
        ++stored.digests[body.digest];
        if (body.content_digest.empty()) continue;
        for (auto& entry : tree.attachments)  // §10.2: on the message that stored it first
            if (auto* one = entry.as<Document>(); one && one->text("id") == body.id)
                one->set("fileContentHash", body.content_digest);
    }
    stored.document = message_document(message, tree, stored.magic);
    if (!mongo_.features().nested_arrays) flatten_nested_arrays(stored.document);
    if (!tree.exact)
        stored.document.set("mallardSource", encode_pieces(tree, tree.literals.size() <= literal_bytes_max));
    set_mailbox(stored.document, info, clock_.now());
    if (auto added = add_storage(info.user, stored.size); !added) {
        undo_content({.digests = stored.digests, .magic = stored.magic}, info.user);
        return std::unexpected(added.error());
    }
    return stored;
}

// What fails here leaves counters too high, which a check mends.
void ClusterMailStore::undo_content(Stored const& stored, UserId user) {
    auto digests = stored.digests;
    for (auto& [digest, times] : digests) times = -times;
    (void)attachments_.count(digests, stored.magic);
    (void)add_storage(user, -stored.size);
}

Result<Appended> ClusterMailStore::append(MailboxId id, NewMessage message) {
    MALLARD_TRY_ASSIGN(auto const info, mailbox(id));
    if (!info) return fail(ErrorKind::not_found, "there is no such mailbox");
    mime::Entity parsed;
    if (!message.tree) {
        parsed = mime::parse(message.source);
        message.tree = &parsed;
    }
    MALLARD_TRY_ASSIGN(Stored stored, store_content(*info, message));
    Document& document = stored.document;
    auto const failed = [&](Error error) {
        // Of a write that may have happened nothing is taken back.
        if (error.kind != ErrorKind::unavailable) undo_content(stored, info->user);
        return std::unexpected(std::move(error));
    };
    auto thread = join_thread(info->user, message.thread_refs, message.thread_subject);
    if (!thread) return failed(thread.error());

    auto const box = open_.get(id);
    std::unique_lock lock(box->mutex);
    auto index = open_.refresh(*box);
    if (!index) return failed(index.error());
    auto flags = spelled(**index, message.flags);
    if (!flags) return failed(flags.error());
    auto const before = bump(id, 1, 1);
    if (!before) return failed(before.error());
    set_flags(document, *flags);
    auto const uid = static_cast<Uid>(before->integer("uidNext", 1));
    auto const modseq = static_cast<ModSeq>(before->integer("modifyIndex", 1)) + 1;
    document.set("uid", bson::number(uid));
    document.set("modseq", as_value(modseq));
    document.set("thread", *thread);
    auto const inserted = mongo_.insert(Db::main, "messages", document);
    if (!inserted) return failed(inserted.error());
    MailboxIndex keywords = keywords_of(*box);
    Row const row = row_of(document, keywords);
    IndexDelta delta;
    delta.rows.emplace(uid, row);
    apply(*box, std::move(keywords), delta, modseq);
    lock.unlock();
    // The message is there; a missing entry costs other processes a count (open_mailboxes.hpp).
    Document entry = exists_entry(document);
    entry.set("ignore", bson::Null{});
    (void)write_journal(*info, {std::move(entry)});
    announce(*info);
    return Appended{.id = row.id, .uid_validity = info->uid_validity, .uid = uid, .modseq = modseq, .size = row.size};
}

Result<FlagsChanged> ClusterMailStore::change_flags(MailboxId id, UidSet const& uids, FlagChange const& change) {
    auto const box = open_.get(id);
    std::unique_lock lock(box->mutex);
    MALLARD_TRY_ASSIGN(Snapshot const index, open_.refresh(*box));
    FlagsChanged result;
    Flags by = change.flags;
    if (change.mode == FlagMode::remove) {
        for (auto& keyword : by.keywords)
            if (auto const number = index->keyword(keyword)) keyword = index->keywords[*number];
    } else {
        MALLARD_TRY_ASSIGN(by, spelled(*index, std::move(by)));
    }
    auto const groups = group_changes(*index, uids, change, by, result.modified);
    if (groups.empty()) return result;
    MALLARD_TRY_ASSIGN(auto const before, bump(id, 0, 1));
    ModSeq const modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
    MALLARD_TRY_ASSIGN(auto const written,
                       mongo_.bulk(Db::main, "messages", flag_writes(id, groups, modseq, change.unchanged_since)));
    if (!written.failures.empty()) return std::unexpected(written.failures.front().error);

    MailboxIndex keywords = keywords_of(*box);
    IndexDelta delta;
    std::vector<Document> entries;
    std::int64_t expected = 0;
    for (auto const& group : groups)
        for (Row const* const old : group.rows) {
            ++expected;
            Row row = *old;
            row.system = group.flags.system;
            row.keywords = {};
            for (auto const& keyword : group.flags.keywords)
                if (auto const number = keyword_number(keywords, keyword)) row.keywords.set(*number);
            row.modseq = modseq;
            delta.rows.emplace(row.uid, row);
        }
    if (written.modified == expected) {
        apply(*box, std::move(keywords), delta, modseq);
    } else {  // another process changed or removed some meanwhile
        MALLARD_TRY(open_.refresh(*box));
        std::erase_if(delta.rows, [&](auto const& entry) {
            auto const n = box->index->find(entry.first);
            bool const changed = n && box->index->row(*n).modseq == modseq;
            if (n && !changed && change.unchanged_since) result.modified.add(entry.first);
            return !changed;
        });
    }
    result.modseq = delta.rows.empty() ? 0 : modseq;
    for (auto const& [uid, row] : delta.rows) {
        result.changed.add(uid);
        auto const n = index->find(uid);
        bool const was_seen = n && (index->row(*n).system & seen);
        entries.push_back({{"command", "FETCH"},
                           {"uid", bson::number(uid)},
                           {"message", row.id},
                           {"flags", flag_array(box->index->flags(row))},
                           {"modseq", as_value(modseq)},
                           {"unseenChange", was_seen != ((row.system & seen) != 0)}});
    }
    MailboxInfo const info = box->index->info;
    lock.unlock();
    (void)write_journal(info, std::move(entries));
    announce(info);
    return result;
}

Result<UidSet> ClusterMailStore::remove(OpenMailbox& box, std::vector<Document> const& messages, bool only_deleted) {
    UidSet removed;
    if (messages.empty()) return removed;
    MALLARD_TRY_ASSIGN(auto const before, bump(box.id, 0, 1));
    ModSeq const modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
    std::vector<Document> entries, gone;
    std::int64_t octets = 0;
    for (auto const& message : messages) {
        Document exactly;
        for (std::string_view key : {"_id", "mailbox", "uid"}) exactly.set(key, *message.find(key));
        if (only_deleted) exactly.set("flags", "\\Deleted");
        MALLARD_TRY_ASSIGN(auto const erased, mongo_.erase(Db::main, "messages", std::move(exactly)));
        if (erased == 0) continue;
        auto const uid = static_cast<Uid>(message.integer("uid"));
        removed.add(uid);
        octets += message.integer("size");
        Document entry{{"command", "EXPUNGE"}, {"ignore", bson::Null{}}, {"modseq", as_value(modseq)}};
        for (std::string_view key : {"uid", "unseen", "thread"})
            if (auto const* value = message.find(key)) entry.set(key, *value);
        entry.set("message", *message.find("_id"));
        entries.push_back(std::move(entry));
        gone.push_back(message);
    }
    MailboxInfo const info = box.index->info;
    apply(box, keywords_of(box), {.rows = {}, .removed = removed}, modseq);
    MALLARD_TRY(write_journal(info, std::move(entries)));
    MALLARD_TRY(add_storage(info.user, -octets));
    MALLARD_TRY(release(gone));
    return removed;
}

Result<UidSet> ClusterMailStore::expunge(MailboxId id, UidSet const& uids, bool only_deleted) {
    auto const box = open_.get(id);
    std::unique_lock lock(box->mutex);
    MALLARD_TRY_ASSIGN(Snapshot const index, open_.refresh(*box));
    std::vector<Uid> wanted;
    index->for_uids(uids, [&](std::uint32_t, Row const& row) {
        if (!only_deleted || (row.system & deleted)) wanted.push_back(row.uid);
    });
    if (wanted.empty()) return UidSet{};
    Document const projection{{"uid", 1},
                              {"mailbox", 1},
                              {"size", 1},
                              {"magic", 1},
                              {"unseen", 1},
                              {"thread", 1},
                              {"mimeTree.attachmentMap", 1}};
    MALLARD_TRY_ASSIGN(auto const messages, documents_of(id, wanted, projection));
    MALLARD_TRY_ASSIGN(UidSet removed, remove(*box, messages, only_deleted));
    MailboxInfo const info = index->info;
    lock.unlock();
    if (!removed.empty()) announce(info);
    return removed;
}

Result<Copied> ClusterMailStore::copy(MailboxId from, UidSet const& uids, MailboxId to) {
    return transfer(from, uids, to, false);
}

Result<Copied> ClusterMailStore::move(MailboxId from, UidSet const& uids, MailboxId to) {
    return transfer(from, uids, to, true);
}

Result<Copied> ClusterMailStore::transfer(MailboxId from_id, UidSet const& uids, MailboxId to_id, bool moving) {
    auto const from = open_.get(from_id), to = open_.get(to_id);
    Copied copied;
    {
        Locked const locked(from, to);
        MALLARD_TRY_ASSIGN(Snapshot const source, open_.refresh(*from));
        MALLARD_TRY_ASSIGN(Snapshot const target, open_.refresh(*to));
        copied.uid_validity = target->info.uid_validity;
        std::vector<Uid> wanted;
        source->for_uids(uids, [&](std::uint32_t, Row const& row) { wanted.push_back(row.uid); });
        constexpr std::size_t batch = 50;  // whole documents
        for (std::size_t at = 0; at < wanted.size(); at += batch) {
            std::vector<Uid> const some(
                wanted.begin() + static_cast<std::ptrdiff_t>(at),
                wanted.begin() + static_cast<std::ptrdiff_t>(std::min(wanted.size(), at + batch)));
            MALLARD_TRY_ASSIGN(auto const messages, documents_of(from_id, some));
            MALLARD_TRY(insert_copies(messages, *to, moving, copied));
            if (moving) MALLARD_TRY(remove(*from, messages, false));
        }
    }
    if (copied.target.empty()) return copied;
    announce(to->index ? to->index->info : MailboxInfo{});
    if (moving && from != to) announce(from->index ? from->index->info : MailboxInfo{});
    return copied;
}

Result<void> ClusterMailStore::insert_copies(std::vector<Document> const& sources, OpenMailbox& to, bool moving,
                                             Copied& copied) {
    if (sources.empty()) return {};
    MailboxInfo const info = to.index->info;
    MALLARD_TRY_ASSIGN(auto const before, bump(to.id, static_cast<std::int64_t>(sources.size()), 1));
    auto uid = static_cast<Uid>(before.integer("uidNext", 1));
    ModSeq const modseq = static_cast<ModSeq>(before.integer("modifyIndex", 1)) + 1;
    MailboxIndex keywords = keywords_of(to);
    IndexDelta delta;
    std::vector<Write> writes;
    std::vector<Document> entries;
    std::int64_t octets = 0;
    for (auto const& source : sources) {
        Document document = source;
        document.set("_id", ObjectId::generate());
        set_mailbox(document, info, clock_.now());
        document.set("uid", bson::number(uid));
        document.set("modseq", as_value(modseq));
        document.set("copied", false);
        Row const row = row_of(document, keywords);
        MailboxIndex const& names = keywords;
        set_flags(document, names.flags(row));  // spelled as here
        delta.rows.emplace(uid, row);
        copied.source.add(static_cast<Uid>(source.integer("uid")));
        copied.target.add(uid++);
        octets += source.integer("size");
        entries.push_back(exists_entry(document));
        MALLARD_TRY(attachments_.count(digests_of(source), static_cast<std::int32_t>(source.integer("magic"))));
        writes.push_back({.kind = Write::Kind::insert, .document = std::move(document)});
    }
    MALLARD_TRY(add_storage(info.user, octets));
    MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "messages", writes));
    if (!written.failures.empty()) return std::unexpected(written.failures.front().error);
    apply(to, std::move(keywords), delta, modseq);
    if (!moving) {
        Array ids;
        for (auto const& source : sources) ids.push_back(*source.find("_id"));
        MALLARD_TRY(mongo_.write(Db::main, "messages",
                                 {.kind = Write::Kind::update_many,
                                  .filter = {{"_id", Document{{"$in", std::move(ids)}}}},
                                  .document = {{"$set", Document{{"copied", true}}}}}));
    }
    return write_journal(info, std::move(entries));
}

Result<ThreadId> ClusterMailStore::join_thread(UserId user, std::vector<std::string> const& refs,
                                               std::string_view subject) {  // §11.4
    Date const now{clock_.now()};
    if (refs.empty()) return ThreadId::generate();
    Array ids;
    for (auto const& ref : refs) ids.emplace_back(ref);
    Document filter{{"user", user}, {"ids", Document{{"$in", ids}}}, {"subject", subject}};
    // Found and widened in one step; else begun. Two that begin one at once make two threads, as with WildDuck.
    MALLARD_TRY_ASSIGN(auto const found,
                       mongo_.find_and_modify(Db::main, "threads",
                                              {.filter = filter,
                                               .update = {{"$addToSet", Document{{"ids", Document{{"$each", ids}}}}},
                                                          {"$set", Document{{"updated", now}}}}}));
    if (found)
        if (auto const id = found->id("_id")) return ThreadId(*id);
    auto const id = ThreadId::generate();
    MALLARD_TRY(mongo_.insert(Db::main, "threads",
                              {{"_id", id}, {"user", user}, {"ids", ids}, {"subject", subject}, {"updated", now}}));
    return id;
}

}  // namespace mallard::store::cluster
