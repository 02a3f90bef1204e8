// Reading messages.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/spool.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"
#include "store/cluster/segment_reader.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Document;

Document body_projection() {
    Document out = validity_projection();
    for (std::string_view key : {"uid", "idate", "mimeTree", "mallardSource"}) out.set(key, 1);
    return out;
}

Document record_projection(unsigned fields) {
    Document out{{"uid", 1}, {"thread", 1}, {"hdate", 1}, {"idate", 1}, {"size", 1}, {"magic", 1}, {"mallard", 1}};
    if (fields & want_meta) out.set("meta", 1);
    return out;
}

// Documents of rows by their ids; what was expunged is not among them.
using ById = std::unordered_map<MessageId, Document>;

ById by_id(std::vector<Document> documents) {
    ById out;
    for (auto& document : documents)
        if (auto const id = document.id("_id")) out.insert_or_assign(MessageId(*id), std::move(document));
    return out;
}

std::vector<Uid> uids_of(std::span<Row const* const> rows) {
    std::vector<Uid> uids;
    for (Row const* row : rows) uids.push_back(row->uid);
    std::ranges::sort(uids);
    auto const twice = std::ranges::unique(uids);
    uids.erase(twice.begin(), twice.end());
    return uids;
}

}  // namespace

Result<std::vector<Document>> ClusterMailStore::documents_of(MailboxId mailbox, std::vector<Uid> const& uids,
                                                             Document projection) const {
    Array list;
    for (Uid const uid : uids) list.push_back(bson::number(uid));
    return mongo_.find(Db::main, "messages", {{"mailbox", mailbox}, {"uid", Document{{"$in", std::move(list)}}}},
                       {.projection = std::move(projection),
                        .sort = {{"uid", 1}},
                        .batch = static_cast<std::int32_t>(uids.size() + 1)});
}

Result<std::vector<Segment>> ClusterMailStore::segments_of(Document const& message) const {
    if (auto const* source = message.document("mallardSource"); source && is_valid(message)) {
        std::string literals;
        if (auto const* text = source->find("text")) {
            if (auto const* binary = text->as<Binary>()) literals = binary->bytes;
        } else {
            auto const file = file_of(message, {.text = {}, .attachment = "SOURCE"});
            MALLARD_TRY_ASSIGN(auto reader, attachments_.open_one(file));
            MALLARD_TRY(reader.read(0, reader.size(), literals));
        }
        return decode_pieces(*source, literals);
    }
    auto const* tree = message.document("mimeTree");
    if (!tree) return fail(ErrorKind::corrupt, "a stored message has no tree");
    return rebuild(*tree);
}

// The files of many messages with one question to the server.
Result<std::map<std::string, AttachmentReader>> ClusterMailStore::files_of(
    std::span<Document const* const> messages) const {
    std::map<std::string, bson::Value> ids;
    for (auto const* message : messages) {
        auto const* tree = message->document("mimeTree");
        auto const* map = tree ? tree->document("attachmentMap") : nullptr;
        if (map)
            for (auto const& [id, file] : map->fields()) ids.emplace(file_key(file), file);
    }
    Array wanted;
    for (auto& [key, id] : ids) wanted.push_back(std::move(id));
    return attachments_.open(wanted);
}

Result<std::unique_ptr<BodyReader>> ClusterMailStore::body(MailboxId mailbox, Row const& row) {
    MALLARD_TRY_ASSIGN(
        auto message,
        mongo_.find_one(Db::main, "messages", {{"_id", row.id}, {"mailbox", mailbox}, {"uid", bson::number(row.uid)}},
                        {.projection = body_projection()}));
    if (!message) return fail(ErrorKind::not_found, "the message is gone");
    MALLARD_TRY_ASSIGN(auto segments, segments_of(*message));
    return std::make_unique<SegmentReader>(attachments_, *message, std::move(segments));
}

Result<void> ClusterMailStore::bodies(MailboxId mailbox, std::span<Row const* const> rows,
                                      std::function<void(std::size_t, std::optional<std::string_view>)> const& visit) {
    constexpr std::size_t batch = 32;
    for (std::size_t at = 0; at < rows.size(); at += batch) {
        auto const some = rows.subspan(at, std::min(batch, rows.size() - at));
        std::vector<Row const*> small;
        std::ranges::copy_if(some, std::back_inserter(small),
                             [](Row const* row) { return row->size <= body_batch_max; });
        ById messages;
        if (!small.empty()) {
            MALLARD_TRY_ASSIGN(auto found, documents_of(mailbox, uids_of(small), body_projection()));
            messages = by_id(std::move(found));
        }
        std::vector<Document const*> documents;
        for (auto const& [id, message] : messages) documents.push_back(&message);
        MALLARD_TRY_ASSIGN(auto const files, files_of(documents));
        for (std::size_t i = 0; i < some.size(); ++i) {
            auto const message = messages.find(some[i]->id);
            if (message == messages.end()) {
                visit(at + i, std::nullopt);
                continue;
            }
            MALLARD_TRY_ASSIGN(auto segments, segments_of(message->second));
            SegmentReader reader(attachments_, message->second, std::move(segments));
            reader.share(&files);
            std::string bytes;
            MALLARD_TRY(reader.read(0, reader.size(), bytes));
            visit(at + i, bytes);
        }
    }
    return {};
}

