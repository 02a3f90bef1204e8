// Messages come.
#include <algorithm>

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "mime/message.hpp"
#include "store/cluster/journal_entries.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Date;
using bson::Document;

constexpr std::size_t literal_bytes_max = 256 * 1024;  // of mallardSource; more becomes a stored body

}  // namespace

Result<ClusterMailStore::Stored> ClusterMailStore::store_content(UserId user, NewMessage const& message) {
    Stored stored;
    std::uint16_t magic = 0;
    random_bytes(&magic, sizeof magic);
    stored.magic = magic;
    MimeTree tree = make_tree(message.source);
    stored.size = static_cast<std::int64_t>(tree.size);
    MALLARD_TRY(add_storage(user, stored.size, message.storage_max));
    if (auto kept = attachments_.store(tree.bodies, stored.magic); !kept) {
        (void)add_storage(user, -stored.size);
        return std::unexpected(std::move(kept).error());
    }
    keep_altered(tree, message.source);
    for (auto const& body : tree.bodies) ++stored.digests[body.digest];
    if (!tree.exact && tree.literals.size() > literal_bytes_max) {  // counted like any body, by whoever copies it
        std::vector<StoredBody> literals(1);
        literals[0] = {.id = "SOURCE",
                       .digest = sha256(tree.literals),
                       .text = {.raw = tree.literals, .bare = false, .size = tree.literals.size()},
                       .content_type = "application/octet-stream",
                       .transfer_encoding = "binary"};
        if (auto kept = attachments_.store(literals, stored.magic); !kept) {
            undo_content(stored, user);
            return std::unexpected(std::move(kept).error());
        }
        ++stored.digests[literals[0].digest];
        tree.bodies.push_back(std::move(literals[0]));
    }
    for (auto const& body : tree.bodies) {
        if (body.content_digest.empty()) continue;
        for (auto& entry : tree.attachments)  // §10.2: on the message that stored it first
            if (auto* one = entry.as<Document>(); one && one->text("id") == body.id)
                one->set("fileContentHash", body.content_digest);
    }
    stored.document = message_document(message, tree, stored.magic);
    if (!mongo_.features().nested_arrays) flatten_nested_arrays(stored.document);
    if (!tree.exact)
        stored.document.set("mallardSource", encode_pieces(tree, tree.literals.size() <= literal_bytes_max));
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
    MALLARD_TRY_ASSIGN(UserId const user, owner_of(id));
    return append_where({{"_id", id}}, user, id, std::move(message));
}

// False: it was there, but another process has expunged or moved it already.
Result<bool> ClusterMailStore::insert_message(Document const& document) {
    Write const insertion{.kind = Write::Kind::insert, .document = document};
    auto first = mongo_.write(Db::main, "messages", insertion);
    if (first) return true;
    if (first.error().kind != ErrorKind::unavailable) return std::unexpected(std::move(first.error()));
    // Nobody knows whether it is there. A second one of its _id, which is new, tells; its flags may be others by now.
    auto second = mongo_.write(Db::main, "messages", insertion);
    if (!second && second.error().kind == ErrorKind::already_exists) return true;
    if (!second) return std::unexpected(std::move(second.error()));
    // Either the first did not happen, or what it wrote is gone, and is back now.
    Document ours;
    for (std::string_view key : {"_id", "mailbox", "uid"}) ours.set(key, *document.find(key));
    Document const gone{{"mailbox", *document.find("mailbox")},
                        {"modseq", Document{{"$gt", *document.find("modseq")}}},
                        {"command", "EXPUNGE"},
                        {"uid", *document.find("uid")}};
    MALLARD_TRY_ASSIGN(auto const told, mongo_.find_one(Db::main, "journal", gone, {.projection = {{"_id", 1}}}));
    if (!told) return true;
    MALLARD_TRY(mongo_.erase(Db::main, "messages", ours, false));
    return false;
}

// The mailbox is found by the very $inc that takes the UID. What its id was the last time only says whose lock to take.
Result<Appended> ClusterMailStore::append_to(UserId user, std::string_view path, NewMessage message) {
    if (!message.flags.keywords.empty()) return MailStore::append_to(user, path, std::move(message));
    return append_where({{"user", user}, {"path", path}}, user, open_.arrived_in(user), std::move(message));
}

