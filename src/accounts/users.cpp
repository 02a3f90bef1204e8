// Users: created whole or not at all, read, changed, deleted.

#include <algorithm>

#include "accounts/accounts_impl.hpp"
#include "accounts/folder_names.hpp"
#include "accounts/normalize.hpp"
#include "accounts/paging.hpp"
#include "accounts/password.hpp"
#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

using bson::Date;
using bson::Document;
using bson::number;

namespace {

constexpr std::int64_t junk_retention_ms = 30LL * 24 * 3600 * 1000;
constexpr TimeMs creation_takes_at_most = 120'000;
constexpr std::size_t password_bytes_max = 256;

std::string_view const logged_out_because = "Authentication required";

// What a creation leaves behind that was cut off by the end of the process: disabled, and made some time ago.
bool is_leftover(Document const& user, TimeMs now) {
    return !user.boolean("activated") && user.date("created").value_or(0) + creation_takes_at_most < now;
}

std::unexpected<Error> username_taken() {
    return fail(ErrorKind::already_exists, "This username already exists", "users_dotless");
}

Result<std::string> hash_for(std::string_view password, bool hashed, int iterations) {
    if (hashed) {
        if (!is_supported_hash(password))
            return fail(ErrorKind::invalid, "The format of this password hash is unknown");
        return std::string(password);
    }
    if (password.size() > password_bytes_max)
        return fail(ErrorKind::too_large, "A password has at most 256 characters");
    return hash_password(password, iterations);
}

Document temporary_password(std::string const& hash, TimeMs valid_after, TimeMs now) {
    return {{"validAfter", Date{valid_after}}, {"password", hash}, {"created", Date{now}}};
}

}  // namespace

std::string Accounts::Impl::default_address(std::string const& username) const {
    if (is_email_address(username)) return username;
    return username.substr(0, username.find('@')) + "@" + config.email_domain;
}

// storage.md §17.1, §17.2
Result<void> Accounts::Impl::create_mailboxes(UserId id, NewUser const& user) {
    auto const names = folder_names(user.language);
    std::int64_t const junk_retention =
        user.retention_ms > 0 ? std::min(user.retention_ms, junk_retention_ms) : junk_retention_ms;
    std::vector<store::MailboxInfo> infos;
    auto const add = [&](std::string_view path, std::string_view special_use, std::int64_t retention) {
        store::MailboxInfo info;
        info.user = id;
        info.path = path;
        info.special_use = special_use;
        info.uid_validity = static_cast<std::uint32_t>(clock.now() / 1000);
        info.retention_ms = retention;
        infos.push_back(std::move(info));
    };
    add("INBOX", "", user.retention_ms);
    add(names.sent, "\\Sent", user.retention_ms);
    add(names.trash, "\\Trash", junk_retention);
    add(names.drafts, "\\Drafts", user.retention_ms);
    add(names.junk, "\\Junk", junk_retention);
    auto const created = mail.create_mailboxes(std::move(infos));
    if (!created) return std::unexpected(created.error());
    return {};
}

