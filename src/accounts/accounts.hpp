#pragma once
// Accounts: users, addresses, logins. On Documents (entities) and SharedState (failed logins, tokens).
//
// - A user has a mailbox tree from the moment create() returns (INBOX, Sent, Trash, Drafts, Junk: storage.md §17).
// - Creation is whole or not at all; username and address are unique by their views.
// - A verified password is remembered as a keyed hash for a short time (login_cache), dropped when it changes.
// - Threads: every call may come from any thread. authenticate() may hash for 100 ms: run it on Pool::long_work,
//   after try_cached() on Pool::commands.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/user.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "store/documents.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::accounts {

struct AccountsConfig {
    std::string email_domain;                         // for users created without address; empty: host name
    std::int64_t max_storage = 1024LL * 1024 * 1024;  // default quota, bytes (maxStorage)
    std::int64_t max_recipients = 2000, max_forwards = 2000;
    std::int64_t imap_max_connections = 15;
    std::int64_t pop3_max_messages = 250;
    std::int64_t imap_max_download = 10240LL << 20, imap_max_upload = 10240LL << 20, pop3_max_download = 10240LL << 20;
    int user_failures_max = 12;                                       // per 120 s (protocols.md §4.3)
    int address_failures_max = 0;                                     // per 300 s; 0: off
    std::string access_secret = "a secret cat";                       // api.accessControl.secret
    std::int64_t token_ttl = 1'209'600, token_lifetime = 15'552'000;  // seconds
    int login_cache_seconds = 60;
    int pbkdf2_iterations = 100'000;
};

enum class Scope { master, imap, pop3, smtp };

struct Credentials {
    std::string username, password;
    Scope scope = Scope::imap;
    std::string protocol;  // "IMAP", "POP3", "API": for the authlog
    std::string session;
    std::string address;  // the peer's IP
};

struct Login {
    UserId user;
    std::string username;
    std::string source = "master";  // or "asp"
    std::vector<std::string> require_2fa;
};

struct AccessToken {
    std::string user;  // 24 hex, or a name for administrative tokens
    std::string role;  // "root", "user", ...
    std::string id;    // sha256 hex of the token: what list and revoke use
    TimeMs created = 0;
    std::int64_t ttl = 0;  // seconds; 0: never expires
    std::string description;
};

// A page of a listing, in the order of the paging value.
template <class T>
struct Page {
    std::vector<T> results;
    std::uint64_t total = 0;
    std::optional<std::string> next, previous;  // cursors, opaque
};
struct ListRequest {
    std::string query;                             // substring of username or address; empty: all
    std::vector<std::string> tags, required_tags;  // any of, all of
    std::optional<UserId> user;                    // addresses: of this user only
    std::size_t limit = 20;
    std::string cursor;  // `next` or `previous` of an earlier page
    bool descending = false;
    std::string forward;  // substring of a forwarding target; empty: all
};

class Accounts {
public:
    Accounts(store::Documents& documents, store::SharedState& state, store::MailStore& mail, store::Events& events,
             Clock const& clock, AccountsConfig config);
    ~Accounts();
    Result<void> open();  // declares collections

    // Users.
    Result<User> create(NewUser const& user);
    Result<std::optional<User>> get(UserId id) const;  // cached for a few seconds
    Result<std::optional<User>> find_by_username(std::string_view username) const;
    Result<User> update(UserId id, UserPatch const& patch);
    Result<void> erase(UserId id);  // with mail and addresses; also one whose deletion is scheduled
    Result<Page<User>> list(ListRequest const& request) const;
    std::int64_t quota_of(User const& user) const;  // effective, bytes
    Result<std::int64_t> storage_used(UserId id) const;

    // Deletion by a task (storage.md §17.3, deletion.cpp): the user is gone at once, its mail when the task is due. One
    // of a time to come can be taken back until then.
    struct Scheduled {
        ObjectId task;
        std::uint64_t addresses = 0;  // deleted now
    };
    Result<Scheduled> schedule_deletion(UserId id, TimeMs when);
    Result<std::optional<DeletedUser>> deleted_user(UserId id) const;
    struct Restored {
        std::optional<ObjectId> task;  // that was cancelled
        std::uint64_t addresses = 0;   // recovered
        std::string main;
    };
    // not_found; already_exists: the username was taken since; conflict: the deletion is due or has begun.
    Result<Restored> restore(UserId id);

    // Tasks (tasks.cpp): the mail of deleted users, storage counted again.
    Result<ObjectId> schedule_recount();  // of all users
    Result<std::size_t> run_due_tasks();  // how many were done
    Result<void> release_dead_tasks();    // whose server died: they are due again

    // The authlog (storage.md §3.6).
    struct AuthRecord {
        ObjectId id;
        // The texts that are stored, by WildDuck's names ("action", "ip", "sess", ...); null where nothing was known.
        std::vector<std::pair<std::string, std::optional<std::string>>> texts;
        std::optional<bool> temporary;  // with a temporary application password
        TimeMs created = 0, last = 0, expires = 0;
        std::int64_t events = 0;  // alike, that became one
    };
    struct AuthFilter {
        std::string action, address;  // empty: any
    };
    Result<Page<AuthRecord>> authlog(UserId user, AuthFilter const& filter, ListRequest const& request) const;
    Result<std::optional<AuthRecord>> auth_record(UserId user, ObjectId id) const;

