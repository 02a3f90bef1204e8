#include "api/message_view.hpp"

#include "api/values.hpp"
#include "http/schema.hpp"

namespace mallard::api {
namespace {

using namespace http;

constexpr std::uint64_t chunk_bytes = 256 * 1024;

Schema address() { return object({required("name", text()), required("address", text())}); }

std::vector<Field> flag_fields() {
    std::vector<Field> fields;
    for (auto const* name : {"seen", "deleted", "flagged", "draft", "answered", "forwarded"}) {
        fields.push_back(required(name, boolean()));
    }
    return fields;
}

Schema attachment() {
    return object({required("id", text()), optional("hash", text(), "SHA-256 of the encoded body, hex"),
                   required("filename", text()), required("contentType", text()),
                   required("disposition", alternatives({text(), boolean()})), required("transferEncoding", text()),
                   required("related", boolean()), required("sizeKb", number()), required("size", number()),
                   optional("cid", text().also(nullptr)),
                   optional("fileContentHash", text(), "SHA-256 of the content, base64")});
}

Schema content_type() { return object({required("value", text()), optional("params", open_object())}); }

}  // namespace

std::expected<store::Snapshot, Failure> open_mailbox(Call& call) {
    auto const user = call.services.accounts.get(call.user());
    if (!user) return std::unexpected(failure_of(user.error(), Subject::user));
    if (!*user) return std::unexpected(user_not_found());
    auto const mailbox = call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox) return std::unexpected(failure_of(mailbox.error(), Subject::mailbox));
    auto snapshot = call.services.mailboxes.snapshot(mailbox->id);
    if (!snapshot) return std::unexpected(failure_of(snapshot.error(), Subject::mailbox));
    return std::move(*snapshot);
}

std::expected<FoundMessage, Failure> find_message(Call& call) {
    auto const mailbox = call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox && mailbox.error().kind == ErrorKind::not_found) return std::unexpected(message_not_found());
    if (!mailbox) return std::unexpected(failure_of(mailbox.error(), Subject::mailbox));
    auto snapshot = call.services.mailboxes.snapshot(mailbox->id);
    if (!snapshot) return std::unexpected(failure_of(snapshot.error(), Subject::message));
    FoundMessage found{std::move(*snapshot), nullptr};
    auto const uid = call.params.value("message", 0.0);
    if (!(uid >= 1 && uid <= 4294967295.0) || uid != static_cast<double>(static_cast<std::uint32_t>(uid))) {
        return std::unexpected(message_not_found());
    }
    auto const number = found.index->find(static_cast<store::Uid>(uid));
    if (!number) return std::unexpected(message_not_found());
    found.row = &found.index->row(*number);
    return found;
}

std::expected<store::MessageRecord, Failure> record_of(Call& call, FoundMessage const& message) {
    std::optional<store::MessageRecord> record;
    store::Row const* const rows[] = {message.row};
    auto const read = call.services.mailboxes.store().records(
        message.mailbox().id, rows, store::want_info | store::want_meta | store::want_parts,
        [&](std::size_t, store::MessageRecord const& found) { record = found; });
    if (!read) return std::unexpected(failure_of(read.error(), Subject::message));
    if (!record) return std::unexpected(message_not_found());
    return std::move(*record);
}

std::expected<Spool, Failure> source_of(Call& call, FoundMessage const& message) {
    auto const reader = call.services.mailboxes.store().body(message.mailbox().id, *message.row);
    if (!reader) return std::unexpected(failure_of(reader.error(), Subject::message));
    Spool source;
    auto const fill = [&]() -> Result<void> {
        std::string chunk;
        for (std::uint64_t at = 0; at < (*reader)->size(); at += chunk_bytes) {
            chunk.clear();
            MALLARD_TRY((*reader)->read(at, chunk_bytes, chunk));
            MALLARD_TRY(source.append(chunk));
        }
        return source.finish();
    };
    if (auto filled = fill(); !filled) return std::unexpected(failure_of(filled.error(), Subject::message));
    return source;
}

Documents documents_of(store::MessageRecord const& record) {
    Documents documents;
    if (auto info = bson::Document::decode(record.info)) documents.info = std::move(*info);
    if (record.meta.empty()) return documents;
    if (auto meta = bson::Document::decode(record.meta)) documents.meta = std::move(*meta);
    return documents;
}

std::string message_id_of(bson::Document const& info, store::Row const& row) {
    auto const given = info.text("messageId");
    return given.empty() ? "<" + row.id.hex() + "@mallard.invalid>" : std::string(given);
}

OrderedJson addresses_of(bson::Document const& info, std::string_view key) {
    auto const* list = info.array(key);
    return list ? to_json(*list) : OrderedJson::array();
}

OrderedJson sender_of(Documents const& documents) {
    for (auto const* key : {"from", "sender"}) {
        auto const list = addresses_of(documents.info, key);
        if (!list.empty()) return list.front();
    }
    return {{"address", documents.meta.text("from")}, {"name", ""}};
}