Result<void> Accounts::Impl::erase_addresses(UserId id) {
    MALLARD_TRY_ASSIGN(auto const rows,
                       documents.find(addresses_collection(), {.index = "user", .equals = {id}, .limit = 100'000}));
    for (auto const& row : rows) MALLARD_TRY(documents.erase(addresses_collection(), row.id("_id").value()));
    resolved.drop_all();
    return {};
}

// Removes what there is of a user that was never activated, or is half deleted. Safe to repeat.
Result<void> Accounts::Impl::clear_leftover(UserId id) {
    MALLARD_TRY(erase_addresses(id));
    MALLARD_TRY(mail.delete_user(id));
    MALLARD_TRY(documents.erase(users_collection(), id));
    MALLARD_TRY(erase_addresses(id));  // one that was added while the user was still there
    forget(id);
    return {};
}

Result<void> Accounts::Impl::finish_creation(UserId id, NewUser const& user, std::string const& address,
                                             std::string const& hash) {
    MALLARD_TRY(create_mailboxes(id, user));
    if (!address.empty())
        MALLARD_TRY(
            insert_address({.address = address, .addrview = uview(address), .user = id, .created = clock.now()}));
    store::Update finish{.set = {{"address", address}, {"activated", true}, {"disabled", false}},
                         .expect = {{"activated", false}}};
    if (user.require_password_change && !hash.empty())
        finish.set.emplace_back("tempPassword", temporary_password(hash, clock.now(), clock.now()));
    else
        finish.set.emplace_back("password", hash);
    MALLARD_TRY(update_user(id, finish));
    resolved.drop_all();
    if (user.indexing_feature) return state.add_member("feature:indexing", id.hex());
    return {};
}

Result<User> Accounts::create(NewUser const& user) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const username, check_username(user.username));
    std::string address;
    if (!user.empty_address) {
        address = normalize_address(user.address.empty() ? self.default_address(username) : user.address, true, false);
        if (address.find('*') != std::string::npos || address.starts_with('@') || !address.contains('@'))
            return fail(ErrorKind::invalid, "This is not an address: " + address);
    }
    // What exists is refused before the costly hash; the unique indexes have the last word.
    MALLARD_TRY_ASSIGN(auto const namesake, self.documents.find_one(users_collection(), {.index = "users_dotless",
                                                                                         .equals = {uview(username)}}));
    if (namesake) {
        if (!is_leftover(*namesake, self.clock.now())) return username_taken();
        MALLARD_TRY(self.clear_leftover(UserId(namesake->id("_id").value())));
    }
    if (!address.empty()) {
        MALLARD_TRY_ASSIGN(auto const row, self.address_row(uview(address)));
        auto const owner = row ? row->id("user") : std::nullopt;
        if (row && !owner) return address_taken();
        if (row) {
            MALLARD_TRY_ASSIGN(auto const owner_document, self.user_document(UserId(*owner)));
            if (owner_document && !is_leftover(*owner_document, self.clock.now())) return address_taken();
            MALLARD_TRY_ASSIGN(auto const deleted, self.documents.get(deleted_users_collection(), *owner));
            if (deleted)  // whose mail stays for a while: the address alone is in the way
                MALLARD_TRY(self.documents.erase(addresses_collection(), row->id("_id").value()));
            else
                MALLARD_TRY(self.clear_leftover(UserId(*owner)));
        }
    }
    std::string hash;
    if (!user.no_password && !user.password.empty()) {
        MALLARD_TRY_ASSIGN(hash, hash_for(user.password, user.hashed_password, self.config.pbkdf2_iterations));
    }

    auto const id = UserId::generate();
    auto const inserted =
        self.documents.insert(users_collection(), user_document(id, username, user, self.clock.now()));
    if (!inserted)
        return inserted.error().kind == ErrorKind::already_exists ? username_taken()
                                                                  : std::unexpected(inserted.error());
    auto const finished = self.finish_creation(id, user, address, hash);
    if (!finished) {
        // If this fails too, the disk is gone: the next creation of the name clears what is left.
        (void)self.clear_leftover(id);
        return std::unexpected(finished.error());
    }
    (void)self.log_event(id, {.action = "account created", .result = "success"});
    for (auto const& target : user.targets)
        (void)self.log_event(
            id, {.action = "user forward added", .result = "success", .protocol = "API", .target = target.value});
    MALLARD_TRY_ASSIGN(auto created, get(id));
    if (!created) return fail(ErrorKind::conflict, "The user was deleted meanwhile");
    return std::move(*created);
}

Result<std::optional<User>> Accounts::get(UserId id) const {
    TimeMs const now = impl_->clock.now();
    if (auto const cached = impl_->users.find(id, now)) return *cached;
    auto const ticket = impl_->users.ticket(id);
    MALLARD_TRY_ASSIGN(auto const document, impl_->user_document(id));
    if (!document) return std::nullopt;
    auto user = std::make_shared<User const>(user_from(*document));
    impl_->users.put(id, user, now, ticket);
    return *user;
}

Result<std::optional<User>> Accounts::find_by_username(std::string_view username) const {
    auto const view = username.contains('@') ? normalize_address(username, true, true) : uview(username);
    MALLARD_TRY_ASSIGN(auto const document,
                       impl_->documents.find_one(users_collection(), {.index = "users_dotless", .equals = {view}}));
    if (!document) return std::nullopt;
    return user_from(*document);
}

namespace {

// Numbers that, when set, also start their counter anew (storage.md §14).
struct LimitField {
    std::optional<std::int64_t> UserPatch::* value;
    char const* field;
    char const* counter;
};
constexpr LimitField limit_fields[] = {
    {&UserPatch::quota, "quota", nullptr},
    {&UserPatch::recipients, "recipients", "wdr:"},
    {&UserPatch::forwards, "forwards", "wdf:"},
    {&UserPatch::received_max, "receivedMax", "rl:rcpt:"},
    {&UserPatch::filters, "filters", nullptr},
    {&UserPatch::imap_max_upload, "imapMaxUpload", "iup:"},
    {&UserPatch::imap_max_download, "imapMaxDownload", "idw:"},
    {&UserPatch::pop3_max_download, "pop3MaxDownload", "pdw:"},
    {&UserPatch::pop3_max_messages, "pop3MaxMessages", "pxm:"},
    {&UserPatch::imap_max_connections, "imapMaxConnections", nullptr},
    {&UserPatch::retention_ms, "retention", nullptr},
};

// One kind at a time: a PGP key clears the certificates, certificates clear the PGP key (api.md §9).
void set_encryption_keys(UserPatch const& patch, store::Update& update) {
    bool const has_key = patch.pub_key && !patch.pub_key->empty();
    if (has_key) {
        std::erase_if(update.set, [](auto const& field) { return field.first.starts_with("smime"); });
        update.set.emplace_back("smimeCerts", bson::Array{});
        update.set.emplace_back("smimeCipher", "AES-CBC");
        update.set.emplace_back("smimeKeyTransport", "PKCS#1 v1.5");
    } else if (patch.smime_certs) {
        update.set.emplace_back("smimeCerts", to_array(*patch.smime_certs));
        if (!patch.smime_certs->empty()) {
            std::erase_if(update.set, [](auto const& field) { return field.first == "pubKey"; });
            update.set.emplace_back("pubKey", "");
        }
    }
}

void set_plain_fields(UserPatch const& patch, store::Update& update) {
    auto const set_text = [&](char const* field, std::optional<std::string> const& value) {
        if (value) update.set.emplace_back(field, *value);
    };
    auto const set_flag = [&](char const* field, std::optional<bool> const& value) {
        if (value) update.set.emplace_back(field, *value);
    };
    set_text("name", patch.name);
    set_text("language", patch.language);
    set_text("pubKey", patch.pub_key);
    set_text("metaData", patch.meta_data);
    set_text("internalData", patch.internal_data);
    set_text("smimeCipher", patch.smime_cipher);
    set_text("smimeKeyTransport", patch.smime_key_transport);
    set_flag("require2faEnabled", patch.require_2fa_enabled);
    set_flag("featureFlags.indexing", patch.indexing_feature);
    set_encryption_keys(patch, update);
    if (patch.mta_relay && patch.mta_relay->empty())
        update.unset.emplace_back("mtaRelay");
    else if (patch.mta_relay)
        update.set.emplace_back("mtaRelay", relay_document(*patch.mta_relay));
    set_flag("encryptMessages", patch.encrypt_messages);
    set_flag("encryptForwarded", patch.encrypt_forwarded);
    set_flag("uploadSentMessages", patch.upload_sent_messages);
    set_flag("disabled", patch.disabled);
    set_flag("suspended", patch.suspended);
    for (auto const& limit : limit_fields)
        if (auto const& value = patch.*limit.value) update.set.emplace_back(limit.field, number(*value));
    if (patch.spam_level) update.set.emplace_back("spamLevel", level_value(*patch.spam_level));
    if (patch.disabled_scopes) {
        auto scopes = *patch.disabled_scopes;
        std::ranges::sort(scopes);
        update.set.emplace_back("disabledScopes", to_array(scopes));
    }
    if (patch.from_whitelist) update.set.emplace_back("fromWhitelist", to_array(*patch.from_whitelist));
    if (patch.targets) update.set.emplace_back("targets", to_array(*patch.targets));
    if (patch.tags) set_tags(update, *patch.tags);
}

// api.md §9: a new password ends temporary ones and what was known of the old.
void set_password(Document const& user, std::string const& hash, TimeMs now, store::Update& update) {
    if (auto const old = user.text("password"); !old.empty())
        update.push.emplace_back("oldPasswords", Document{{"date", Date{now}}, {"hash", old}});
    update.set.emplace_back("password", hash);
    update.set.emplace_back("passwordChange", Date{now});
    update.set.emplace_back("requirePasswordChange", false);
    update.unset.insert(update.unset.end(), {"tempPassword", "lastPwnedCheck", "passwordPwned"});
}

void disable_second_factors(store::Update& update) {
    update.set.emplace_back("enabled2fa", bson::Array{});
    update.set.emplace_back("seed", "");
    update.set.emplace_back("pendingSeed", "");
    update.set.emplace_back("pendingSeedChanged", false);
    update.set.emplace_back("webauthn", Document{{"credentials", bson::Array{}}});
}

}  // namespace

Result<User> Accounts::update(UserId id, UserPatch const& patch) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const before, self.user_document(id));
    if (!before) return fail(ErrorKind::not_found, "This user does not exist");
    TimeMs const now = self.clock.now();
    store::Update update;

    auto const old_hash = before->text("password");
    if (patch.existing_password && !old_hash.empty()) {
        auto const verified = verify_password(*patch.existing_password, old_hash);
        if (!verified || !*verified) {
            (void)self.log_event(id, {.action = "password change", .result = "fail"});
            return fail(ErrorKind::auth_failed, "Password verification failed");
        }
    }
    set_plain_fields(patch, update);
    if (patch.password) {
        std::string hash;
        if (!patch.password->empty()) {
            MALLARD_TRY_ASSIGN(hash, hash_for(*patch.password, patch.hashed_password, self.config.pbkdf2_iterations));
        }
        set_password(*before, hash, now, update);
    }
    if (patch.disable_2fa.value_or(false)) disable_second_factors(update);
    bool const suspends = patch.suspended.value_or(false);
    if (patch.password || suspends)
        update.increment.emplace_back("authVersion", (patch.password ? 1 : 0) + (suspends ? 1 : 0));

    MALLARD_TRY_ASSIGN(auto const after, self.update_user(id, update));
    self.forget(id);
    for (auto const& limit : limit_fields)
        if (limit.counter != nullptr && patch.*limit.value) MALLARD_TRY(self.state.erase(limit.counter + id.hex()));
    if (patch.imap_max_connections) MALLARD_TRY(self.state.erase_field("lim:imap", id.hex()));
    if (patch.indexing_feature)
        MALLARD_TRY(*patch.indexing_feature ? self.state.add_member("feature:indexing", id.hex())
                                            : self.state.erase_member("feature:indexing", id.hex()));
    if (patch.password) (void)self.log_event(id, {.action = "password change", .result = "success"});
    if (patch.disable_2fa.value_or(false)) (void)self.log_event(id, {.action = "disable 2fa"});
    // Deviation: WildDuck lets the sessions of a user whom it disables go on (protocols.md §1.16).
    if (patch.password || suspends || patch.disabled.value_or(false)) self.log_out(id, std::string(logged_out_because));
    return user_from(after);
}

