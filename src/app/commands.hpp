#pragma once
// What the subcommands of `mallard` do, as the person at the terminal sees it. Each returns the exit status; errors are
// told on stderr. command_line.cpp turns arguments into these options.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/settings.hpp"

namespace mallard::app {

struct CommonOptions {
    std::string config_file;               // empty: none
    std::string data;                      // empty: the configuration says
    std::vector<std::string> assignments;  // --set
};

// Defaults, then file, environment, --set, --data. The error's message has a line per mistake.
Result<config::Settings> load_settings(CommonOptions const& options);

int command_config_check(CommonOptions const& options);
int command_config_print(CommonOptions const& options);
int command_config_docs();

struct UserOptions {
    std::string who, address, name, query;
    std::int64_t quota_mb = 0;
    bool password_stdin = false, yes = false, json = false;
};
int command_user_add(CommonOptions const& common, UserOptions const& options);
int command_user_list(CommonOptions const& common, UserOptions const& options);
int command_user_show(CommonOptions const& common, UserOptions const& options);
int command_user_password(CommonOptions const& common, UserOptions const& options);
int command_user_delete(CommonOptions const& common, UserOptions const& options);

struct TokenOptions {
    std::string user = "admin", role = "root", description, token;
    std::int64_t ttl = 0;
    bool json = false;
};
int command_token_create(CommonOptions const& common, TokenOptions const& options);
int command_token_list(CommonOptions const& common, TokenOptions const& options);
int command_token_revoke(CommonOptions const& common, TokenOptions const& options);

struct TransferOptions {
    std::string path, user, mailbox;
    std::string format = "maildir";  // export: maildir | mbox | eml
};
int command_import(CommonOptions const& common, TransferOptions const& options);
int command_export(CommonOptions const& common, TransferOptions const& options);

struct CheckOptions {
    bool repair = false, json = false;
};
int command_check(CommonOptions const& common, CheckOptions const& options);

struct MigrateOptions {
    std::string from, to;  // names of engines
    std::string to_data;   // the data directory to move to, if it is another
    bool finish = false, abandon = false;
};
int command_migrate(CommonOptions const& common, MigrateOptions const& options);

}  // namespace mallard::app
