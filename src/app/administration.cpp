#include "app/administration.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/log.hpp"

namespace mallard::app {

namespace {

struct Row {
    std::string_view name;
    Command run;
};
constexpr Row commands[] = {
    {"user.add", user_add},
    {"user.list", user_list},
    {"user.show", user_show},
    {"user.password", user_password},
    {"user.delete", user_delete},
    {"token.create", token_create},
    {"token.list", token_list},
    {"token.revoke", token_revoke},
    {"import.mailbox", import_mailbox},
    {"import.message", import_message},
    {"export.mailboxes", export_mailboxes},
    {"export.messages", export_messages},
    {"check", check_store},
    {"migrate", migrate_store},
    {"migrate.abandon", migrate_abandon},
    {"serve.stop", serve_stop},
};

Result<Json> run(Core& core, Json const& request, Channel& channel) {
    std::string const name = request.value("command", "");
    for (Row const& row : commands) {
        if (row.name != name) continue;
        try {
            return row.run(core, request, channel);
        } catch (Json::exception const& error) {
            return fail(ErrorKind::invalid, fmt::format("the arguments of {} are malformed", name), error.what());
        } catch (std::exception const& error) {
            return fail(ErrorKind::internal, "the command failed; the server's log says more", error.what());
        }
    }
    return fail(ErrorKind::not_supported,
                fmt::format("the running server ({}) does not know \"{}\": restart it after an upgrade",
                            MALLARD_VERSION, name));
}

}  // namespace

void serve_channel(Core& core, Channel& channel) {
    for (;;) {
        auto const request = channel.receive_json();
        if (!request) return;
        auto const result = run(core, *request, channel);
        if (!result && result.error().kind == ErrorKind::internal)
            log(LogLevel::error, {"control"}, result.error().message, {{"error", result.error().context}});
        auto const sent =
            channel.send(result ? Json{{"result", *result}} : Json{{"error", error_to_json(result.error())}});
        if (!sent) return;
    }
}

Result<accounts::User> resolve_user(Core& core, std::string const& who) {
    if (auto const id = UserId::from_hex(who)) {
        MALLARD_TRY_ASSIGN(auto user, core.accounts->get(*id));
        if (user) return *std::move(user);
    }
    MALLARD_TRY_ASSIGN(auto by_name, core.accounts->find_by_username(who));
    if (by_name) return *std::move(by_name);
    if (who.find('@') != std::string::npos) {
        MALLARD_TRY_ASSIGN(auto const resolved, core.accounts->resolve(who, false));
        if (resolved && resolved->user) {
            MALLARD_TRY_ASSIGN(auto user, core.accounts->get(*resolved->user));
            if (user) return *std::move(user);
        }
    }
    return fail(ErrorKind::not_found, fmt::format("there is no user \"{}\"; `mallard user list` shows them", who));
}

}  // namespace mallard::app