Result<std::string> Accounts::reset_password(UserId id, TimeMs valid_after) {
    auto& self = *impl_;
    std::string password = random_text(12, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    TimeMs const now = self.clock.now();
    auto const hash = hash_password(password, self.config.pbkdf2_iterations);
    auto const updated = self.update_user(id, {.set = {{"tempPassword", temporary_password(hash, valid_after, now)}},
                                               .unset = {"lastPwnedCheck", "passwordPwned"}});
    if (!updated) return std::unexpected(updated.error());
    self.forget(id);
    (void)self.log_event(id, {.action = "reset"});
    return password;
}

Result<Page<User>> Accounts::list(ListRequest const& request) const {
    std::string const in_address = to_lower(request.query);
    std::string const in_username = uview(request.query);
    auto const matches = [&](Document const& document) {
        if (!has_tags(document, request) || !forwards_there(document, request)) return false;
        return request.query.empty() || document.text("address").contains(in_address) ||
               document.text("unameview").contains(in_username);
    };
    bool const filtered =
        !request.query.empty() || !request.tags.empty() || !request.required_tags.empty() || !request.forward.empty();
    PageOrder const order{.key = "_id"};
    Narrowing narrowing{.tags_index = "users_tags"};
    if (filtered) narrowing.matches = matches;
    MALLARD_TRY_ASSIGN(auto page, read_page(impl_->documents, users_collection(), order, request, narrowing));
    Page<User> users{.results = {}, .total = page.total, .next = page.next, .previous = page.previous};
    for (auto const& document : page.results) users.results.push_back(user_from(document));
    return users;
}

}  // namespace mallard::accounts