OrderedJson attachments_of(bson::Document const& info) {
    OrderedJson list = OrderedJson::array();
    auto const* stored = info.array("attachments");
    if (!stored) return list;
    for (auto const& value : *stored) {
        auto const* entry = value.as<bson::Document>();
        if (!entry) continue;
        OrderedJson item = OrderedJson::object();
        for (auto const* key :
             {"id", "filename", "contentType", "disposition", "transferEncoding", "cid", "related", "sizeKb", "size"}) {
            auto const* field = entry->find(key);
            item[key] = field ? to_json(*field) : OrderedJson(nullptr);
        }
        list.push_back(std::move(item));
    }
    return list;
}

bool has_keyword(store::MailboxIndex const& index, store::Row const& row, std::string_view keyword) {
    auto const number = index.keyword(keyword);
    return number && row.keywords.test(*number);
}

void add_flags(store::MailboxIndex const& index, store::Row const& row, OrderedJson& item) {
    bool const forwarded = has_keyword(index, row, "$Forwarded");
    item["seen"] = (row.system & store::seen) != 0;
    item["deleted"] = (row.system & store::deleted) != 0;
    item["flagged"] = (row.system & store::flagged) != 0;
    item["draft"] = (row.system & store::draft) != 0;
    item["answered"] = (row.system & store::answered) != 0 && !forwarded;
    item["forwarded"] = forwarded;
}

OrderedJson list_item(store::MailboxIndex const& index, store::Row const& row, store::MessageRecord const& record,
                      bool with_meta_data) {
    auto const documents = documents_of(record);
    auto const& info = documents.info;
    OrderedJson item{{"id", row.uid}, {"mailbox", index.info.id.hex()}, {"thread", record.thread.hex()}};
    item["from"] = sender_of(documents);
    for (auto const* key : {"to", "cc", "bcc"}) item[key] = addresses_of(info, key);
    item["messageId"] = message_id_of(info, row);
    item["subject"] = info.text("subject");
    item["date"] = iso_date(info.date("hdate").value_or(row.internal_date));
    item["idate"] = iso_date(row.internal_date);
    item["intro"] = info.text("intro");
    item["attachments"] = info.boolean("ha");
    item["attachmentsList"] = attachments_of(info);
    item["size"] = row.size;
    add_flags(index, row, item);
    item["references"] = addresses_of(info, "references");
    if (with_meta_data) item["metaData"] = parsed_object(std::string(documents.meta.text("custom")));
    auto const* type = info.document("contentType");
    item["contentType"] = type ? to_json(*type) : OrderedJson{{"value", "text/plain"}};
    if (info.boolean("encrypted")) item["encrypted"] = true;
    return item;
}

Schema listed_message() {
    std::vector<Field> fields{required("id", number()),
                              required("mailbox", id()),
                              required("thread", id()),
                              optional("threadMessageCount", number()),
                              optional("hasDrafts", boolean()),
                              optional("from", address()),
                              required("to", array(address())),
                              required("cc", array(address())),
                              required("bcc", array(address())),
                              required("messageId", text()),
                              required("subject", text()),
                              required("date", date()),
                              optional("idate", date()),
                              required("intro", text()),
                              required("attachments", boolean()),
                              optional("attachmentsList", array(attachment())),
                              required("size", number()),
                              required("references", array(text())),
                              optional("headers", open_object()),
                              optional("metaData", open_object()),
                              required("contentType", content_type()),
                              optional("encrypted", boolean())};
    for (auto& field : flag_fields()) fields.push_back(std::move(field));
    return object(std::move(fields));
}

Schema shown_message() {
    auto const recipient = object({required("value", text()), required("formatted", text())});
    auto const list_entry = object({optional("name", text()), optional("address", text())});
    std::vector<Field> fields{
        required("id", number()),
        required("mailbox", id()),
        required("user", id()),
        required("envelope", object({required("from", text()), optional("rcpt", array(recipient))})),
        required("thread", id()),
        required("from", address()),
        optional("replyTo", array(address())),
        optional("to", array(address())),
        optional("cc", array(address())),
        optional("bcc", array(address())),
        required("subject", text()),
        required("messageId", text()),
        required("date", date()),
        optional("idate", date()),
        optional("list", object({optional("id", list_entry), optional("unsubscribe", array(list_entry))})),
        optional("expires", date(), "Removed then"),
        required("size", number()),
        optional("html", array(text()), "Not sanitised"),
        optional("text", text()),
        optional("attachments", array(attachment())),
        required("references", array(text())),
        optional("metaData", open_object()),
        optional("reference",
                 object({required("mailbox", id()), required("id", number()), required("action", text())})),
        optional("contentType", content_type()),
        optional("encrypted", boolean())};
    for (auto& field : flag_fields()) fields.push_back(std::move(field));
    return success_with(std::move(fields));
}

}  // namespace mallard::api
