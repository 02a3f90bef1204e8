#include "api/endpoint.hpp"

namespace mallard::api {

std::string Call::text(std::string_view name) const { return optional_text(name).value_or(std::string()); }

std::optional<std::string> Call::optional_text(std::string_view name) const {
    auto const found = params.find(name);
    if (found == params.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

bool Call::flag(std::string_view name, bool fallback) const {
    auto const found = params.find(name);
    return found != params.end() && found->is_boolean() ? found->get<bool>() : fallback;
}

std::int64_t Call::integer(std::string_view name, std::int64_t fallback) const {
    auto const found = params.find(name);
    return found != params.end() && found->is_number() ? found->get<std::int64_t>() : fallback;
}

std::vector<std::string> Call::texts(std::string_view name) const {
    auto const found = params.find(name);
    std::vector<std::string> list;
    if (found == params.end() || !found->is_array()) return list;
    for (auto const& item : *found) {
        if (item.is_string()) list.push_back(item.get<std::string>());
    }
    return list;
}

UserId Call::user() const { return UserId::from_hex(text("user")).value_or(UserId{}); }
MailboxId Call::mailbox() const { return MailboxId::from_hex(text("mailbox")).value_or(MailboxId{}); }

http::Field session_field() { return http::optional("sess", http::text().max(255), "Session identifier for the logs"); }
http::Field ip_field() { return http::optional("ip", http::ip(), "IP address the request came from, for the logs"); }
http::Field user_field() { return http::required("user", http::id(), "ID of the user, or `me`"); }
http::Field mailbox_field() { return http::required("mailbox", http::id(), "ID of the mailbox"); }

std::optional<Failure> check_user(Call& call) {
    auto const user = call.services.accounts.get(call.user());
    if (!user) return failure_of(user.error(), Subject::user);
    if (!*user) return user_not_found();
    return std::nullopt;
}

OrderedJson success() { return {{"success", true}}; }

http::Schema success_with(std::vector<http::Field> fields) {
    fields.insert(fields.begin(), http::required("success", http::boolean()));
    return http::object(std::move(fields));
}

}  // namespace mallard::api
