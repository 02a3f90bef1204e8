#pragma once
// What the files of Accounts share: users.cpp, addresses.cpp, login.cpp, tokens.cpp.

#include <functional>
#include <string>

#include "accounts/accounts.hpp"
#include "accounts/entities.hpp"
#include "accounts/login_cache.hpp"
#include "accounts/short_cache.hpp"
#include "base/log.hpp"

namespace mallard::accounts {

// One row of the authlog (storage.md §3.6). Empty fields are stored as null, as WildDuck does.
struct AuthEvent {
    std::string action = "authentication";
    std::string result, source, protocol, session, address, required_scope, require_2fa, asp, asp_name, target;
};

struct Accounts::Impl {
    Impl(store::Documents& documents, store::SharedState& state, store::MailStore& mail, store::Events& events,
         Clock const& clock, AccountsConfig config);

    Result<std::optional<bson::Document>> user_document(UserId id) const {
        return documents.get(users_collection(), id);
    }
    Result<std::optional<bson::Document>> address_row(std::string_view addrview) const;
    Result<std::optional<bson::Document>> first_address_row(std::vector<std::string> const& candidates) const;
    // The row that this address leads to, with its user's document: as stored, past all caches.
    Result<std::optional<store::Joined>> look_up(std::string_view view, bool wildcards) const;
    // Every write of a user goes through here, so that no cache keeps what was before it.
    Result<bson::Document> update_user(UserId id, store::Update const& update);
    void forget(UserId id);  // in all caches

    Result<Address> insert_address(Address address);                                   // already_exists: it is taken
    Result<bson::Document> update_address(AddressId id, store::Update const& update);  // the same
    Result<bool> main_is_lost(UserId user) const;
    Result<Address> with_main(Address address) const;
    Result<void> mark_mains(std::vector<Address>& addresses) const;
    Result<void> remember_domain(std::string_view address);
    Result<void> clear_leftover(UserId user);
    Result<void> erase_addresses(UserId user);
    Result<void> forget_state(UserId user);  // counters, filters, application passwords of who is deleted
    Result<void> erase_all(store::Collection const& collection, std::string_view index, UserId user);
    Result<bool> run_task(Accounts& accounts, bson::Document const& task);
    Result<void> recount_all(std::function<void()> const& still_here);
    Result<std::optional<bson::Document>> deletion_task(UserId user) const;
    Result<void> add_task(ObjectId id, std::string_view name, bson::Document data, TimeMs when);  // `id` is a new one
    Result<void> finish_creation(UserId id, NewUser const& user, std::string const& address, std::string const& hash);
    Result<void> create_mailboxes(UserId id, NewUser const& user);
    std::string default_address(std::string const& username) const;

    // Adds the event to the authlog, or `times` to a like one of the last hours; the id of the row. A failure to write
    // it is logged and nothing else: it must not keep anyone out.
    std::optional<ObjectId> log_event(UserId user, AuthEvent const& event, std::int64_t times = 1);
    void log_out(UserId user, std::string const& reason);

    store::Documents& documents;
    store::SharedState& state;
    store::MailStore& mail;
    store::Events& events;
    Clock const& clock;
    AccountsConfig const config;

    mutable ShortCache<UserId, User> users;
    mutable ShortCache<std::string, Resolved> resolved;
    LoginCache logins;
};

// Whether a normalized address may be added here.
Result<void> check_address(std::string_view normal, bool main, bool wildcard);
std::unexpected<Error> address_taken();

// Tasks (storage.md §4.15).
inline constexpr std::string_view user_deletion_task = "user-delete", quota_task = "quota";
bson::Value task_value(bson::Document const& task, std::string_view field);  // null where it is not there

// "2 minutes", for messages that say when to come back.
std::string round_time(std::chrono::seconds seconds);

}  // namespace mallard::accounts
