#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/administration.hpp"

namespace mallard::app {

namespace {

Json describe(accounts::User const& user) {
    return {{"id", user.id.hex()},       {"username", user.username},
            {"address", user.address},   {"name", user.name},
            {"disabled", user.disabled}, {"suspended", user.suspended},
            {"created", user.created},   {"lastLogin", user.last_login ? Json(*user.last_login) : Json()}};
}

}  // namespace

Result<Json> user_add(Core& core, Json const& request, Channel&) {
    accounts::NewUser fresh;
    fresh.username = request.at("username");
    fresh.password = request.at("password");
    fresh.address = request.value("address", "");
    fresh.name = request.value("name", "");
    fresh.limits.quota = request.value("quota", std::int64_t{0});
    MALLARD_TRY_ASSIGN(auto const user, core.accounts->create(fresh));
    return describe(user);
}

Result<Json> user_list(Core& core, Json const& request, Channel&) {
    accounts::ListRequest list;
    list.query = request.value("query", "");
    list.cursor = request.value("cursor", "");
    list.limit = request.value("limit", std::size_t{250});
    MALLARD_TRY_ASSIGN(auto const page, core.accounts->list(list));
    Json users = Json::array();
    for (accounts::User const& user : page.results) users.push_back(describe(user));
    return Json{{"total", page.total}, {"users", users}, {"next", page.next.value_or("")}};
}

Result<Json> user_show(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(auto const user, resolve_user(core, request.at("who")));
    Json out = describe(user);
    out["quota"] = core.accounts->quota_of(user);
    MALLARD_TRY_ASSIGN(out["storageUsed"], core.accounts->storage_used(user.id));
    out["passwordChange"] = user.password_change ? Json(*user.password_change) : Json();
    MALLARD_TRY_ASSIGN(auto const addresses, core.accounts->addresses(user.id));
    out["addresses"] = Json::array();
    for (accounts::Address const& address : addresses) out["addresses"].push_back(address.address);
    MALLARD_TRY_ASSIGN(auto const mailboxes, core.mailboxes->list(user.id));
    out["mailboxes"] = Json::array();
    for (store::MailboxInfo const& mailbox : mailboxes) {
        MALLARD_TRY_ASSIGN(auto const snapshot, core.mailboxes->snapshot(mailbox.id));
        out["mailboxes"].push_back({{"path", mailbox.path}, {"messages", snapshot->counts().messages}});
    }
    return out;
}

Result<Json> user_password(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(auto const user, resolve_user(core, request.at("who")));
    accounts::UserPatch patch;
    patch.password = request.at("password").get<std::string>();
    MALLARD_TRY(core.accounts->update(user.id, patch));
    return describe(user);
}

Result<Json> user_delete(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(auto const user, resolve_user(core, request.at("who")));
    MALLARD_TRY(core.accounts->erase(user.id));
    return describe(user);
}

Result<Json> token_create(Core& core, Json const& request, Channel&) {
    std::string user = request.at("user");
    std::string const role = request.at("role");
    if (role == "user") {  // its token speaks for one account
        MALLARD_TRY_ASSIGN(auto const account, resolve_user(core, user));
        user = account.id.hex();
    }
    MALLARD_TRY_ASSIGN(auto token, core.accounts->create_token(user, role, request.value("ttl", std::int64_t{0}),
                                                               request.value("description", "")));
    return Json{{"token", token}, {"user", user}, {"role", role}};
}

Result<Json> token_list(Core& core, Json const&, Channel&) {
    MALLARD_TRY_ASSIGN(auto const tokens, core.accounts->list_tokens());
    Json out = Json::array();
    for (accounts::AccessToken const& token : tokens)
        out.push_back({{"id", token.id},
                       {"user", token.user},
                       {"role", token.role},
                       {"created", token.created},
                       {"ttl", token.ttl},
                       {"description", token.description}});
    return Json{{"tokens", out}};
}

Result<Json> token_revoke(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(bool const found, core.accounts->revoke_token(request.at("token").get<std::string>()));
    if (!found) return fail(ErrorKind::not_found, "there is no such token; `mallard token list` shows them by id");
    return Json::object();
}

}  // namespace mallard::app
