#include "api/roles.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

namespace mallard::api {
namespace {

constexpr std::array<std::string_view, 12> role_names{"root",        "manager",     "webmail",   "user",
                                                      "auth",        "attachments", "tokenAuth", "audit",
                                                      "auditclient", "export",      "settings",  "downloader"};

struct Row {
    std::string_view resource;
    // In the order of role_names. Upper case: for any user; lower case: for the token's own.
    std::array<std::string_view, 12> letters;
};

constexpr std::string_view all = "CRUD", own = "crud", no = "";

constexpr Row table[] = {
    {"addresslisting", {"R", "R", no, "r", no, no, no, no, no, no, no, no}},
    {"addresses", {all, all, all, own, no, no, no, no, no, no, no, no}},
    {"authentication", {"CR", "CR", "CR", "cr", "C", no, "C", no, no, no, no, no}},
    {"userlisting", {"R", "R", no, "r", no, no, no, no, no, no, no, no}},
    {"users", {all, all, "RU", "ru", no, no, no, "R", no, no, no, no}},
    {"asps", {"CRD", "CRD", "CRD", "crd", no, no, no, no, no, no, no, no}},
    {"messages", {all, no, all, own, no, no, no, no, no, no, no, "R"}},
    {"attachments", {all, no, all, own, no, "R", no, no, no, no, no, no}},
    {"storage", {all, no, all, own, no, no, no, no, no, no, no, no}},
    {"mailboxes", {all, no, all, own, no, no, no, no, no, no, no, no}},
    {"autoreplies", {all, all, all, own, no, no, no, no, no, no, no, no}},
    {"filters", {all, all, all, own, no, no, no, no, no, no, no, no}},
    {"certs", {all, all, no, no, no, no, no, no, no, no, no, no}},
    {"dkim", {all, all, no, no, no, no, no, no, no, no, no, no}},
    {"domainaliases", {all, all, no, no, no, no, no, no, no, no, no, no}},
    {"domainaccess", {all, all, all, no, no, no, no, no, no, no, no, no}},
    {"webhooks", {all, all, all, "r", no, no, no, no, no, no, no, no}},
    {"settings", {all, no, no, no, no, no, no, no, no, no, all, no}},
    {"audit", {no, no, no, no, no, no, no, all, "R", no, no, no}},
    {"export", {no, no, no, no, no, no, no, no, no, "C", no, no}},
    {"import", {no, no, no, no, no, no, no, no, no, "C", no, no}},
};

std::optional<std::size_t> role_number(std::string_view role) {
    auto const found = std::ranges::find(role_names, role);
    if (found == role_names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - role_names.begin());
}

char letter_of(std::string_view action) {
    if (action == "create") return 'C';
    if (action == "read") return 'R';
    if (action == "update") return 'U';
    return action == "delete" ? 'D' : '?';
}

// What a user may change of itself; besides, what is for the log only and the path.
constexpr std::string_view own_user_fields[] = {"existingPassword",
                                                "password",
                                                "allowUnsafe",
                                                "language",
                                                "name",
                                                "targets",
                                                "mtaRelay",
                                                "spamLevel",
                                                "metaData",
                                                "uploadSentMessages",
                                                "pubKey",
                                                "smimeCerts",
                                                "smimeCipher",
                                                "encryptMessages",
                                                "retention",
                                                "smimeKeyTransport",
                                                "encryptForwarded",
                                                "disable2fa",
                                                "protocol",
                                                "sess",
                                                "ip",
                                                "user"};

}  // namespace

bool is_role(std::string_view role) { return role_number(role).has_value(); }

Access access_of(std::string_view role, std::string_view resource, std::string_view action) {
    auto const number = role_number(role);
    auto const row = std::ranges::find(table, resource, &Row::resource);
    if (!number || row == std::end(table)) return Access::none;
    auto const letters = row->letters[*number];
    char const letter = letter_of(action);
    if (letters.find(letter) != letters.npos) return Access::any;
    return letters.find(static_cast<char>(letter + ('a' - 'A'))) != letters.npos ? Access::own : Access::none;
}

void filter_input(std::string_view role, std::string_view operation_id, http::Json& params) {
    if (role == "auth" && (operation_id == "authenticate" || operation_id == "preauth")) params.erase("token");
    if (role != "user" || operation_id != "updateUser") return;
    for (auto it = params.begin(); it != params.end();) {
        bool const known = std::ranges::find(own_user_fields, it.key()) != std::end(own_user_fields);
        it = known ? std::next(it) : params.erase(it);
    }
}

void filter_output(std::string_view role, std::string_view resource, http::OrderedJson& item) {
    if (role == "auth" && resource == "authentication") item.erase("token");
    if (role != "user") return;
    if (resource == "users" || resource == "userlisting") {
        for (auto const* key : {"tags", "disabledScopes", "internalData"}) item.erase(key);
    }
    if (resource == "addresses" || resource == "addresslisting") item.erase("internalData");
}

}  // namespace mallard::api
