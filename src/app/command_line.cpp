// The only place that sees CLI11.
#include "app/command_line.hpp"

#include <CLI/CLI.hpp>
#include <functional>

#include "app/commands.hpp"
#include "app/serve.hpp"

namespace mallard::app {

namespace {

constexpr char const* about =
    "Mallard, a mail server: IMAP, POP3, LMTP and a REST API over one store.\n"
    "Start here:  mallard serve   then, in another terminal:  mallard user add you@example.com";

struct CommandLine {
    CommonOptions common;
    UserOptions user;
    TokenOptions token;
    TransferOptions transfer;
    CheckOptions check;
    MigrateOptions migrate;
    std::string worker_name;
    int worker_channel = -1;
    std::function<int()> run;
};

void add_common(CLI::App* command, CommonOptions& options) {
    command->add_option("--config", options.config_file, "configuration file (TOML); see `mallard config print`")
        ->type_name("FILE");
    command->add_option("--data", options.data, "data directory (default ./data)")->type_name("DIR");
    command->add_option("--set", options.assignments, "override an option: section.key=value; may be repeated")
        ->type_name("K=V")
        ->take_all()
        ->expected(1);
}

// A leaf command: its options are added by the caller.
CLI::App* leaf(CLI::App* parent, CommandLine& line, char const* name, char const* what, std::function<int()> run) {
    CLI::App* const command = parent->add_subcommand(name, what);
    add_common(command, line.common);
    command->callback([&line, run = std::move(run)] { line.run = run; });
    return command;
}

CLI::App* group(CLI::App& app, char const* name, char const* what) {
    return app.add_subcommand(name, what)->require_subcommand(1);
}

// One of the server's processes, started by the supervisor; hidden: nobody else can. The name is for `ps`.
void add_worker(CLI::App& app, CommandLine& line) {
    CLI::App* const worker = app.add_subcommand("worker", "One process of a server")->group("");
    worker->add_option("--name", line.worker_name);
    worker->add_option("--channel", line.worker_channel)->required();
    worker->callback([&line] { line.run = [&line] { return run_worker(line.worker_name, line.worker_channel); }; });
}

void add_config(CLI::App& app, CommandLine& line) {
    CLI::App* const config = group(app, "config", "Look at the configuration");
    leaf(config, line, "check", "Name every mistake in the configuration, with file and line",
         [&] { return command_config_check(line.common); });
    leaf(config, line, "print", "Show every option, its value, and where that came from",
         [&] { return command_config_print(line.common); });
    leaf(config, line, "docs", "Print docs/configuration.md", [] { return command_config_docs(); });
}

void add_users(CLI::App& app, CommandLine& line) {
    CLI::App* const user = group(app, "user", "Accounts");
    auto* add = leaf(user, line, "add", "Create an account; asks for its password, or makes one",
                     [&] { return command_user_add(line.common, line.user); });
    add->add_option("NAME", line.user.who, "user name, usually the address: ann@example.com")->required();
    add->add_option("--address", line.user.address, "its address, when that is not NAME");
    add->add_option("--name", line.user.name, "the person's name");
    add->add_option("--quota", line.user.quota_mb, "storage in MB (default: maxStorage)")
        ->check(CLI::NonNegativeNumber);
    add->add_flag("--password-stdin", line.user.password_stdin, "read the password from standard input");
    add->add_flag("--json", line.user.json, "print JSON");
    auto* list = leaf(user, line, "list", "List accounts", [&] { return command_user_list(line.common, line.user); });
    list->add_option("QUERY", line.user.query, "part of a user name, address or name");
    list->add_flag("--json", line.user.json, "print JSON");
    auto* show = leaf(user, line, "show", "Show one account: addresses, storage, mailboxes",
                      [&] { return command_user_show(line.common, line.user); });
    show->add_option("WHO", line.user.who, "user name, address or id")->required();
    show->add_flag("--json", line.user.json, "print JSON");
    auto* password = leaf(user, line, "password", "Change a password; asks for it, or makes one",
                          [&] { return command_user_password(line.common, line.user); });
    password->add_option("WHO", line.user.who, "user name, address or id")->required();
    password->add_flag("--password-stdin", line.user.password_stdin, "read the password from standard input");
    auto* remove = leaf(user, line, "delete", "Delete an account with all its mail",
                        [&] { return command_user_delete(line.common, line.user); });
    remove->add_option("WHO", line.user.who, "user name, address or id")->required();
    remove->add_flag("--yes", line.user.yes, "do not ask");
}

void add_tokens(CLI::App& app, CommandLine& line) {
    CLI::App* const token = group(app, "token", "Access tokens of the REST API");
    auto* create = leaf(token, line, "create", "Make a token; it is printed once",
                        [&] { return command_token_create(line.common, line.token); });
    create->add_option("--user", line.token.user, "who it is for: a name, or the account for role user")
        ->capture_default_str();
    create->add_option("--role", line.token.role, "what it may do")->capture_default_str();
    create->add_option("--ttl", line.token.ttl, "seconds it lives; 0: for ever")->capture_default_str();
    create->add_option("--description", line.token.description, "a note for `token list`");
    auto* list = leaf(token, line, "list", "List tokens by id (the tokens themselves are not kept)",
                      [&] { return command_token_list(line.common, line.token); });
    list->add_flag("--json", line.token.json, "print JSON");
    auto* revoke =
        leaf(token, line, "revoke", "End a token", [&] { return command_token_revoke(line.common, line.token); });
    revoke->add_option("TOKEN", line.token.token, "the token or its id")->required();
}

void add_mail(CLI::App& app, CommandLine& line) {
    auto* import = leaf(&app, line, "import", "Bring mail in: a Maildir, an mbox, .eml files. Safe to run again",
                        [&] { return command_import(line.common, line.transfer); });
    import->add_option("PATH", line.transfer.path, "Maildir, mbox file, folder of .eml files, or one .eml")->required();
    import->add_option("--user", line.transfer.user, "into whose account")->required();
    import->add_option("--mailbox", line.transfer.mailbox,
                       "into which mailbox (default INBOX); subfolders go below it");
    auto* out = leaf(&app, line, "export", "Take mail out to a Maildir, mbox files or .eml files. Safe to run again",
                     [&] { return command_export(line.common, line.transfer); });
    out->add_option("PATH", line.transfer.path, "the directory to write to")->required();
    out->add_option("--user", line.transfer.user, "of whose account")->required();
    out->add_option("--mailbox", line.transfer.mailbox, "only this mailbox");
    out->add_option("--format", line.transfer.format, "maildir, mbox or eml")
        ->check(CLI::IsMember({"maildir", "mbox", "eml"}))
        ->capture_default_str();
    auto* check = leaf(&app, line, "check", "Verify everything stored: counters, quota, references, bodies",
                       [&] { return command_check(line.common, line.check); });
    check->add_flag("--repair", line.check.repair, "mend what can be mended");
    check->add_flag("--json", line.check.json, "print JSON");
    auto* migrate = leaf(&app, line, "migrate",
                         "Move everything to another store while the server runs; may be broken off and run again",
                         [&] { return command_migrate(line.common, line.migrate); });
    auto const engines = CLI::IsMember({"embedded", "mongodb"});
    migrate->add_option("--from", line.migrate.from, "embedded or mongodb")->check(engines);
    migrate->add_option("--to", line.migrate.to, "likewise; the options of both as in the configuration")
        ->check(engines);
    migrate->add_option("--to-data", line.migrate.to_data, "move into this data directory (default: that of --data)")
        ->type_name("DIR");
    migrate->add_flag("--switch", line.migrate.finish, "stop the server, copy what is left, verify, switch");
    migrate->add_flag("--abandon", line.migrate.abandon, "let the configured store be served as it is");
}

}  // namespace

int run_command_line(int argc, char** argv) {
    CommandLine line;
    CLI::App app{about, "mallard"};
    app.set_version_flag("--version", "mallard " MALLARD_VERSION);
    app.require_subcommand(1);
    app.failure_message(CLI::FailureMessage::simple);
    leaf(&app, line, "serve", "Run the server", [&] { return serve(line.common, argv[0]); });
    add_worker(app, line);
    add_config(app, line);
    add_users(app, line);
    add_tokens(app, line);
    add_mail(app, line);
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return line.run();
}

}  // namespace mallard::app
