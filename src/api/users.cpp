// Users: list, resolve, get, logout (api.md §9). Creation and update: user_changes.cpp; deletion, restoring, password
// reset, quota: user_upkeep.cpp.

#include <algorithm>

#include "accounts/normalize.hpp"
#include "api/endpoint.hpp"
#include "api/paging.hpp"
#include "api/roles.hpp"
#include "api/user_changes.hpp"
#include "api/values.hpp"
#include "base/encoding.hpp"
#include "encryption/certificate.hpp"
#include "encryption/pgp_key.hpp"

namespace mallard::api {
namespace {

using namespace http;

constexpr std::int64_t forwards_default = 2000, recipients_default = 2000, received_default = 60, filters_default = 400;
constexpr std::int64_t traffic_default = 10240LL << 20;

std::int64_t or_default(std::int64_t own, std::int64_t fallback) { return own > 0 ? own : fallback; }

OrderedJson quota_of(Services& services, accounts::User const& user) {
    auto const used = services.accounts.storage_used(user.id);
    return {{"allowed", services.accounts.quota_of(user)}, {"used", std::max<std::int64_t>(used.value_or(0), 0)}};
}

// Stored null stays null in replies (api.md §7).
OrderedJson text_or_null(std::string const& text) { return text.empty() ? OrderedJson(nullptr) : OrderedJson(text); }

OrderedJson list_item(Call& call, accounts::User const& user) {
    OrderedJson item{{"id", user.id.hex()},
                     {"username", user.username},
                     {"name", text_or_null(user.name)},
                     {"address", user.address},
                     {"tags", user.tags},
                     {"targets", target_values(user.targets)},
                     {"enabled2fa", user.enabled_2fa},
                     {"autoreply", user.autoreply},
                     {"encryptMessages", user.encrypt_messages},
                     {"encryptForwarded", user.encrypt_forwarded},
                     {"quota", quota_of(call.services, user)},
                     {"hasPasswordSet", user.has_password_set},
                     {"activated", user.activated},
                     {"disabled", user.disabled},
                     {"suspended", user.suspended}};
    if (call.flag("metaData") && !user.meta_data.empty()) item["metaData"] = parsed_object(user.meta_data);
    if (call.flag("internalData") && !user.internal_data.empty())
        item["internalData"] = parsed_object(user.internal_data);
    filter_output(call.who.role, "userlisting", item);
    return item;
}

bool matches_own(accounts::User const& user, accounts::ListRequest const& filter) {
    if (!filter.query.empty() && to_lower(user.address).find(filter.query) == std::string::npos &&
        user.unameview.find(accounts::uview(filter.query)) == std::string::npos) {
        return false;
    }
    auto const has = [&](std::string const& tag) {
        return std::ranges::any_of(user.tags, [&](auto const& own) { return iequals(own, tag); });
    };
    return (filter.tags.empty() || std::ranges::any_of(filter.tags, has)) &&
           std::ranges::all_of(filter.required_tags, has);
}

Answer get_users(Call& call) {
    auto const page = page_request(call);
    accounts::ListRequest filter;
    filter.query = call.text("query");
    filter.forward = call.text("forward");
    filter.tags = comma_list(call.text("tags"));
    filter.required_tags = comma_list(call.text("requiredTags"));
    std::erase_if(filter.tags, [&](auto const& tag) {
        return std::ranges::any_of(filter.required_tags, [&](auto const& other) { return iequals(tag, other); });
    });
    filter.limit = page.limit;
    filter.cursor = page.where;

    OrderedJson reply = success();
    if (call.has("query")) reply["query"] = filter.query;
    OrderedJson results = OrderedJson::array();
    PageEdges edges;
    if (call.own_only) {
        auto const own = UserId::from_hex(call.who.user);
        auto const user = own ? call.services.accounts.get(*own) : Result<std::optional<accounts::User>>(std::nullopt);
        if (!user) return std::unexpected(failure_of(user.error(), Subject::user));
        if (*user && matches_own(**user, filter)) results.push_back(list_item(call, **user));
        edges.total = results.size();
    } else {
        auto const found = call.services.accounts.list(filter);
        if (!found && found.error().kind == ErrorKind::invalid) return std::unexpected(invalid_cursor());
        if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
        for (auto const& user : found->results) results.push_back(list_item(call, user));
        edges = {found->total, found->previous, found->next};
    }
    add_page(reply, page, edges, std::move(results));
    return reply;
}

Answer resolve_user(Call& call) {
    auto const user = call.services.accounts.find_by_username(call.text("username"));
    if (!user) return std::unexpected(failure_of(user.error(), Subject::user));
    if (!*user) return std::unexpected(user_not_found());
    OrderedJson reply = success();
    reply["id"] = (*user)->id.hex();
    return reply;
}

OrderedJson limits_of(Call& call, accounts::User const& user) {
    auto& state = call.services.state;
    std::string const id = user.id.hex();
    auto const& limits = user.limits;
    std::int64_t connections = 0;
    if (auto const open = state.hash("lim:imap")) {
        if (auto const found = open->find(id); found != open->end()) connections = std::atoll(found->second.c_str());
    }
    return {{"quota", quota_of(call.services, user)},
            {"recipients", counter_limit(state, "wdr:" + id, or_default(limits.recipients, recipients_default))},
            {"filters", {{"allowed", or_default(limits.filters, filters_default)}, {"used", 0}}},
            {"forwards", counter_limit(state, "wdf:" + id, or_default(limits.forwards, forwards_default))},
            {"received", counter_limit(state, "rl:rcpt:" + id, or_default(limits.received_max, received_default))},
            {"imapUpload", counter_limit(state, "iup:" + id, or_default(limits.imap_max_upload, traffic_default))},
            {"imapDownload", counter_limit(state, "idw:" + id, or_default(limits.imap_max_download, traffic_default))},
            {"pop3Download", counter_limit(state, "pdw:" + id, or_default(limits.pop3_max_download, traffic_default))},
            {"pop3MaxMessages", {{"allowed", or_default(limits.pop3_max_messages, call.config.pop3_max_messages)}}},
            {"imapMaxConnections",
             {{"allowed", or_default(limits.imap_max_connections, call.config.imap_max_connections)},
              {"used", connections}}}};
}

OrderedJson key_info(accounts::User const& user) {
    auto const key = encryption::read_public_key(user.pub_key);
    if (!key) return false;
    return {{"name", key->name}, {"address", key->address}, {"fingerprint", key->fingerprint}};
}

void add_certificates(accounts::User const& user, OrderedJson& reply) {
    reply["smimeCerts"] = user.smime_certs;
    reply["smimeCipher"] = user.smime_cipher.empty() ? "AES-CBC" : user.smime_cipher;
    reply["smimeKeyTransport"] = user.smime_key_transport.empty() ? "PKCS#1 v1.5" : user.smime_key_transport;
    reply["smimeCertInfo"] = OrderedJson::array();
    for (auto const& pem : user.smime_certs) {
        auto const read = encryption::read_certificate(pem);
        if (!read) continue;
        reply["smimeCertInfo"].push_back(
            {{"subject", read->subject}, {"serial", read->serial}, {"fingerprint", read->fingerprint}});
    }
}

Answer get_user(Call& call) {
    auto const found = call.services.accounts.get(call.user());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    if (!*found) return std::unexpected(user_not_found());
    accounts::User const& user = **found;
    OrderedJson reply = success();
    reply["id"] = user.id.hex();
    reply["username"] = user.username;
    reply["name"] = text_or_null(user.name);
    reply["address"] = user.address;
    reply["language"] = text_or_null(user.language);
    if (user.retention_ms > 0) reply["retention"] = user.retention_ms;
    reply["enabled2fa"] = user.enabled_2fa;
    reply["autoreply"] = user.autoreply;
    reply["encryptMessages"] = user.encrypt_messages;
    reply["encryptForwarded"] = user.encrypt_forwarded;
    reply["pubKey"] = user.pub_key;
    reply["spamLevel"] = to_json(bson::Value(user.spam_level));
    reply["keyInfo"] = key_info(user);
    add_certificates(user, reply);
    reply["metaData"] = parsed_object(user.meta_data);
    reply["internalData"] = parsed_object(user.internal_data);
    reply["targets"] = target_values(user.targets);
    if (user.mta_relay) reply["mtaRelay"] = user.mta_relay->value;
    reply["limits"] = limits_of(call, user);
    reply["tags"] = user.tags;
    reply["fromWhitelist"] = user.from_whitelist;
    reply["disabledScopes"] = user.disabled_scopes;
    reply["hasPasswordSet"] = user.has_password_set;
    reply["activated"] = user.activated;
    reply["disabled"] = user.disabled;
    reply["suspended"] = user.suspended;
    reply["passwordPwned"] = false;
    reply["require2faEnabled"] = user.require_2fa_enabled;
    reply["requirePasswordChange"] = false;
    reply["featureFlags"] = OrderedJson::object();
    if (user.indexing_feature) reply["featureFlags"]["indexing"] = true;
    filter_output(call.who.role, "users", reply);
    return reply;
}

Answer logout_user(Call& call) {
    auto const found = call.services.accounts.get(call.user());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    if (!*found) return std::unexpected(Failure{500, "UserNotFound", "This user does not exist"});
    auto reason = call.text("reason");
    if (reason.empty()) reason = "Logout requested from API";
    call.services.events.publish(
        {.kind = store::Event::Kind::logout, .user = call.user(), .mailbox = {}, .reason = std::move(reason)});
    return success();
}

Schema user_item() {
    return object({required("id", id()), required("username", text()), required("name", text().also(nullptr)),
                   required("address", text()), optional("tags", array(text())), required("targets", array(text())),
                   required("enabled2fa", array(text())), required("autoreply", boolean()),
                   required("encryptMessages", boolean()), required("encryptForwarded", boolean()),
                   optional("quota", object({required("allowed", number()), required("used", number())})),
                   optional("metaData", open_object()), optional("internalData", open_object()),
                   required("hasPasswordSet", boolean()), required("activated", boolean()),
                   required("disabled", boolean()), required("suspended", boolean())});
}

Schema counter() {
    return object({required("allowed", number()), required("used", number()),
                   required("ttl", alternatives({number(), boolean()}),
                            "Seconds until the count starts anew; false: not running")});
}

Schema user_details() {
    auto const pair = object({required("allowed", number()), required("used", number())});
    return success_with(
        {required("id", id()),
         required("username", text()),
         required("name", text().also(nullptr)),
         required("address", text()),
         optional("language", text().also(nullptr)),
         optional("retention", number()),
         required("enabled2fa", array(text())),
         required("autoreply", boolean()),
         required("encryptMessages", boolean()),
         required("encryptForwarded", boolean()),
         required("pubKey", text()),
         required("spamLevel", number()),
         required("keyInfo",
                  alternatives(
                      {object({required("name", text()), required("address", text()), required("fingerprint", text())}),
                       boolean()}),
                  "false: there is no key"),
         optional("smimeCerts", array(text())),
         optional("smimeCipher", text()),
         optional("smimeKeyTransport", text()),
         optional("smimeCertInfo", array(object({required("subject", text()), required("serial", text()),
                                                 required("fingerprint", text())}))),
         optional("mtaRelay", text()),
         required("metaData", open_object()),
         optional("internalData", open_object()),
         required("targets", array(text())),
         required("limits", object({required("quota", pair), required("recipients", counter()),
                                    required("filters", pair), required("forwards", counter()),
                                    required("received", counter()), required("imapUpload", counter()),
                                    required("imapDownload", counter()), required("pop3Download", counter()),
                                    optional("pop3MaxMessages", object({required("allowed", number())})),
                                    optional("imapMaxConnections", pair)})),
         optional("tags", array(text())),
         optional("fromWhitelist", array(text())),
         optional("disabledScopes", array(text())),
         required("hasPasswordSet", boolean()),
         required("activated", boolean()),
         required("disabled", boolean()),
         required("suspended", boolean()),
         required("passwordPwned", boolean()),
         required("require2faEnabled", boolean()),
         required("requirePasswordChange", boolean()),
         optional("featureFlags", open_object())});
}

std::vector<Field> list_fields() {
    auto const filter = text().lower().max(255).empty_is_absent();
    std::vector<Field> fields{
        optional("query", filter, "Part of the username or main address"),
        optional("forward", filter, "Part of a forwarding target"),
        optional("tags", text().trim().max(1024).empty_is_absent(), "Comma list: users with any of these"),
        optional("requiredTags", text().trim().max(1024).empty_is_absent(), "Comma list: users with all of these"),
        optional("metaData", boolean(), "Include metaData"),
        optional("internalData", boolean(), "Include internalData")};
    for (auto& field : paging_fields()) fields.push_back(std::move(field));
    fields.push_back(session_field());
    fields.push_back(ip_field());
    return fields;
}

}  // namespace

Endpoints user_endpoints() {
    Endpoints table{{{.id = "getUsers",
                      .method = "GET",
                      .path = "/users",
                      .tag = "Users",
                      .summary = "List users",
                      .query_fields = list_fields(),
                      .reply = page_of(user_item(), {optional("query", text())}),
                      .permission = {"userlisting", "read", true},
                      .allow_unknown = true},
                     get_users},
                    {{.id = "resolveUser",
                      .method = "GET",
                      .path = "/users/resolve/{username}",
                      .tag = "Users",
                      .summary = "Find the id of a username",
                      .path_fields = {required("username", username())},
                      .query_fields = {session_field(), ip_field()},
                      .reply = success_with({required("id", id())}),
                      .permission = {"users", "read", false}},
                     resolve_user},
                    {{.id = "getUser",
                      .method = "GET",
                      .path = "/users/{user}",
                      .tag = "Users",
                      .summary = "Show a user",
                      .path_fields = {user_field()},
                      .query_fields = {session_field(), ip_field()},
                      .reply = user_details(),
                      .permission = {"users", "read", true}},
                     get_user},
                    {{.id = "logoutUser",
                      .method = "PUT",
                      .path = "/users/{user}/logout",
                      .tag = "Users",
                      .summary = "End all IMAP sessions of a user",
                      .path_fields = {user_field()},
                      .body_fields = {optional("reason", text().max(128).empty_is_absent(), "Told to the clients"),
                                      session_field(), ip_field()},
                      .reply = success_with({}),
                      .permission = {"users", "read", true}},
                     logout_user}};
    for (auto const make : {user_change_endpoints, user_upkeep_endpoints})
        for (auto& endpoint : make()) table.push_back(std::move(endpoint));
    return table;
}

}  // namespace mallard::api