    // A temporary password, usable for 24 hours from now but not before `valid_after`; the old one keeps working.
    Result<std::string> reset_password(UserId id, TimeMs valid_after);

    // Addresses (storage.md §16).
    struct Resolved {
        Address address;
        std::optional<UserId> user;  // none: a forwarded address
    };
    Result<std::optional<Resolved>> resolve(std::string_view address, bool wildcards) const;
    // The user who gets what is sent to an address; none: nobody, or a forwarded address. Where other processes change
    // users as well, no cache is asked: who was disabled or lost the address gets nothing from that moment.
    struct Receiver {
        User user;
        std::int64_t storage_used = 0;
    };
    Result<std::optional<Receiver>> receiver(std::string_view address, bool wildcards) const;
    // The user whose address this is, when receiver() would answer from memory now.
    std::optional<UserId> at_hand(std::string_view address, bool wildcards) const;
    Result<Address> add_address(UserId user, std::string const& address, std::string const& name,
                                std::vector<std::string> const& tags, std::string const& meta_data,
                                std::string const& internal_data, bool main, bool allow_wildcard);
    struct AddressPatch {
        std::optional<std::string> address, name, meta_data, internal_data;
        std::optional<std::vector<std::string>> tags;
        std::optional<bool> main;
    };
    Result<Address> update_address(UserId user, AddressId id, AddressPatch const& patch);
    Result<void> erase_address(UserId user, AddressId id);  // denied: the main address
    Result<std::vector<Address>> addresses(UserId user) const;
    Result<std::optional<Address>> address(AddressId id) const;
    Result<Page<Address>> list_addresses(ListRequest const& request) const;

    // Forwarded addresses (forwarded_addresses.cpp). invalid; already_exists.
    Result<Address> add_forwarded(Address wanted, bool allow_wildcard);  // id, addrview and created are set here
    struct ForwardedPatch {
        std::optional<std::string> address, name, meta_data, internal_data;
        std::optional<std::vector<Target>> targets;
        std::optional<std::vector<std::string>> tags;
        std::optional<std::int64_t> forwards;
        std::optional<bool> disabled;
        std::optional<Autoreply> autoreply;
    };
    Result<Address> update_forwarded(AddressId id, ForwardedPatch const& patch);  // not_found: a user's too
    Result<void> erase_forwarded(AddressId id);

    // Domains (domains.cpp). A domain alias: mail to alias is mail to domain.
    struct DomainAlias {
        ObjectId id;
        std::string alias, domain;
        TimeMs created = 0;
    };
    Result<DomainAlias> add_domain_alias(std::string const& alias, std::string const& domain);
    Result<std::optional<DomainAlias>> domain_alias(ObjectId id) const;
    Result<std::optional<DomainAlias>> find_domain_alias(std::string const& alias) const;
    Result<Page<DomainAlias>> list_domain_aliases(ListRequest const& request) const;
    Result<bool> erase_domain_alias(ObjectId id);
    struct DomainRenamed {
        std::uint64_t addresses = 0, users = 0, dkim = 0, aliases = 0;
    };
    // already_exists, and nothing is changed: an address is taken at the new domain.
    Result<DomainRenamed> rename_domain(std::string const& from, std::string const& to);

    // Logins (protocols.md §4.2). Errors: auth_failed, rate_limited, scope_denied, unavailable.
    std::optional<Login> try_cached(Credentials const& credentials);  // memory only, microseconds
    Result<Login> authenticate(Credentials const& credentials);
    Result<bool> check_password(UserId id, std::string_view password) const;

    // One open session of a user more or less (imapMaxConnections); limit when there are too many.
    Result<void> session_opened(UserId user, std::string_view service);
    void session_closed(UserId user, std::string_view service);

    // A day's allowance in bytes: fails with rate_limited (and says when to come back) when it is used up before the
    // call. kind: "iup" "idw" "pdw" (storage.md §14).
    Result<void> use_allowance(User const& user, std::string_view kind, std::int64_t bytes);

    // Access tokens (storage.md §15.4).
    Result<std::string> create_token(std::string const& user, std::string const& role, std::int64_t ttl,
                                     std::string const& description = {});    // the token: 40 hex, shown once
    Result<std::optional<AccessToken>> verify_token(std::string_view token);  // also prolongs its life
    // A valid token of a user goes on after the change of the password that it asked for (api.md §2).
    Result<void> renew_token(std::string_view token);
    Result<std::vector<AccessToken>> list_tokens() const;
    Result<bool> has_tokens(std::string const& user) const;
    Result<bool> revoke_token(std::string_view token_or_id);

    struct Impl;  // accounts_impl.hpp

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::accounts
