#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/command_support.hpp"

namespace mallard::app {

namespace {

constexpr std::int64_t bytes_per_mb = 1024 * 1024;

std::string text(Json const& object, char const* key) {
    auto const it = object.find(key);
    return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

std::string time(Json const& value) { return value.is_number() ? human_time(value.get<std::int64_t>()) : "never"; }

void print_user(Json const& user) {
    fmt::print("id         {}\nusername   {}\n", text(user, "id"), text(user, "username"));
    if (!text(user, "name").empty()) fmt::print("name       {}\n", text(user, "name"));
    for (Json const& address : user.at("addresses"))
        fmt::print("address    {}{}\n", address.get<std::string>(), address == user.at("address") ? " (main)" : "");
    fmt::print("storage    {} of {}\n", human_bytes(user.at("storageUsed").get<std::uint64_t>()),
               human_bytes(user.at("quota").get<std::uint64_t>()));
    for (Json const& mailbox : user.at("mailboxes"))
        fmt::print("mailbox    {} ({} messages)\n", text(mailbox, "path"),
                   human_count(mailbox.at("messages").get<std::uint64_t>()));
    fmt::print("created    {}\nlast login {}\n", time(user.at("created")), time(user.at("lastLogin")));
    if (user.at("disabled").get<bool>()) fmt::print("disabled\n");
    if (user.at("suspended").get<bool>()) fmt::print("suspended\n");
}

}  // namespace

int command_user_add(CommonOptions const& common, UserOptions const& options) {
    auto const administration = open_administration(common, "user add");
    if (!administration) return report(administration.error());
    auto const password = new_password(options.password_stdin);
    if (!password) return report(password.error());
    auto const user = (*administration)
                          ->call({{"command", "user.add"},
                                  {"username", options.who},
                                  {"password", password->password},
                                  {"address", options.address},
                                  {"name", options.name},
                                  {"quota", options.quota_mb * bytes_per_mb}});
    if (!user) return report(user.error());
    if (options.json) {
        fmt::print("{}\n", user->dump(2));
        return 0;
    }
    fmt::print("Created {} <{}>, id {}\n", text(*user, "username"), text(*user, "address"), text(*user, "id"));
    if (password->generated) fmt::print("Its password, shown only now: {}\n", password->password);
    return 0;
}

int command_user_list(CommonOptions const& common, UserOptions const& options) {
    auto const administration = open_administration(common, "user list");
    if (!administration) return report(administration.error());
    Json all = Json::array();
    std::string cursor;
    do {
        auto const page =
            (*administration)
                ->call({{"command", "user.list"}, {"query", options.query}, {"cursor", cursor}, {"limit", 250}});
        if (!page) return report(page.error());
        for (Json const& user : page->at("users")) {
            if (options.json)
                all.push_back(user);
            else
                fmt::print("{}  {:<30} {:<40} {}{}\n", text(user, "id"), text(user, "username"), text(user, "address"),
                           text(user, "name"), user.at("disabled").get<bool>() ? " (disabled)" : "");
        }
        cursor = text(*page, "next");
    } while (!cursor.empty());
    if (options.json) fmt::print("{}\n", all.dump(2));
    return 0;
}

int command_user_show(CommonOptions const& common, UserOptions const& options) {
    auto const administration = open_administration(common, "user show");
    if (!administration) return report(administration.error());
    auto const user = (*administration)->call({{"command", "user.show"}, {"who", options.who}});
    if (!user) return report(user.error());
    if (options.json)
        fmt::print("{}\n", user->dump(2));
    else
        print_user(*user);
    return 0;
}

int command_user_password(CommonOptions const& common, UserOptions const& options) {
    auto const administration = open_administration(common, "user password");
    if (!administration) return report(administration.error());
    auto const password = new_password(options.password_stdin);
    if (!password) return report(password.error());
    auto const user =
        (*administration)->call({{"command", "user.password"}, {"who", options.who}, {"password", password->password}});
    if (!user) return report(user.error());
    fmt::print("The password of {} is changed\n", text(*user, "username"));
    if (password->generated) fmt::print("It is now, shown only here: {}\n", password->password);
    return 0;
}

int command_user_delete(CommonOptions const& common, UserOptions const& options) {
    if (!options.yes) {
        if (::isatty(STDIN_FILENO) == 0)
            return report({ErrorKind::invalid, "this removes the account and all its mail; say --yes to do it", ""});
        fmt::print(stderr, "Delete {} and all its mail? Type yes: ", options.who);
        char answer[8] = {};
        if (std::fgets(answer, sizeof answer, stdin) == nullptr || std::string_view(answer) != "yes\n")
            return report({ErrorKind::invalid, "nothing was deleted", ""});
    }
    auto const administration = open_administration(common, "user delete");
    if (!administration) return report(administration.error());
    auto const user = (*administration)->call({{"command", "user.delete"}, {"who", options.who}});
    if (!user) return report(user.error());
    fmt::print("Deleted {}\n", text(*user, "username"));
    return 0;
}

int command_token_create(CommonOptions const& common, TokenOptions const& options) {
    auto const administration = open_administration(common, "token create");
    if (!administration) return report(administration.error());
    auto const token = (*administration)
                           ->call({{"command", "token.create"},
                                   {"user", options.user},
                                   {"role", options.role},
                                   {"ttl", options.ttl},
                                   {"description", options.description}});
    if (!token) return report(token.error());
    fmt::print(stderr, "Access token for {} [{}], shown only now:\n", text(*token, "user"), text(*token, "role"));
    fmt::print("{}\n", text(*token, "token"));
    return 0;
}

int command_token_list(CommonOptions const& common, TokenOptions const& options) {
    auto const administration = open_administration(common, "token list");
    if (!administration) return report(administration.error());
    auto const list = (*administration)->call({{"command", "token.list"}});
    if (!list) return report(list.error());
    if (options.json) {
        fmt::print("{}\n", list->at("tokens").dump(2));
        return 0;
    }
    for (Json const& token : list->at("tokens")) {
        auto const ttl = token.at("ttl").get<std::int64_t>();
        fmt::print("{}  {:<24} {:<8} {}  {}  {}\n", text(token, "id"), text(token, "user"), text(token, "role"),
                   time(token.at("created")), ttl == 0 ? "no end" : fmt::format("{} s", ttl),
                   text(token, "description"));
    }
    return 0;
}

int command_token_revoke(CommonOptions const& common, TokenOptions const& options) {
    auto const administration = open_administration(common, "token revoke");
    if (!administration) return report(administration.error());
    auto const done = (*administration)->call({{"command", "token.revoke"}, {"token", options.token}});
    if (!done) return report(done.error());
    fmt::print("Revoked\n");
    return 0;
}

}  // namespace mallard::app
