// Mailboxes (api.md §14).

#include <algorithm>
#include <tuple>

#include "api/endpoint.hpp"
#include "base/encoding.hpp"
#include "mime/charset.hpp"

namespace mallard::api {
namespace {

using namespace http;
using store::MailboxInfo;

OrderedJson item_of(MailboxInfo const& mailbox, store::MailboxIndex const& index) {
    OrderedJson item{
        {"id", mailbox.id.hex()}, {"name", mailbox.path.substr(mailbox.path.rfind('/') + 1)}, {"path", mailbox.path}};
    if (!mailbox.special_use.empty()) {
        item["specialUse"] = mailbox.special_use;
    } else if (mailbox.path == "INBOX") {
        item["specialUse"] = nullptr;
    }
    item["modifyIndex"] = index.highest_modseq;
    item["subscribed"] = mailbox.subscribed;
    item["hidden"] = mailbox.hidden;
    item["encryptMessages"] = mailbox.encrypt_messages;
    return item;
}

void add_counters(store::MailboxIndex const& index, OrderedJson& item) {
    auto const counts = index.counts();
    item["total"] = counts.messages;
    item["unseen"] = counts.unseen;
}

bool is_inbox_child(MailboxInfo const& mailbox) { return mailbox.path.starts_with("INBOX/"); }

// INBOX, INBOX/..., subscribed before unsubscribed, then by path.
void sort_for_people(std::vector<MailboxInfo>& mailboxes) {
    using Place = std::tuple<bool, bool, bool, std::string, std::string>;
    std::vector<std::pair<Place, MailboxInfo>> placed;
    placed.reserve(mailboxes.size());
    for (auto& m : mailboxes) {
        Place place(m.path != "INBOX", !is_inbox_child(m), !m.subscribed, mime::collation_key(m.path), m.path);
        placed.emplace_back(std::move(place), std::move(m));
    }
    std::ranges::sort(placed, {}, &std::pair<Place, MailboxInfo>::first);
    std::ranges::transform(placed, mailboxes.begin(), [](auto& one) { return std::move(one.second); });
}

Answer get_mailboxes(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto mailboxes = call.services.mailboxes.list(call.user());
    if (!mailboxes) return std::unexpected(failure_of(mailboxes.error(), Subject::mailbox));
    std::erase_if(*mailboxes, [&](MailboxInfo const& m) {
        if (m.hidden && !call.flag("showHidden")) return true;
        return call.flag("specialUse") && m.special_use.empty() && m.path != "INBOX";
    });
    sort_for_people(*mailboxes);
    OrderedJson reply = success();
    reply["results"] = OrderedJson::array();
    for (auto const& mailbox : *mailboxes) {
        auto const index = call.services.mailboxes.snapshot(mailbox.id);
        if (!index && index.error().kind == ErrorKind::not_found) continue;  // deleted meanwhile
        if (!index) return std::unexpected(failure_of(index.error(), Subject::mailbox));
        OrderedJson item = item_of(mailbox, **index);
        if (mailbox.retention_ms > 0) item["retention"] = mailbox.retention_ms;
        auto const bytes = (*index)->counts().bytes;
        if (call.flag("sizes") && bytes > 0) item["size"] = bytes;
        if (call.flag("counters")) add_counters(**index, item);
        reply["results"].push_back(std::move(item));
    }
    return reply;
}

Answer get_mailbox(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    bool const by_path = call.text("mailbox") == "resolve";
    if (by_path && !call.has("path")) {
        Failure failure = invalid_input("\"path\" is required");
        failure.extra["details"] = {{"path", failure.message}};
        return std::unexpected(std::move(failure));
    }
    auto const mailbox = by_path ? call.services.mailboxes.find(call.user(), call.text("path"))
                                 : call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox) return std::unexpected(failure_of(mailbox.error(), Subject::mailbox));
    auto const index = call.services.mailboxes.snapshot(mailbox->id);
    if (!index) return std::unexpected(failure_of(index.error(), Subject::mailbox));
    OrderedJson reply = success();
    reply.update(item_of(*mailbox, **index));
    reply["retention"] = mailbox->retention_ms;
    add_counters(**index, reply);
    return reply;
}

Answer create_mailbox(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    MailboxInfo settings;
    settings.hidden = call.flag("hidden");
    settings.encrypt_messages = call.flag("encryptMessages");
    settings.retention_ms = call.integer("retention");
    auto const created = call.services.mailboxes.create(call.user(), call.text("path"), std::move(settings));
    if (!created) {
        Failure failure = failure_of(created.error(), Subject::mailbox);
        bool const disallowed = created.error().kind == ErrorKind::limit || created.error().kind == ErrorKind::invalid;
        if (disallowed) failure = {400, "DisallowedMailboxMethod", created.error().message};
        return std::unexpected(std::move(failure));
    }
    OrderedJson reply = success();
    reply["id"] = created->id.hex();
    return reply;
}

// api.md §33: the two sentences that name their code.
Failure worded(Failure failure, std::string_view what) {
    if (failure.code == "NoSuchMailbox" || failure.code == "DisallowedMailboxMethod" ||
        failure.code == "MailboxExistsError") {
        failure.message = std::string(what) + " failed with code " + failure.code;
    }
    return failure;
}

Answer update_mailbox(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    store::MailboxPatch patch;
    patch.path = call.optional_text("path");
    if (call.has("retention")) patch.retention_ms = call.integer("retention");
    if (call.has("subscribed")) patch.subscribed = call.flag("subscribed");
    if (call.has("hidden")) patch.hidden = call.flag("hidden");
    if (call.has("encryptMessages")) patch.encrypt_messages = call.flag("encryptMessages");
    bool const asked = patch.path || patch.retention_ms || patch.subscribed || patch.hidden || patch.encrypt_messages;
    if (!asked) return std::unexpected(Failure{400, "", "Nothing was changed"});
    auto const mailbox = call.services.mailboxes.get(call.user(), call.mailbox());
    if (!mailbox) return std::unexpected(worded(failure_of(mailbox.error(), Subject::mailbox), "Mailbox update"));
    auto const updated = call.services.mailboxes.update(call.user(), call.mailbox(), patch);
    if (!updated) return std::unexpected(worded(failure_of(updated.error(), Subject::mailbox), "Mailbox update"));
    return success();
}

Answer delete_mailbox(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const erased = call.services.mailboxes.erase(call.user(), call.mailbox());
    if (!erased) return std::unexpected(worded(failure_of(erased.error(), Subject::mailbox), "Mailbox deletion"));
    return success();
}

std::vector<Field> mailbox_reply(bool single) {
    std::vector<Field> fields{required("id", id()),
                              required("name", text()),
                              required("path", text()),
                              optional("specialUse", text().also(nullptr)),
                              required("modifyIndex", number()),
                              required("subscribed", boolean()),
                              required("hidden", boolean()),
                              required("encryptMessages", boolean()),
                              optional("retention", number())};
    for (auto const* name : {"total", "unseen"}) {
        fields.push_back(single ? required(name, number()) : optional(name, number()));
    }
    if (!single) fields.push_back(optional("size", number()));
    return fields;
}

}  // namespace

