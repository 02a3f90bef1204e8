// Logging in and out (api.md §10).

#include "api/endpoint.hpp"
#include "api/roles.hpp"
#include "base/encoding.hpp"

namespace mallard::api {
namespace {

using namespace http;

std::optional<accounts::Scope> scope_of(std::string_view name) {
    if (name == "master") return accounts::Scope::master;
    if (name == "imap") return accounts::Scope::imap;
    if (name == "pop3") return accounts::Scope::pop3;
    if (name == "smtp") return accounts::Scope::smtp;
    return std::nullopt;
}

// A username, or an address of the user; never a wildcard.
Result<std::optional<accounts::User>> find_login(Services& services, std::string const& login) {
    if (login.find('@') != std::string::npos) {
        MALLARD_TRY_ASSIGN(auto resolved, services.accounts.resolve(login, false));
        if (resolved) {
            if (!resolved->user) return std::nullopt;
            return services.accounts.get(*resolved->user);
        }
    }
    return services.accounts.find_by_username(login);
}

OrderedJson methods_or_false(std::vector<std::string> const& methods) {
    return methods.empty() ? OrderedJson(false) : OrderedJson(methods);
}

Answer preauth(Call& call) {
    auto const found = find_login(call.services, call.text("username"));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    bool const refused = !*found || (*found)->disabled || (*found)->suspended;
    if (refused) return std::unexpected(Failure{403, "AuthFailed", "Authentication failed"});
    accounts::User const& user = **found;
    auto const scope = call.text("scope");
    if (std::ranges::find(user.disabled_scopes, scope) != user.disabled_scopes.end()) {
        return std::unexpected(Failure{403, "InvalidAuthScope", "Access to " + scope + " is disabled for this user"});
    }
    OrderedJson reply = success();
    reply["id"] = user.id.hex();
    reply["username"] = user.username;
    reply["address"] = user.address;
    reply["scope"] = scope;
    reply["require2fa"] = scope == "master" ? methods_or_false(user.enabled_2fa) : OrderedJson(false);
    return reply;
}

Failure login_failure(Call& call, Error const& error) {
    Failure failure = failure_of(error, Subject::user);
    if (error.kind == ErrorKind::not_found) failure = {403, "AuthFailed", "Authentication failed"};
    if (error.kind != ErrorKind::auth_failed) return failure;
    if (error.context == "TempPasswordNotYetValid") failure.code = error.context;
    auto const user = find_login(call.services, call.text("username"));
    if (user && *user) failure.extra["id"] = (*user)->id.hex();
    return failure;
}

Answer authenticate(Call& call) {
    auto const scope_name = call.text("scope");
    auto const scope = scope_of(scope_name);
    if (!scope) {
        return std::unexpected(
            Failure{403, "InvalidAuthScope", "Unknown scope " + scope_name + ": use master, imap, pop3 or smtp"});
    }
    accounts::Credentials const credentials{.username = call.text("username"),
                                            .password = call.text("password"),
                                            .scope = *scope,
                                            .protocol = call.text("protocol"),
                                            .session = call.text("sess"),
                                            .address = call.has("ip") ? call.text("ip") : call.request.peer_address};
    auto const login = call.services.accounts.authenticate(credentials);
    if (!login) return std::unexpected(login_failure(call, login.error()));
    auto const user = call.services.accounts.get(login->user);
    if (!user) return std::unexpected(failure_of(user.error(), Subject::user));
    if (!*user) return std::unexpected(Failure{403, "AuthFailed", "Authentication failed"});

    OrderedJson reply = success();
    reply["id"] = login->user.hex();
    reply["username"] = login->username;
    bool const is_master = login->source != "asp";  // temporary passwords too
    if (is_master) reply["address"] = (*user)->address;
    reply["scope"] = scope_name;
    reply["require2fa"] = is_master ? methods_or_false(login->require_2fa) : OrderedJson(false);
    if (is_master) {
        reply["require2faEnabled"] = (*user)->require_2fa_enabled;
        reply["requirePasswordChange"] = login->source == "temporary";
    }
    bool const second_factor = std::ranges::any_of(login->require_2fa, [](auto const& m) { return m != "custom"; });
    if (call.flag("token") && !second_factor) {
        auto token = call.services.accounts.create_token(login->user.hex(), "user", call.config.token_ttl);
        if (!token && token.error().kind == ErrorKind::unavailable)
            return std::unexpected(failure_of(token.error(), Subject::user));
        if (!token)
            return std::unexpected(Failure{403, "AuthFailed", "Authentication failed: " + token.error().message});
        reply["token"] = std::move(*token);
    }
    filter_output(call.who.role, "authentication", reply);
    return reply;
}

Answer log_out(Call& call) {
    if (call.who.ends) (void)call.services.accounts.revoke_token(call.who.token);
    return success();
}

Answer is_authenticated(Call&) { return success(); }

Schema login_name() { return alternatives({username(), email()}); }

}  // namespace

Endpoints authentication_endpoints() {
    auto const methods = alternatives({array(text()), boolean()});
    return {{{.id = "preauth",
              .method = "POST",
              .path = "/preauth",
              .tag = "Authentication",
              .summary = "Would this user be let in, with the right password?",
              .body_fields = {required("username", login_name()),
                              optional("scope", text().default_to(std::string("master"))), session_field(), ip_field()},
              .reply = success_with({required("id", id()), required("username", text()), required("address", text()),
                                     required("scope", text()), required("require2fa", methods)}),
              .permission = {"authentication", "create", false}},
             preauth},
            {{.id = "authenticate",
              .method = "POST",
              .path = "/authenticate",
              .tag = "Authentication",
              .summary = "Log in",
              .body_fields = {required("username", login_name()), required("password", text().max(256)),
                              optional("protocol", text().default_to(std::string("API"))),
                              optional("scope", text().default_to(std::string("master")), "master, imap, pop3 or smtp"),
                              optional("appId", text().rule(rules::uri).empty_is_absent()),
                              optional("token", boolean().default_to(false), "Reply with an access token"),
                              session_field(), ip_field()},
              .reply = success_with({required("id", id()), required("username", text()), optional("address", text()),
                                     required("scope", text()), required("require2fa", methods),
                                     optional("require2faEnabled", boolean()),
                                     optional("requirePasswordChange", boolean()), optional("token", text())}),
              .permission = {"authentication", "create", false}},
             [](Call& call) -> Answer {
                 if (call.flag("token") && call.text("scope") != "master") {
                     Failure failure = invalid_input("\"scope\" must be [master]");
                     failure.extra["details"] = {{"scope", failure.message}};
                     return std::unexpected(std::move(failure));
                 }
                 return authenticate(call);
             }},
            {{.id = "invalidateAccessToken",
              .method = "DELETE",
              .path = "/authenticate",
              .tag = "Authentication",
              .summary = "Delete the access token of this request",
              .reply = success_with({}),
              .validates = false},
             log_out},
            {{.id = "isUserAuthenticated",
              .method = "GET",
              .path = "/authenticated",
              .tag = "Authentication",
              .summary = "Is the access token valid?",
              .query_fields = {session_field(), ip_field()},
              .reply = success_with({}),
              .permission = {"authentication", "read", true}},
             is_authenticated}};
}

}  // namespace mallard::api
