// Uploading a message, raw or as structured fields (api.md §15.6).

#include <algorithm>

#include "api/compose.hpp"
#include "api/endpoint.hpp"
#include "api/message_view.hpp"
#include "store/bson.hpp"

namespace mallard::api {
namespace {

using namespace http;

constexpr std::size_t raw_max = 67'108'864;

bool has_structured_fields(Call const& call) {
    constexpr std::string_view names[] = {"from",    "replyTo", "to",   "cc",    "bcc",         "headers",
                                          "subject", "text",    "html", "files", "attachments", "reference"};
    return std::ranges::any_of(names, [&](auto name) { return call.has(name); });
}

bson::Document meta_of(Call const& call, Composed const& composed, std::optional<Referenced> const& referenced,
                       TimeMs now) {
    bson::Document meta{{"source", "API"},
                        {"from", ""},
                        {"origin", call.has("ip") ? call.text("ip") : call.request.peer_address},
                        {"transtype", "UPLOAD"},
                        {"time", bson::Date{now}}};
    if (call.has("metaData")) meta.set("custom", call.text("metaData"));
    bson::Array to;
    for (auto const& recipient : composed.recipients) to.emplace_back(recipient);
    meta.set("envelope", bson::Document{{"from", composed.from}, {"to", std::move(to)}});
    if (referenced) {
        meta.set("reference", bson::Document{{"action", referenced->action},
                                             {"mailbox", ObjectId(referenced->mailbox)},
                                             {"id", bson::number(referenced->uid)}});
    }
    return meta;
}

// Deletes the message that this one replaces; the upload stands either way.
void replace_previous(Call& call, OrderedJson& reply) {
    auto const previous = call.params.find("replacePrevious");
    if (previous == call.params.end()) return;
    auto const mailbox = previous->contains("mailbox")
                             ? MailboxId::from_hex(previous->value("mailbox", "")).value_or(MailboxId{})
                             : call.mailbox();
    auto const uid = previous->value("id", 0.0);
    auto const refuse = [&](std::string why) { reply["previousDeleteError"] = std::move(why); };
    auto const owned = call.services.mailboxes.get(call.user(), mailbox);
    if (!owned || !(uid >= 1 && uid <= 4294967295.0)) return refuse("This message does not exist");
    auto const number = static_cast<store::Uid>(uid);
    auto const erased = call.services.mailboxes.expunge(mailbox, {{number, number}}, false);
    if (!erased) return refuse(erased.error().message);
    if (erased->empty()) return refuse("This message does not exist");
    reply["previousDeleted"] = true;
}

std::optional<Failure> check_user(std::optional<accounts::User> const& user) {
    if (!user) return user_not_found();
    if (user->disabled || user->suspended) return Failure{403, "UserDisabled", "This user is disabled"};
    return std::nullopt;
}

// The bytes to store: the body or `raw` as they are, else composed into `composed`.
std::expected<std::string_view, Failure> source_to_store(Call& call, accounts::User const& user,
                                                         std::optional<Referenced> const& referenced, bool draft,
                                                         Composed& composed) {
    std::string_view source;
    if (call.body == BodyKind::whole) source = call.request.body.view();
    if (source.empty() && call.has("raw")) source = call.params["raw"].get_ref<std::string const&>();
    if (source.empty()) {
        if (!has_structured_fields(call))
            return std::unexpected(Failure{400, "EmptyMessage", "Empty message provided"});
        auto made = compose(call, user, referenced, draft);
        if (!made) return std::unexpected(failure_of(made.error(), Subject::message));
        composed = std::move(*made);
        source = composed.source;
    }
    if (source.size() <= raw_max) return source;
    Failure failure = invalid_input("\"raw\" length must be less than or equal to 67108864 characters long");
    failure.extra["details"] = {{"raw", failure.message}};
    return std::unexpected(std::move(failure));
}

Answer upload_message(Call& call) {
    if (call.has("bimi")) return std::unexpected(not_offered("bimi is not offered yet: leave it out"));
    auto const user = call.services.accounts.get(call.user());
    if (!user) return std::unexpected(failure_of(user.error(), Subject::user));
    if (auto refused = check_user(*user)) return std::unexpected(std::move(*refused));
    auto const mailbox = call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox) return std::unexpected(failure_of(mailbox.error(), Subject::mailbox));
    auto const referenced = referenced_message(call, **user);
    if (!referenced) return std::unexpected(referenced.error());
    bool const draft = call.flag("draft") || referenced->has_value();

