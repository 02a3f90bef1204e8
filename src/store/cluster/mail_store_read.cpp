// Reading messages.
#include <algorithm>
#include <unordered_map>

#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"
#include "store/cluster/tree_parts.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Document;

std::string const* digest_of(Document const& message, std::string_view attachment) {
    auto const* tree = message.document("mimeTree");
    auto const* map = tree ? tree->document("attachmentMap") : nullptr;
    auto const* value = map ? map->find(attachment) : nullptr;
    auto const* digest = value ? value->as<Binary>() : nullptr;
    return digest ? &digest->bytes : nullptr;
}

Document body_projection() { return {{"uid", 1}, {"mimeTree", 1}, {"mallardSource", 1}}; }

// A message of segments; the stored body that was read last stays in memory.
class SegmentReader final : public BodyReader {
public:
    SegmentReader(Attachments const& attachments, Document message, std::vector<Segment> segments)
        : attachments_(attachments), message_(std::move(message)), segments_(std::move(segments)) {
        for (auto const& segment : segments_) size_ += segment.bytes;
    }
    std::uint64_t size() const override { return size_; }

    Result<void> read(std::uint64_t offset, std::uint64_t length, std::string& out) override {
        std::uint64_t begin = 0;
        std::uint64_t const end = offset + std::min(length, size_ - std::min(offset, size_));
        for (auto const& segment : segments_) {
            std::uint64_t const from = std::max(begin, offset), to = std::min(begin + segment.bytes, end);
            if (from < to) {
                MALLARD_TRY_ASSIGN(std::string_view const bytes, bytes_of(segment));
                out.append(bytes.substr(from - begin, to - from));
            }
            begin += segment.bytes;
        }
        return {};
    }

private:
    Result<std::string_view> bytes_of(Segment const& segment) {
        if (segment.attachment.empty()) return std::string_view(segment.text);
        if (loaded_ == &segment) return std::string_view(bytes_);
        loaded_ = nullptr;
        auto const* digest = digest_of(message_, segment.attachment);
        if (!digest) return fail(ErrorKind::corrupt, "a message names an attachment that it does not have");
        MALLARD_TRY_ASSIGN(bytes_, attachments_.read(*digest));
        if (segment.bare_lf) bytes_ = bare_lf(bytes_);
        bytes_.resize(segment.bytes, ' ');  // what another writer lost; never for what we wrote
        loaded_ = &segment;
        return std::string_view(bytes_);
    }

    Attachments const& attachments_;
    Document message_;
    std::vector<Segment> segments_;
    std::uint64_t size_ = 0;
    Segment const* loaded_ = nullptr;
    std::string bytes_;
};

Document record_projection(unsigned fields) {
    Document out{{"uid", 1}, {"thread", 1}, {"hdate", 1}, {"idate", 1}, {"mallard", 1}};
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
    if (auto const* source = message.document("mallardSource")) {
        std::string literals;
        if (auto const* text = source->find("text")) {
            if (auto const* binary = text->as<Binary>()) literals = binary->bytes;
        } else if (auto const* digest = digest_of(message, "SOURCE")) {
            MALLARD_TRY_ASSIGN(literals, attachments_.read(*digest));
        }
        return decode_pieces(*source, literals);
    }
    auto const* tree = message.document("mimeTree");
    if (!tree) return fail(ErrorKind::corrupt, "a stored message has no tree");
    return rebuild(*tree);
}

Result<std::string> ClusterMailStore::source_of(Document const& message) const {
    MALLARD_TRY_ASSIGN(auto segments, segments_of(message));
    SegmentReader reader(attachments_, message, std::move(segments));
    std::string out;
    MALLARD_TRY(reader.read(0, reader.size(), out));
    return out;
}

Result<std::unique_ptr<BodyReader>> ClusterMailStore::body(MailboxId mailbox, Row const& row) {
    MALLARD_TRY_ASSIGN(
        auto message,
        mongo_.find_one(Db::main, "messages", {{"_id", row.id}, {"mailbox", mailbox}, {"uid", bson::number(row.uid)}},
                        {.projection = body_projection()}));
    if (!message) return fail(ErrorKind::not_found, "the message is gone");
    MALLARD_TRY_ASSIGN(auto segments, segments_of(*message));
    return std::make_unique<SegmentReader>(attachments_, std::move(*message), std::move(segments));
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
        for (std::size_t i = 0; i < some.size(); ++i) {
            auto const message = messages.find(some[i]->id);
            if (message == messages.end()) {
                visit(at + i, std::nullopt);
                continue;
            }
            MALLARD_TRY_ASSIGN(std::string const bytes, source_of(message->second));
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
        for (std::size_t i = 0; i < some.size(); ++i) {
            auto const message = messages.find(some[i]->id);
            if (message == messages.end()) continue;
            auto record = record_of(message->second);
            if (!record) {  // written by another server: what we keep beside a message follows from its bytes
                if (!derive_) return fail(ErrorKind::not_supported, "records of this message cannot be made here");
                MALLARD_TRY_ASSIGN(auto const reader, body(mailbox, *some[i]));
                std::string source;
                MALLARD_TRY(reader->read(0, reader->size(), source));
                record = derive_(source, some[i]->internal_date);
                if (auto const* meta = message->second.document("meta")) record->meta = meta->encode();
            }
            record->header_date = message->second.date("hdate").value_or(some[i]->internal_date);
            if (auto const thread = message->second.id("thread")) record->thread = ThreadId(*thread);
            visit(at + i, *record);
        }
    }
    return {};
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
