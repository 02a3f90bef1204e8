// Messages: show, change, delete (api.md §15). Listing: message_list.cpp; bytes: message_source.cpp; upload:
// upload.cpp.

#include <algorithm>
#include <charconv>

#include "accounts/normalize.hpp"
#include "api/endpoint.hpp"
#include "api/message_list.hpp"
#include "api/message_source.hpp"
#include "api/message_view.hpp"
#include "api/paging.hpp"
#include "api/values.hpp"
#include "base/encoding.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"

namespace mallard::api {
namespace {

using namespace http;

constexpr std::size_t texts_max = 640 * 1024;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (auto at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

// cid: links point at the attachments they mean.
void link_attachments(Call const& call, bson::Document const& info, mime::Texts& texts) {
    auto const* list = info.array("attachments");
    if (!list) return;
    std::string prefix = "attachment:";
    if (call.flag("replaceCidLinks")) {
        prefix = "/users/" + call.user().hex() + "/mailboxes/" + call.mailbox().hex() + "/messages/" +
                 std::to_string(call.integer("message")) + "/attachments/";
    }
    for (auto const& value : *list) {
        auto const* entry = value.as<bson::Document>();
        if (!entry) continue;
        auto cid = entry->text("cid");
        if (cid.starts_with('<') && cid.ends_with('>')) cid = cid.substr(1, cid.size() - 2);
        if (cid.empty()) continue;
        std::string const link = "cid:" + std::string(cid), target = prefix + std::string(entry->text("id"));
        replace_all(texts.text, link, target);
        for (auto& html : texts.html) replace_all(html, link, target);
    }
}

// Adds what only the bytes can say: hashes of each attachment.
void add_hashes(bson::Document const& info, std::string_view source, OrderedJson& attachments) {
    auto const* list = info.array("attachments");
    if (!list) return;
    for (std::size_t i = 0; i < attachments.size() && i < list->size(); ++i) {
        auto const* entry = (*list)[i].as<bson::Document>();
        if (!entry) continue;
        auto const begin = static_cast<std::size_t>(entry->integer("begin"));
        auto const end = static_cast<std::size_t>(entry->integer("end"));
        if (begin > end || end > source.size()) continue;
        auto const encoded = source.substr(begin, end - begin);
        attachments[i]["hash"] = hex_encode(sha256(encoded));
        attachments[i]["fileContentHash"] =
            base64_encode(sha256_decoded(encoded, to_lower(entry->text("transferEncoding"))));
    }
}

// {from, rcpt[{value, formatted}]} of how the message came in.
OrderedJson envelope_of(bson::Document const& meta) {
    auto const* uploaded = meta.document("envelope");
    bson::Document const& source = uploaded ? *uploaded : meta;
    OrderedJson envelope{{"from", source.text("from")}, {"rcpt", OrderedJson::array()}};
    auto const* recipients = source.array("to");
    if (!recipients) return envelope;
    for (auto const& recipient : *recipients) {
        auto const* address = recipient.as<std::string>();
        if (!address) continue;
        envelope["rcpt"].push_back(
            {{"value", *address}, {"formatted", accounts::normalize_address(*address, true, true)}});
    }
    return envelope;
}

bool set_seen(Call& call, FoundMessage const& message) {
    store::FlagChange const change{.mode = store::FlagMode::add, .flags = {.system = store::seen, .keywords = {}}};
    return call.services.mailboxes.change_flags(message.mailbox().id, {{message.row->uid, message.row->uid}}, change)
        .has_value();
}

void add_header_fields(Documents const& documents, store::Row const& row, OrderedJson& reply) {
    auto const& info = documents.info;
    reply["from"] = sender_of(documents);
    for (auto const* key : {"replyTo", "to", "cc", "bcc"}) {
        auto list = addresses_of(info, key);
        if (!list.empty()) reply[key] = std::move(list);
    }
    reply["subject"] = info.text("subject");
    reply["messageId"] = message_id_of(info, row);
    reply["date"] = iso_date(info.date("hdate").value_or(row.internal_date));
    reply["idate"] = iso_date(row.internal_date);
    if (auto const* list = info.find("list")) reply["list"] = to_json(*list);
}

Answer get_message(Call& call) {
    auto const message = find_message(call);
    if (!message) return std::unexpected(message.error());
    auto const record = record_of(call, *message);
    if (!record) return std::unexpected(record.error());
    auto const source = source_of(call, *message);
    if (!source) return std::unexpected(source.error());
    auto const entity = mime::parse(source->view());
    auto texts = mime::texts(entity, source->view(), texts_max);
    auto const documents = documents_of(*record);
    link_attachments(call, documents.info, texts);

    OrderedJson reply = success();
    reply["id"] = message->row->uid;
    reply["mailbox"] = message->mailbox().id.hex();
    reply["user"] = call.user().hex();
    reply["envelope"] = envelope_of(documents.meta);
    reply["thread"] = record->thread.hex();
    add_header_fields(documents, *message->row, reply);
    if (auto const expiry = call.services.mailboxes.store().expiry(message->mailbox().id, *message->row);
        expiry && *expiry) {
        reply["expires"] = iso_date(**expiry);
    }
    reply["size"] = message->row->size;
    add_flags(*message->index, *message->row, reply);
    if (call.flag("markAsSeen") && set_seen(call, *message)) reply["seen"] = true;
    if (!texts.html.empty()) reply["html"] = texts.html;
    reply["text"] = texts.text;
    auto attachments = attachments_of(documents.info);
    add_hashes(documents.info, source->view(), attachments);
    reply["attachments"] = std::move(attachments);
    reply["references"] = addresses_of(documents.info, "references");
    reply["metaData"] = parsed_object(std::string(documents.meta.text("custom")));
    if (auto const* reference = documents.meta.document("reference")) reply["reference"] = to_json(*reference);
    if (auto const* type = documents.info.document("contentType")) reply["contentType"] = to_json(*type);
    if (documents.info.boolean("encrypted")) reply["encrypted"] = true;
    return reply;
}

// 5 | 1,2,3 | 3:15 | 3:*; numbers beyond any UID name no message.
store::UidSet parse_range(std::string_view text) {
    constexpr std::uint64_t uid_max = 4294967295u;
    auto const number = [](std::string_view digits) {
        std::uint64_t value = uid_max + 1;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
    };
    store::UidSet set;
    if (auto const colon = text.find(':'); colon != text.npos) {
        auto first = number(text.substr(0, colon));
        auto last = text.substr(colon + 1) == "*" ? uid_max : number(text.substr(colon + 1));
        if (first > last) std::swap(first, last);
        first = std::max<std::uint64_t>(first, 1);
        last = std::min(last, uid_max);
        if (first <= last) set.add(static_cast<store::Uid>(first), static_cast<store::Uid>(last));
        return set;
    }
    while (!text.empty()) {
        auto const comma = text.find(',');
        auto const uid = number(text.substr(0, comma));
        if (uid >= 1 && uid <= uid_max) set.add(static_cast<store::Uid>(uid));
        text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    }
    return set;
}

store::UidSet present(store::MailboxIndex const& index, store::UidSet const& wanted) {
    store::UidSet found;
    index.for_uids(wanted, [&](std::uint32_t, store::Row const& row) { found.add(row.uid); });
    return found;
}

struct FlagRequest {
    store::Flags add, remove;
    bool empty() const { return add.system == 0 && remove.system == 0; }
};

FlagRequest flag_request(Call const& call) {
    FlagRequest request;
    constexpr std::pair<char const*, std::uint8_t> flags[] = {
        {"seen", store::seen}, {"deleted", store::deleted}, {"flagged", store::flagged}, {"draft", store::draft}};
    for (auto const& [name, bit] : flags) {
        if (call.has(name)) (call.flag(name) ? request.add : request.remove).system |= bit;
    }
    return request;
}

Result<void> apply(Call& call, MailboxId mailbox, store::UidSet const& uids, FlagRequest const& request) {
    auto& mailboxes = call.services.mailboxes;
    if (request.add.system != 0) {
        MALLARD_TRY(mailboxes.change_flags(mailbox, uids, {.mode = store::FlagMode::add, .flags = request.add}));
    }
    if (request.remove.system != 0) {
        MALLARD_TRY(mailboxes.change_flags(mailbox, uids, {.mode = store::FlagMode::remove, .flags = request.remove}));
    }
    return {};
}

store::MessagePatch patch_of(Call const& call) {
    store::MessagePatch patch;
    patch.custom = call.optional_text("metaData");
    if (!call.has("expires")) return patch;
    auto const& expires = call.params["expires"];
    patch.expires.emplace(expires.is_number() ? std::optional<TimeMs>(expires.get<TimeMs>()) : std::nullopt);
    return patch;
}

// Flags, metadata, expiry.
Result<void> apply_all(Call& call, MailboxId mailbox, store::UidSet const& uids, FlagRequest const& flags) {
    MALLARD_TRY(apply(call, mailbox, uids, flags));
    auto const patch = patch_of(call);
    if (patch.custom || patch.expires) MALLARD_TRY(call.services.mailboxes.patch(mailbox, uids, patch));
    return {};
}

Answer move_messages(Call& call, store::UidSet const& uids, FlagRequest const& flags) {
    auto const target_id = MailboxId::from_hex(call.text("moveTo")).value_or(MailboxId{});
    auto const target = call.services.mailboxes.get(call.user(), target_id);
    if (!target) return std::unexpected(failure_of(target.error(), Subject::mailbox));
    auto const moved = call.services.mailboxes.move(call.user(), call.mailbox(), uids, target_id);
    if (!moved) return std::unexpected(failure_of(moved.error(), Subject::message));
    if (moved->source.empty()) return std::unexpected(message_not_found());
    if (auto const changed = apply_all(call, target_id, moved->target, flags); !changed) {
        return std::unexpected(failure_of(changed.error(), Subject::message));
    }
    std::vector<store::Uid> targets;
    for (auto const& range : moved->target.ranges()) {
        for (std::uint64_t uid = range.first; uid <= range.last; ++uid) targets.push_back(static_cast<store::Uid>(uid));
    }
    OrderedJson reply = success();
    reply["mailbox"] = target_id.hex();
    reply["id"] = OrderedJson::array();
    std::size_t n = 0;
    for (auto const& range : moved->source.ranges()) {
        for (std::uint64_t uid = range.first; uid <= range.last && n < targets.size(); ++uid) {
            reply["id"].push_back(OrderedJson::array({uid, targets[n++]}));
        }
    }
    return reply;
}

Answer update_messages(Call& call) {
    auto const flags = flag_request(call);
    bool const asked =
        !flags.empty() || call.has("moveTo") || call.flag("markHam") || call.has("expires") || call.has("metaData");
    if (!asked) return std::unexpected(Failure{500, "", "Nothing was changed"});
    auto const mailbox = call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox && mailbox.error().kind == ErrorKind::not_found)
        return std::unexpected(Failure{500, "", "This mailbox does not exist"});
    if (!mailbox) return std::unexpected(failure_of(mailbox.error(), Subject::mailbox));
    auto const index = call.services.mailboxes.snapshot(mailbox->id);
    if (!index) return std::unexpected(failure_of(index.error(), Subject::mailbox));
    auto const uids = present(**index, parse_range(call.text("message")));
    if (uids.empty()) return std::unexpected(message_not_found());
    if (call.has("moveTo")) return move_messages(call, uids, flags);
    if (auto const changed = apply_all(call, mailbox->id, uids, flags); !changed) {
        return std::unexpected(failure_of(changed.error(), Subject::message));
    }
    OrderedJson reply = success();
    reply["updated"] = uids.count();
    return reply;
}

Answer delete_message(Call& call) {
    auto const message = find_message(call);
    if (!message) {
        Failure failure = message.error();
        if (failure.status == 404) failure.code.clear();
        return std::unexpected(std::move(failure));
    }
    auto const erased =
        call.services.mailboxes.expunge(message->mailbox().id, {{message->row->uid, message->row->uid}}, false);
    if (!erased) return std::unexpected(failure_of(erased.error(), Subject::message));
    if (erased->empty()) return std::unexpected(Failure{404, "", "This message does not exist"});
    return success();
}

// Also with `async` it is done when the reply goes out.
Answer delete_messages(Call& call) {
    auto const index = open_mailbox(call);
    if (!index) return std::unexpected(index.error());
    store::UidSet all;
    all.add(1, 4294967295u);
    auto const erased = call.services.mailboxes.expunge((*index)->info.id, present(**index, all), false);
    if (!erased) return std::unexpected(failure_of(erased.error(), Subject::mailbox));
    OrderedJson reply = success();
    if (call.flag("async")) {
        reply["existing"] = false;
        reply["scheduled"] = ObjectId::generate().hex();
    } else {
        reply["deleted"] = erased->count();
        reply["errors"] = 0;
    }
    return reply;
}

std::vector<Field> message_path(Schema message) {
    return {user_field(), mailbox_field(), required("message", std::move(message), "UID of the message")};
}

std::vector<Field> update_fields() {
    return {optional("moveTo", id(), "Move to this mailbox"),
            optional("seen", boolean()),
            optional("deleted", boolean()),
            optional("flagged", boolean()),
            optional("draft", boolean()),
            optional("markHam", boolean().default_to(false), "This is no spam"),
            optional("expires", alternatives({boolean(), date()}),
                     "Removed then, whatever the mailbox's retention says; false: never"),
            optional("metaData", json_object(), "Replaces what was there"),
            session_field(),
            ip_field()};
}

std::vector<Field> list_fields() {
    auto const off = boolean().default_to(false);
    std::vector<Field> fields{optional("unseen", boolean(), "true: unseen messages only; false: seen ones only"),
                              optional("metaData", off, "Include metaData"),
                              optional("threadCounters", off, "Include threadMessageCount"),
                              optional("includeHasDrafts", off, "Include hasDrafts"),
                              optional("collapseThreads", off, "One message per thread"),
                              optional("order", anything().default_to(std::string("desc")).empty_is_absent(),
                                       "asc or desc, by internal date"),
                              optional("includeHeaders", off, "Include all header fields")};
    for (auto& field : paging_fields()) fields.push_back(std::move(field));
    fields.push_back(session_field());
    fields.push_back(ip_field());
    return fields;
}

constexpr char messages_path[] = "/users/{user}/mailboxes/{mailbox}/messages";
constexpr char message_path_text[] = "/users/{user}/mailboxes/{mailbox}/messages/{message}";

Endpoints read_endpoints() {
    auto const uid = number().at_least(1);
    auto const off = boolean().default_to(false);
    auto const attachment_id = text().upper().rule(rules::attachment_id);
    auto attachment_path = message_path(uid);
    attachment_path.push_back(required("attachment", attachment_id, "ATT and five digits"));
    return {{{.id = "getMessages",
              .method = "GET",
              .path = messages_path,
              .tag = "Messages",
              .summary = "List messages",
              .path_fields = {user_field(), mailbox_field()},
              .query_fields = list_fields(),
              .reply = page_of(listed_message(), {optional("specialUse", text().also(nullptr))}),
              .permission = {"messages", "read", true},
              .allow_unknown = true},
             get_messages},
            {{.id = "getMessage",
              .method = "GET",
              .path = message_path_text,
              .tag = "Messages",
              .summary = "Show a message",
              .path_fields = message_path(uid),
              .query_fields = {optional("replaceCidLinks", off, "Links to embedded images lead to the API"),
                               optional("markAsSeen", off), session_field(), ip_field()},
              .reply = shown_message(),
              .permission = {"messages", "read", true}},
             get_message},
            {{.id = "getMessageSource",
              .method = "GET",
              .path = std::string(message_path_text) + "/message.eml",
              .tag = "Messages",
              .summary = "The message as it came",
              .path_fields = message_path(uid),
              .query_fields = {session_field(), ip_field()},
              .reply = binary(),
              .reply_type = "message/rfc822",
              .permission = {"messages", "read", true}},
             get_source},
            {{.id = "getMessageAttachment",
              .method = "GET",
              .path = std::string(message_path_text) + "/attachments/{attachment}",
              .tag = "Messages",
              .summary = "The content of an attachment",
              .path_fields = attachment_path,
              .query_fields = {optional("sendAsString", off, "Text in another charset becomes UTF-8")},
              .reply = binary(),
              .reply_type = "application/octet-stream",
              .permission = {"attachments", "read", true}},
             get_attachment}};
}

Endpoints write_endpoints() {
    auto const range = text().rule(rules::message_range);
    auto list_update = update_fields();
    list_update.insert(list_update.begin(), required("message", range, "5, 1,2,3, 3:15 or 3:*"));
    auto const reply = success_with({optional("id", array(array(number())), "Pairs of old and new UID"),
                                     optional("mailbox", id()), optional("updated", number())});
    auto const off = boolean().default_to(false);
    return {{{.id = "updateMessage",
              .method = "PUT",
              .path = messages_path,
              .tag = "Messages",
              .summary = "Change or move messages",
              .path_fields = {user_field(), mailbox_field()},
              .body_fields = list_update,
              .reply = reply,
              .permission = {"messages", "update", true}},
             update_messages},
            {{.id = "updateMessagePathParams",
              .method = "PUT",
              .path = message_path_text,
              .tag = "Messages",
              .summary = "Change or move the messages of the path",
              .path_fields = message_path(range),
              .body_fields = update_fields(),
              .reply = reply,
              .permission = {"messages", "update", true}},
             update_messages},
            {{.id = "deleteMessage",
              .method = "DELETE",
              .path = message_path_text,
              .tag = "Messages",
              .summary = "Delete a message",
              .path_fields = message_path(number().at_least(1)),
              .query_fields = {session_field(), ip_field()},
              .reply = success_with({}),
              .permission = {"messages", "delete", true}},
             delete_message},
            {{.id = "deleteMessagesInMailbox",
              .method = "DELETE",
              .path = messages_path,
              .tag = "Messages",
              .summary = "Delete all messages of a mailbox",
              .path_fields = {user_field(), mailbox_field()},
              .query_fields = {optional("async", off), optional("skipArchive", off), session_field(), ip_field()},
              .reply = success_with({optional("deleted", number()), optional("errors", number()),
                                     optional("existing", boolean()), optional("scheduled", id())}),
              .permission = {"messages", "delete", true}},
             delete_messages}};
}

}  // namespace

Endpoints message_endpoints() {
    Endpoints all = read_endpoints();
    for (auto& endpoint : write_endpoints()) all.push_back(std::move(endpoint));
    return all;
}

}  // namespace mallard::api