Endpoints mailbox_endpoints() {
    auto const off = boolean().default_to(false);
    auto const resolvable = id().also(std::string("resolve"));
    auto const path = text().rule(rules::no_double_slash);
    return {{{.id = "getMailboxes",
              .method = "GET",
              .path = "/users/{user}/mailboxes",
              .tag = "Mailboxes",
              .summary = "List a user's mailboxes",
              .path_fields = {user_field()},
              .query_fields = {optional("specialUse", off, "Only INBOX and the special ones"),
                               optional("showHidden", off, "Hidden ones too"),
                               optional("counters", off, "Add total and unseen"), optional("sizes", off, "Add size"),
                               session_field(), ip_field()},
              .reply = success_with({required("results", array(object(mailbox_reply(false))))}),
              .permission = {"mailboxes", "read", true}},
             get_mailboxes},
            {{.id = "createMailbox",
              .method = "POST",
              .path = "/users/{user}/mailboxes",
              .tag = "Mailboxes",
              .summary = "Create a mailbox",
              .path_fields = {user_field()},
              .body_fields = {required("path", mailbox_path().max(65663), "Levels are separated by /"),
                              optional("hidden", off),
                              optional("retention", number().at_least(0), "Milliseconds; 0: as the user's"),
                              optional("encryptMessages", off, "What is put into it is encrypted with the user's key"),
                              session_field(), ip_field()},
              .reply = success_with({required("id", id())}),
              .permission = {"mailboxes", "create", true}},
             create_mailbox},
            {{.id = "getMailbox",
              .method = "GET",
              .path = "/users/{user}/mailboxes/{mailbox}",
              .tag = "Mailboxes",
              .summary = "Show a mailbox",
              .path_fields = {user_field(), required("mailbox", resolvable)},
              .query_fields = {optional("path", path, "With the id `resolve`: the mailbox of this path"),
                               session_field(), ip_field()},
              .reply = success_with(mailbox_reply(true)),
              .permission = {"mailboxes", "read", true}},
             get_mailbox},
            {{.id = "updateMailbox",
              .method = "PUT",
              .path = "/users/{user}/mailboxes/{mailbox}",
              .tag = "Mailboxes",
              .summary = "Rename or change a mailbox",
              .path_fields = {user_field(), mailbox_field()},
              .body_fields = {optional("path", mailbox_path().max(65663)),
                              optional("retention", number().at_least(0).empty_is_absent()),
                              optional("subscribed", boolean()), optional("encryptMessages", boolean()),
                              optional("hidden", boolean()), session_field(), ip_field()},
              .reply = success_with({}),
              .permission = {"mailboxes", "update", true}},
             update_mailbox},
            {{.id = "deleteMailbox",
              .method = "DELETE",
              .path = "/users/{user}/mailboxes/{mailbox}",
              .tag = "Mailboxes",
              .summary = "Delete a mailbox with its messages",
              .path_fields = {user_field(), mailbox_field()},
              .query_fields = {session_field(), ip_field()},
              .reply = success_with({}),
              .permission = {"mailboxes", "delete", true}},
             delete_mailbox}};
}

}  // namespace mallard::api