    Composed composed;
    auto const source = source_to_store(call, **user, *referenced, draft, composed);
    if (!source) return std::unexpected(source.error());
    store::Flags flags;
    if (!call.flag("unseen")) flags.system |= store::seen;
    if (call.flag("flagged")) flags.system |= store::flagged;
    if (draft) flags.system |= store::draft;
    mailboxes::AppendRequest request{.user = call.user(),
                                     .mailbox = mailbox->id,
                                     .source = *source,
                                     .flags = flags,
                                     .via = mailboxes::Source::api,
                                     .meta = meta_of(call, composed, *referenced, call.services.clock.now()).encode(),
                                     .account = &**user};
    if (call.has("date")) request.internal_date = call.integer("date");
    auto const appended = call.services.mailboxes.append(request);
    if (!appended) return std::unexpected(failure_of(appended.error(), Subject::mailbox));
    OrderedJson reply = success();
    reply["message"] = {{"id", appended->uid}, {"mailbox", mailbox->id.hex()}, {"size", appended->size}};
    replace_previous(call, reply);
    return reply;
}

Schema address() { return object({optional("name", text().max(255).empty_is_absent()), required("address", email())}); }

std::vector<Field> upload_fields() {
    auto const words = text().max(255).empty_is_absent();
    auto const off = boolean().default_to(false);
    auto const lenient_address = object({optional("name", words), required("address", email().failover(""))});
    auto const header = object({optional("key", words), optional("value", text().max(102400).empty_is_absent())});
    auto const attachment = object(
        {optional("filename", words), optional("contentType", words),
         optional("encoding", text().default_to(std::string("base64")).empty_is_absent()),
         optional("contentTransferEncoding", text().empty_is_absent()), required("content", text()),
         optional("cid", words),
         optional("contentDisposition", text().trim().lower().one_of({"inline", "attachment"}).empty_is_absent())});
    auto const attachment_ids = array(text().upper().rule(rules::attachment_id));
    auto const reference = object({required("mailbox", id()), required("id", number().at_least(1)),
                                   required("action", text().one_of({"reply", "replyAll", "forward"})),
                                   optional("attachments", alternatives({boolean(), attachment_ids}))});
    return {optional("date", date(), "Internal date"),
            optional("unseen", off),
            optional("flagged", off),
            optional("draft", off),
            optional("raw", text().max(raw_max).empty_is_absent(), "The whole message, as it is"),
            optional("from", address()),
            optional("replyTo", address()),
            optional("to", array(lenient_address)),
            optional("cc", array(address())),
            optional("bcc", array(address())),
            optional("headers", array(header)),
            optional("subject", text().max(2048).empty_is_absent()),
            optional("text", text().max(1048576).empty_is_absent()),
            optional("html", text().max(1048576).empty_is_absent()),
            optional("files", array(id())),
            optional("attachments", array(attachment)),
            optional("metaData", json_object()),
            optional("reference", reference, "The message that this one answers or forwards"),
            optional("replacePrevious", object({optional("mailbox", id()), required("id", number())}),
                     "Delete this message once the new one is stored"),
            optional("bimi", object({required("domain", text()), optional("selector", words)})),
            session_field(),
            ip_field()};
}

}  // namespace

Endpoints upload_endpoints() {
    auto const message = object({required("id", number()), required("mailbox", id()), required("size", number())});
    return {{{.id = "uploadMessage",
              .method = "POST",
              .path = "/users/{user}/mailboxes/{mailbox}/messages",
              .tag = "Messages",
              .summary = "Put a message into a mailbox",
              .path_fields = {user_field(), mailbox_field()},
              .body_fields = upload_fields(),
              .reply = success_with({required("message", message), optional("previousDeleted", boolean()),
                                     optional("previousDeleteError", text())}),
              .permission = {"messages", "create", true},
              .raw_body = true},
             upload_message}};
}

}  // namespace mallard::api