Result<Appended> ClusterMailStore::append_where(Document which, UserId user, std::optional<MailboxId> expected,
                                                NewMessage message) {
    mime::Entity parsed;
    if (!message.tree) {
        parsed = mime::parse(message.source);
        message.tree = &parsed;
    }
    MALLARD_TRY_ASSIGN(Stored stored, store_content(user, message));
    Document& document = stored.document;
    auto const failed = [&](Error error) {
        // Of a write that may have happened nothing is taken back.
        if (error.kind != ErrorKind::unavailable) undo_content(stored, user);
        return std::unexpected(std::move(error));
    };
    auto const thread = join_thread(user, message.thread_refs, message.thread_subject);
    if (!thread) return failed(thread.error());

    std::shared_ptr<OpenMailbox> box;
    std::unique_lock<std::mutex> lock;
    auto const take = [&](MailboxId id) {
        if (box && box->id == id) return;
        lock = {};
        box = open_.get(id);
        lock = std::unique_lock(box->mutex);
    };
    if (expected) take(*expected);
    Flags flags = std::move(message.flags);
    if (!flags.keywords.empty()) {  // else a mailbox that nobody looks at stays unread
        auto const index = open_.current(*box);
        if (!index) return failed(index.error());
        auto spelling = spelled(*box, std::move(flags), true);
        if (!spelling) return failed(spelling.error());
        flags = std::move(*spelling);
    }
    auto arriving = open_.arrivals(user).begin();
    auto const before = bump(std::move(which), 1, 1);
    if (!before) return failed(before.error());
    MailboxInfo const info = mailbox_info(*before);
    auto const uid = static_cast<Uid>(before->integer("uidNext", 1));
    auto const modseq = static_cast<ModSeq>(before->integer("modifyIndex", 1)) + 1;
    set_mailbox(document, info, clock_.now());
    set_flags(document, flags);
    document.set("uid", bson::number(uid));
    document.set("modseq", modseq_value(modseq));
    document.set("thread", *thread);
    auto const inserted = insert_message(document);
    arriving.unlock();
    take(info.id);
    open_.note_arrival(info);
    if (!inserted) {
        box->stale();
        if (inserted.error().kind != ErrorKind::unavailable && box->index) box->gone.add(uid, uid);
        return failed(inserted.error());
    }
    MailboxIndex numbered;
    if (box->index) numbered.keywords = box->index->keywords;
    Row const row = row_of(document, numbered);
    Appended const appended{
        .id = row.id, .uid_validity = info.uid_validity, .uid = uid, .modseq = modseq, .size = row.size};
    if (!*inserted) {
        box->stale();
        return appended;
    }
    IndexDelta delta;
    delta.rows.emplace(uid, row);
    if (box->index) box->apply(std::move(numbered), std::move(delta), modseq, *before);
    lock.unlock();
    // The message is there; without its entry other processes notice a little later (open_mailboxes.hpp).
    Document entry = exists_entry(document);
    entry.set("ignore", bson::Null{});
    (void)write_journal({std::move(entry)});
    announce(info);
    return appended;
}

Result<ThreadId> ClusterMailStore::join_thread(UserId user, std::vector<std::string> const& refs,
                                               std::string_view subject) {  // §11.4
    Date const now{clock_.now()};
    if (refs.empty()) return ThreadId::generate();
    Array ids;
    for (auto const& ref : refs) ids.emplace_back(ref);
    // Found and widened, or begun, in one step. $elemMatch: a plain $in of one id would make `ids` that id, no array.
    // Two that begin one at the same time make two threads, as with WildDuck.
    MALLARD_TRY_ASSIGN(auto const thread,
                       mongo_.find_and_modify(Db::main, "threads",
                                              {.filter = {{"user", user},
                                                          {"ids", Document{{"$elemMatch", Document{{"$in", ids}}}}},
                                                          {"subject", subject}},
                                               .update = {{"$addToSet", Document{{"ids", Document{{"$each", ids}}}}},
                                                          {"$set", Document{{"updated", now}}}},
                                               .upsert = true,
                                               .give_new = true}));
    auto const id = thread ? thread->id("_id") : std::nullopt;
    if (!id) return fail(ErrorKind::io, "The database answered something unexpected", "a thread without an id");
    return ThreadId(*id);
}

}  // namespace mallard::store::cluster
