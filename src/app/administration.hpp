#pragma once
// The commands of `mallard user|token|import|export|check` as the side that has the store runs them: one table from
// name to function, the same whether the command line reached a running server or opened the store itself.

#include <functional>

#include "app/control_protocol.hpp"
#include "app/core.hpp"

namespace mallard::app {

// Answers requests until the other side closes.
void serve_channel(Core& core, Channel& channel);

// One request: arguments in, result out. May read bytes from, and send progress and messages to the channel.
using Command = Result<Json> (*)(Core& core, Json const& request, Channel& channel);

// The user of an id, a user name or an address.
Result<accounts::User> resolve_user(Core& core, std::string const& who);

// administration_users.cpp
Result<Json> user_add(Core&, Json const&, Channel&);
Result<Json> user_list(Core&, Json const&, Channel&);
Result<Json> user_show(Core&, Json const&, Channel&);
Result<Json> user_password(Core&, Json const&, Channel&);
Result<Json> user_delete(Core&, Json const&, Channel&);
Result<Json> token_create(Core&, Json const&, Channel&);
Result<Json> token_list(Core&, Json const&, Channel&);
Result<Json> token_revoke(Core&, Json const&, Channel&);
// administration_mail.cpp
Result<Json> import_mailbox(Core&, Json const&, Channel&);
Result<Json> import_message(Core&, Json const&, Channel&);
Result<Json> export_mailboxes(Core&, Json const&, Channel&);
Result<Json> export_messages(Core&, Json const&, Channel&);
Result<Json> check_store(Core&, Json const&, Channel&);
// administration_migrate.cpp
Result<Json> migrate_store(Core&, Json const&, Channel&);
Result<Json> migrate_abandon(Core&, Json const&, Channel&);
Result<Json> serve_stop(Core&, Json const&, Channel&);

}  // namespace mallard::app