Result<void> ClusterMailStore::records(MailboxId mailbox, std::span<Row const* const> rows, unsigned fields,
                                       std::function<void(std::size_t, MessageRecord const&)> const& visit) {
    constexpr std::size_t batch = 200;
    for (std::size_t at = 0; at < rows.size(); at += batch) {
        auto const some = rows.subspan(at, std::min(batch, rows.size() - at));
        MALLARD_TRY_ASSIGN(auto found, documents_of(mailbox, uids_of(some), record_projection(fields)));
        auto const messages = by_id(std::move(found));
        std::unordered_map<MessageId, MessageRecord> made;
        std::vector<Row const*> others;  // written by another server
        for (Row const* const row : some)
            if (auto const message = messages.find(row->id); message != messages.end() && !record_of(message->second))
                others.push_back(row);
        if (!others.empty()) {
            MALLARD_TRY_ASSIGN(made, make_records(mailbox, others));
        }
        for (std::size_t i = 0; i < some.size(); ++i) {
            auto const message = messages.find(some[i]->id);
            if (message == messages.end()) continue;
            auto record = record_of(message->second);
            if (!record) {
                auto const found_now = made.find(some[i]->id);
                if (found_now == made.end()) continue;  // expunged meanwhile
                record = found_now->second;
                if (auto const* meta = message->second.document("meta")) record->meta = meta->encode();
            }
            record->header_date = message->second.date("hdate").value_or(some[i]->internal_date);
            if (auto const thread = message->second.id("thread")) record->thread = ThreadId(*thread);
            visit(at + i, *record);
        }
    }
    return {};
}

// What we keep beside a message follows from its bytes. It is made once and then kept in the message's document, where
// every process finds it, and WildDuck takes no notice.
Result<std::unordered_map<MessageId, MessageRecord>> ClusterMailStore::make_records(MailboxId mailbox,
                                                                                    std::span<Row const* const> rows) {
    if (!derive_) return fail(ErrorKind::not_supported, "records of this message cannot be made here");
    std::unordered_map<MessageId, MessageRecord> made;
    constexpr std::size_t batch = 16;
    for (std::size_t at = 0; at < rows.size(); at += batch) {
        auto const some = rows.subspan(at, std::min(batch, rows.size() - at));
        MALLARD_TRY_ASSIGN(auto const messages, documents_of(mailbox, uids_of(some), body_projection()));
        std::vector<Document const*> documents;
        for (auto const& message : messages) documents.push_back(&message);
        MALLARD_TRY_ASSIGN(auto const files, files_of(documents));
        std::vector<Write> writes;
        for (auto const& message : messages) {
            MALLARD_TRY_ASSIGN(auto segments, segments_of(message));
            SegmentReader reader(attachments_, message, std::move(segments), true);
            reader.share(&files);
            Spool source;  // a large one goes to the disk
            constexpr std::uint64_t step = 256 * 1024;
            std::string piece;
            for (std::uint64_t from = 0; from < reader.size(); from += step) {
                piece.clear();
                MALLARD_TRY(reader.read(from, step, piece));
                MALLARD_TRY(source.append(piece));
            }
            MALLARD_TRY(source.finish());
            auto const date = message.date("idate").value_or(0);
            MessageRecord record = derive_(source.view(), date);
            Document exactly;
            for (std::string_view key : {"_id", "uid"}) exactly.set(key, *message.find(key));
            exactly.set("mailbox", mailbox);
            writes.push_back({.filter = std::move(exactly), .document = record_update(message, record, reader.size())});
            made.emplace(MessageId(*message.id("_id")), std::move(record));
        }
        (void)mongo_.bulk(Db::main, "messages", writes, false);  // if it is not kept, it is made again
    }
    return made;
}

Result<UidSet> ClusterMailStore::vanished_since(MailboxId id, ModSeq since) const {
    auto const box = open_.get(id);
    std::unique_lock lock(box->mutex);
    MALLARD_TRY_ASSIGN(Snapshot const index, open_.refresh(*box));
    lock.unlock();
    UidSet vanished;
    if (since >= index->highest_modseq) return vanished;
    // The journal is kept for three hours: it is whole from `since` on if something older is still in it.
    auto const bound = bson::number(static_cast<std::int64_t>(since));
    MALLARD_TRY_ASSIGN(auto const older,
                       mongo_.find_one(Db::main, "journal", {{"mailbox", id}, {"modseq", Document{{"$lte", bound}}}},
                                       {.projection = {{"_id", 1}}}));
    if (older) {
        std::vector<Uid> gone;
        MALLARD_TRY(mongo_.find_each(Db::main, "journal",
                                     {{"mailbox", id}, {"modseq", Document{{"$gt", bound}}}, {"command", "EXPUNGE"}},
                                     {.projection = {{"uid", 1}}}, [&](Document entry) {
                                         gone.push_back(static_cast<Uid>(entry.integer("uid")));
                                         return true;
                                     }));
        std::ranges::sort(gone);
        for (Uid const uid : gone)
            if (!index->find(uid)) vanished.add(uid);
        return vanished;
    }
    Uid next = 1;  // else: every UID that was given and is not there
    for (std::uint32_t n = 0; n < index->size(); ++n) {
        Uid const uid = index->row(n).uid;
        if (uid > next) vanished.add(next, uid - 1);
        next = uid + 1;
    }
    if (next < index->uid_next) vanished.add(next, index->uid_next - 1);
    return vanished;
}

}  // namespace mallard::store::cluster
