// Users that go and come back, temporary passwords, storage counted again (api.md §9).

#include <algorithm>

#include "api/endpoint.hpp"
#include "api/user_changes.hpp"

namespace mallard::api {
namespace {

using namespace http;

Failure with_status(Failure failure, unsigned status, std::string code = {}) {
    if (failure.status == 503) return failure;  // it may be asked for again
    failure.status = status;
    if (!code.empty()) failure.code = std::move(code);
    return failure;
}

OrderedJson deletion_reply(Call const& call, ObjectId task, std::uint64_t addresses, TimeMs when) {
    OrderedJson reply = success();
    reply["code"] = "TaskScheduled";
    reply["user"] = call.user().hex();
    reply["addresses"] = {{"deleted", addresses}};
    reply["deleteAfter"] = iso_date(when);
    reply["task"] = task.hex();
    return reply;
}

// An unknown user is no error.
Answer delete_user(Call& call) {
    TimeMs const when = call.integer("deleteAfter", call.services.clock.now());
    auto const scheduled = call.services.accounts.schedule_deletion(call.user(), when);
    if (scheduled) return deletion_reply(call, scheduled->task, scheduled->addresses, when);
    if (scheduled.error().kind != ErrorKind::not_found)
        return std::unexpected(with_status(failure_of(scheduled.error(), Subject::user), 500));
    return deletion_reply(call, ObjectId::generate(), 0, when);
}

Answer restore_info(Call& call) {
    auto const found = call.services.accounts.deleted_user(call.user());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    if (!*found) return std::unexpected(Failure{404, "AccountNotFound", "There is no deleted user of this ID"});
    accounts::DeletedUser const& user = **found;
    OrderedJson reply = success();
    reply["user"] = user.id.hex();
    reply["username"] = user.username;
    reply["storageUsed"] = user.storage_used;
    reply["tags"] = user.tags;
    reply["deleted"] = iso_date(user.deleted);
    reply["recoverableAddresses"] = user.addresses;
    return reply;
}

Failure restore_failure(Error const& error) {
    Failure failure = with_status(failure_of(error, Subject::user), 500);
    if (error.kind == ErrorKind::not_found) failure = {500, "AccountNotFound", "There is no deleted user of this ID"};
    if (error.kind == ErrorKind::already_exists) failure.code = "AccountFound";
    if (error.kind == ErrorKind::conflict) failure.code = "DeleteInProgress";
    return failure;
}

Answer restore_user(Call& call) {
    auto const restored = call.services.accounts.restore(call.user());
    if (!restored) return std::unexpected(restore_failure(restored.error()));
    OrderedJson reply = success();
    reply["code"] = restored->task ? "TaskCancelled" : "RequestProcessed";
    reply["user"] = call.user().hex();
    if (restored->task) reply["task"] = restored->task->hex();
    reply["addresses"] = {{"recovered", restored->addresses}};
    if (!restored->main.empty()) reply["addresses"]["main"] = restored->main;
    return reply;
}

Answer reset_password(Call& call) {
    TimeMs const valid_after = call.integer("validAfter", call.services.clock.now());
    auto password = call.services.accounts.reset_password(call.user(), valid_after);
    if (!password && password.error().kind == ErrorKind::not_found)
        return std::unexpected(Failure{500, "UserUpdateFail", "This user does not exist"});
    if (!password) return std::unexpected(failure_of(password.error(), Subject::user));
    OrderedJson reply = success();
    reply["password"] = std::move(*password);
    reply["validAfter"] = iso_date(valid_after);
    return reply;
}

Answer reset_quota(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const previous = call.services.accounts.storage_used(call.user());
    if (!previous) return std::unexpected(failure_of(previous.error(), Subject::user));
    auto const counted = call.services.mailboxes.store().recount_storage(call.user());
    if (!counted) return std::unexpected(failure_of(counted.error(), Subject::user));
    auto const now = call.services.accounts.storage_used(call.user());
    if (!now) return std::unexpected(failure_of(now.error(), Subject::user));
    OrderedJson reply = success();
    reply["storageUsed"] = *now;
    reply["previousStorageUsed"] = *previous;
    return reply;
}

Answer reset_all_quotas(Call& call) {
    auto const task = call.services.accounts.schedule_recount();
    if (!task) return std::unexpected(failure_of(task.error(), Subject::user));
    OrderedJson reply = success();
    reply["task"] = task->hex();
    return reply;
}

Endpoints deletion_endpoints() {
    auto const log_only = std::vector<Field>{session_field(), ip_field()};
    return {{{.id = "deleteUser",
              .method = "DELETE",
              .path = "/users/{user}",
              .tag = "Users",
              .summary = "Delete a user with all addresses now, and with all mail soon after",
              .path_fields = {user_field()},
              .query_fields = {optional("deleteAfter", date().also(false).empty_is_absent(),
                                        "Until then the mail is kept and the user can be restored; default: now"),
                               session_field(), ip_field()},
              .reply = success_with({optional("code", text()), optional("user", id()),
                                     optional("addresses", object({optional("deleted", number())})),
                                     optional("deleteAfter", date()), optional("task", id())}),
              .permission = {"users", "delete", false}},
             delete_user},
            {{.id = "restoreUserInfo",
              .method = "GET",
              .path = "/users/{user}/restore",
              .tag = "Users",
              .summary = "What of a deleted user can be brought back?",
              .path_fields = {user_field()},
              .query_fields = log_only,
              .reply = success_with({required("user", id()), required("username", text()),
                                     required("storageUsed", number()), required("tags", array(text())),
                                     required("deleted", date()), required("recoverableAddresses", array(text()))}),
              .permission = {"users", "read", true}},
             restore_info},
            {{.id = "cancelUserDelete",
              .method = "POST",
              .path = "/users/{user}/restore",
              .tag = "Users",
              .summary = "Bring a deleted user back",
              .path_fields = {user_field()},
              .body_fields = log_only,
              .reply = success_with(
                  {required("code", text()), optional("user", id()), optional("task", id()),
                   optional("addresses", object({optional("recovered", number()), optional("main", text())}))}),
              .permission = {"users", "update", true}},
             restore_user}};
}

}  // namespace

Endpoints user_upkeep_endpoints() {
    Endpoints table = deletion_endpoints();
    table.push_back({{.id = "resetUserPassword",
                      .method = "POST",
                      .path = "/users/{user}/password/reset",
                      .tag = "Users",
                      .summary = "Make a temporary password, valid for 24 hours",
                      .path_fields = {user_field()},
                      .body_fields = {optional("validAfter", date().also(false).empty_is_absent(),
                                               "Not usable before; default: now"),
                                      session_field(), ip_field()},
                      .reply = success_with({required("password", text()), optional("validAfter", date())}),
                      .permission = {"users", "update", false}},
                     reset_password});
    table.push_back(
        {{.id = "recalculateQuota",
          .method = "POST",
          .path = "/users/{user}/quota/reset",
          .tag = "Users",
          .summary = "Count a user's storage again",
          .path_fields = {user_field()},
          .body_fields = {session_field(), ip_field()},
          .reply = success_with({required("storageUsed", number()), required("previousStorageUsed", number())}),
          .permission = {"users", "update", true}},
         reset_quota});
    table.push_back({{.id = "recalculateQuotaAllUsers",
                      .method = "POST",
                      .path = "/quota/reset",
                      .tag = "Users",
                      .summary = "Count the storage of all users again, soon",
                      .body_fields = {session_field(), ip_field()},
                      .reply = success_with({required("task", id())}),
                      .permission = {"users", "update", false}},
                     reset_all_quotas});
    return table;
}

}  // namespace mallard::api
