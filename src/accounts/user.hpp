#pragma once
// The user as the rest of the server sees it (storage.md §3.1), and what may be changed of it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace mallard::accounts {

struct Target {  // a forwarding target (delivery.md §8.1)
    ObjectId id;
    std::string type;  // "mail" | "relay" | "http"
    std::string value;
    UserId user;  // nil unless it is a local address
};

struct Limits {              // 0: the server's default
    std::int64_t quota = 0;  // bytes
    std::int64_t recipients = 0, forwards = 0, received_max = 0, filters = 0;
    std::int64_t imap_max_upload = 0, imap_max_download = 0, pop3_max_download = 0;  // bytes per day
    std::int64_t pop3_max_messages = 0, imap_max_connections = 0;
};

struct User {
    UserId id;
    std::string username, unameview, name, address, language;
    std::string password_hash;
    bool has_password_set = false;
    std::int64_t auth_version = 1;
    std::vector<std::string> enabled_2fa;
    Limits limits;
    std::vector<Target> targets;
    bool autoreply = false, upload_sent_messages = false, encrypt_messages = false, encrypt_forwarded = false;
    std::string pub_key;
    std::vector<std::string> smime_certs;           // PEM
    std::string smime_cipher, smime_key_transport;  // empty: the defaults, AES-CBC and PKCS#1 v1.5
    std::optional<Target> mta_relay;
    double spam_level = 50;
    std::int64_t retention_ms = 0;
    std::vector<std::string> disabled_scopes;  // imap pop3 smtp
    std::vector<std::string> tags;
    std::vector<std::string> from_whitelist;
    std::string meta_data, internal_data;  // JSON text of an object, or empty
    bool activated = false, disabled = false, suspended = false;
    bool indexing_feature = false;
    bool require_2fa_enabled = false;  // for the front end's use: no login looks at it
    TimeMs created = 0;
    std::optional<TimeMs> last_login, password_change;
};

struct NewUser {
    std::string username;
    std::string password;  // empty with no_password: master login impossible
    bool no_password = false;
    bool hashed_password = false;          // password is a supported hash, stored as it is
    bool require_password_change = false;  // the password is a temporary one: 24 hours, master scope only
    bool empty_address = false;
    std::string address;  // empty: username if it is one, else username@email_domain
    std::string name, language, pub_key, meta_data, internal_data;
    std::vector<std::string> tags, disabled_scopes, from_whitelist;
    std::vector<Target> targets;
    std::vector<std::string> smime_certs;
    std::string smime_cipher, smime_key_transport;
    std::string mta_relay;  // URL; empty: none
    Limits limits;
    double spam_level = 50;
    std::int64_t retention_ms = 0;
    bool encrypt_messages = false, encrypt_forwarded = false, upload_sent_messages = false;
    bool require_2fa_enabled = false, indexing_feature = false;
};

struct UserPatch {
    std::optional<std::string> name, language, pub_key, meta_data, internal_data;
    std::optional<std::string> password;  // +1 on auth_version, cached logins dropped
    bool hashed_password = false;
    std::optional<std::string> existing_password;  // must match when given
    std::optional<std::vector<std::string>> tags, disabled_scopes, from_whitelist, smime_certs;
    std::optional<std::string> smime_cipher, smime_key_transport, mta_relay;
    std::optional<std::vector<Target>> targets;
    std::optional<std::int64_t> quota, recipients, forwards, received_max, filters, imap_max_upload, imap_max_download,
        pop3_max_download, pop3_max_messages, imap_max_connections, retention_ms;
    std::optional<double> spam_level;
    std::optional<bool> encrypt_messages, encrypt_forwarded, upload_sent_messages, disabled, suspended, disable_2fa;
    std::optional<bool> require_2fa_enabled, indexing_feature;
};

// A user that was deleted but whose mail is still there (storage.md §3.2).
struct DeletedUser {
    UserId id;
    std::string username;
    std::int64_t storage_used = 0;
    std::vector<std::string> tags, addresses;
    TimeMs deleted = 0;
};

struct Autoreply {  // of a forwarded address
    bool status = false;
    std::optional<TimeMs> start, end;
    std::string name, subject, text, html;
};

struct Address {
    AddressId id;
    std::string address, addrview, name;
    UserId user;  // nil: forwarded address
    std::vector<std::string> tags;
    std::string meta_data, internal_data;
    TimeMs created = 0;
    std::vector<Target> targets;  // forwarded only
    std::int64_t forwards = 0;
    bool forwarded_disabled = false;
    Autoreply autoreply;  // forwarded only
    bool main = false;    // it is the user's main address
};

}  // namespace mallard::accounts
