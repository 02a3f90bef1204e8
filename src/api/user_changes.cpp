// Creating and updating users (api.md §9).

#include "api/user_changes.hpp"

#include <algorithm>
#include <array>

#include "accounts/password.hpp"
#include "api/values.hpp"
#include "base/encoding.hpp"
#include "encryption/certificate.hpp"
#include "encryption/pgp_key.hpp"

namespace mallard::api {
namespace {

using namespace http;

// The numbers of a user that are limits, and where they live.
struct LimitField {
    char const* name;
    std::int64_t accounts::Limits::* created;
    std::optional<std::int64_t> accounts::UserPatch::* patched;
};
constexpr std::array<LimitField, 10> limit_fields{{
    {"quota", &accounts::Limits::quota, &accounts::UserPatch::quota},
    {"recipients", &accounts::Limits::recipients, &accounts::UserPatch::recipients},
    {"forwards", &accounts::Limits::forwards, &accounts::UserPatch::forwards},
    {"filters", &accounts::Limits::filters, &accounts::UserPatch::filters},
    {"imapMaxUpload", &accounts::Limits::imap_max_upload, &accounts::UserPatch::imap_max_upload},
    {"imapMaxDownload", &accounts::Limits::imap_max_download, &accounts::UserPatch::imap_max_download},
    {"pop3MaxDownload", &accounts::Limits::pop3_max_download, &accounts::UserPatch::pop3_max_download},
    {"pop3MaxMessages", &accounts::Limits::pop3_max_messages, &accounts::UserPatch::pop3_max_messages},
    {"imapMaxConnections", &accounts::Limits::imap_max_connections, &accounts::UserPatch::imap_max_connections},
    {"receivedMax", &accounts::Limits::received_max, &accounts::UserPatch::received_max},
}};

// A hash that no login could ever match.
std::optional<Failure> refuse_hash(Call const& call) {
    auto const hash = call.text("password");
    if (!call.flag("hashedPassword") || hash.empty() || accounts::is_supported_hash(hash)) return std::nullopt;
    return Failure{500, "HashError", "The format of this password hash is unknown"};
}

// Keys that mail could never be encrypted to.
std::optional<Failure> refuse_keys(Call const& call, bool both_refused) {
    auto const key = call.text("pubKey");
    auto const certificates = call.texts("smimeCerts");
    if (both_refused && !key.empty() && !certificates.empty()) {
        return invalid_input("Send either pubKey or smimeCerts, not both");
    }
    if (!key.empty()) {
        if (auto const read = encryption::read_public_key(key); !read) return invalid_input(read.error().message);
    }
    for (auto const& certificate : certificates) {
        if (auto const read = encryption::read_certificate(certificate); !read)
            return invalid_input(read.error().message);
    }
    return std::nullopt;
}

std::optional<Failure> refuse(Call const& call, bool creating) {
    if (auto refused = refuse_hash(call)) return refused;
    return refuse_keys(call, creating);
}

bool indexing_of(Call const& call) {
    auto const flags = call.params.find("featureFlags");
    return flags != call.params.end() && flags->value("indexing", false);
}

std::optional<std::string> password_of(Call const& call) {
    if (!call.has("password")) return std::nullopt;
    return call.text("password");  // false and "" both mean: none
}

Failure creation_failure(Error const& error, Call const& call) {
    Failure failure = failure_of(error, Subject::user);
    if (error.kind == ErrorKind::already_exists) {
        failure.status = 500;
        if (error.context.find("addr") != std::string::npos) {
            failure.code = "AddressExistsError";
        } else {
            failure.extra["username"] = call.text("username");
        }
    }
    return failure;
}

// Gives the special mailboxes the names asked for.
std::optional<Failure> rename_mailboxes(Call& call, UserId user) {
    auto const names = call.params.find("mailboxes");
    if (names == call.params.end()) return std::nullopt;
    constexpr std::array<std::pair<char const*, char const*>, 4> uses{
        {{"sent", "\\Sent"}, {"trash", "\\Trash"}, {"junk", "\\Junk"}, {"drafts", "\\Drafts"}}};
    for (auto const& [key, use] : uses) {
        auto const name = names->find(key);
        if (name == names->end()) continue;
        auto const mailbox = call.services.mailboxes.find_special(user, use);
        if (!mailbox) return failure_of(mailbox.error(), Subject::mailbox);
        auto const path = name->get<std::string>();
        if (path == mailbox->path) continue;
        store::MailboxPatch patch;
        patch.path = path;
        auto const renamed = call.services.mailboxes.update(user, mailbox->id, patch);
        if (!renamed) return failure_of(renamed.error(), Subject::mailbox);
    }
    return std::nullopt;
}

std::optional<Failure> tag_address(Call& call, UserId user, std::vector<std::string> const& tags) {
    if (!call.flag("addTagsToAddress") || tags.empty()) return std::nullopt;
    auto const addresses = call.services.accounts.addresses(user);
    if (!addresses) return failure_of(addresses.error(), Subject::address);
    for (auto const& address : *addresses) {
        accounts::Accounts::AddressPatch patch;
        patch.tags = tags;
        auto const updated = call.services.accounts.update_address(user, address.id, patch);
        if (!updated) return failure_of(updated.error(), Subject::address);
    }
    return std::nullopt;
}

accounts::NewUser new_user(Call const& call) {
    accounts::NewUser user;
    user.username = call.text("username");
    user.password = call.text("password");
    user.no_password = user.password.empty();
    user.hashed_password = call.flag("hashedPassword");
    user.empty_address = call.flag("emptyAddress");
    user.address = call.text("address");
    user.name = call.text("name");
    user.language = call.text("language");
    user.pub_key = call.text("pubKey");
    user.meta_data = call.text("metaData");
    user.internal_data = call.text("internalData");
    user.tags = clean_tags(call.texts("tags"));
    user.disabled_scopes = call.texts("disabledScopes");
    user.from_whitelist = call.texts("fromWhitelist");
    user.targets = targets_of(call.texts("targets"));
    user.require_password_change = call.flag("requirePasswordChange");
    user.require_2fa_enabled = call.flag("require2faEnabled");
    user.indexing_feature = indexing_of(call);
    user.mta_relay = call.text("mtaRelay");
    user.smime_certs = call.texts("smimeCerts");
    user.smime_cipher = call.text("smimeCipher");
    user.smime_key_transport = call.text("smimeKeyTransport");
    user.spam_level = call.params.value("spamLevel", 50.0);
    user.retention_ms = call.integer("retention");
    user.upload_sent_messages = call.flag("uploadSentMessages");
    user.encrypt_messages = call.flag("encryptMessages");
    user.encrypt_forwarded = call.flag("encryptForwarded");
    for (auto const& field : limit_fields) user.limits.*field.created = call.integer(field.name);
    return user;
}

Answer create_user(Call& call) {
    if (auto refused = refuse(call, true)) return std::unexpected(std::move(*refused));
    if (call.text("address").find('*') != std::string::npos) {
        return std::unexpected(invalid_input("Invalid character in email address: *"));
    }
    accounts::NewUser const wanted = new_user(call);
    auto const user = call.services.accounts.create(wanted);
    if (!user) return std::unexpected(creation_failure(user.error(), call));
    auto failed = rename_mailboxes(call, user->id);
    if (!failed) failed = tag_address(call, user->id, wanted.tags);
    if (failed) {  // whole or not at all
        (void)call.services.accounts.erase(user->id);
        return std::unexpected(std::move(*failed));
    }
    OrderedJson reply = success();
    reply["id"] = user->id.hex();
    return reply;
}

template <class T, class Read>
void take(Call const& call, char const* name, std::optional<T>& into, Read read) {
    if (call.has(name)) into = read(name);
}

accounts::UserPatch patch_of(Call const& call) {
    accounts::UserPatch patch;
    auto const text_at = [&](char const* name) { return call.text(name); };
    auto const texts_at = [&](char const* name) { return call.texts(name); };
    auto const flag_at = [&](char const* name) { return call.flag(name); };
    patch.password = password_of(call);
    patch.hashed_password = call.flag("hashedPassword");
    patch.existing_password = call.optional_text("existingPassword");
    take(call, "name", patch.name, text_at);
    take(call, "language", patch.language, text_at);
    take(call, "pubKey", patch.pub_key, text_at);
    take(call, "metaData", patch.meta_data, text_at);
    take(call, "internalData", patch.internal_data, text_at);
    take(call, "disabledScopes", patch.disabled_scopes, texts_at);
    take(call, "fromWhitelist", patch.from_whitelist, texts_at);
    take(call, "tags", patch.tags, [&](char const* name) { return clean_tags(call.texts(name)); });
    take(call, "targets", patch.targets, [&](char const* name) { return targets_of(call.texts(name)); });
    take(call, "mtaRelay", patch.mta_relay, text_at);
    take(call, "smimeCerts", patch.smime_certs, texts_at);
    take(call, "smimeCipher", patch.smime_cipher, text_at);
    take(call, "smimeKeyTransport", patch.smime_key_transport, text_at);
    take(call, "require2faEnabled", patch.require_2fa_enabled, flag_at);
    take(call, "encryptMessages", patch.encrypt_messages, flag_at);
    take(call, "encryptForwarded", patch.encrypt_forwarded, flag_at);
    take(call, "featureFlags", patch.indexing_feature, [&](char const*) { return indexing_of(call); });
    take(call, "uploadSentMessages", patch.upload_sent_messages, flag_at);
    take(call, "disabled", patch.disabled, flag_at);
    take(call, "suspended", patch.suspended, flag_at);
    take(call, "disable2fa", patch.disable_2fa, flag_at);
    take(call, "spamLevel", patch.spam_level, [&](char const* name) { return call.params[name].get<double>(); });
    take(call, "retention", patch.retention_ms, [&](char const* name) { return call.integer(name); });
    for (auto const& field : limit_fields) {
        take(call, field.name, patch.*field.patched, [&](char const* name) { return call.integer(name); });
    }
    return patch;
}

Answer update_user(Call& call) {
    if (auto refused = refuse(call, false)) return std::unexpected(std::move(*refused));
    auto const updated = call.services.accounts.update(call.user(), patch_of(call));
    if (updated) {
        // The other tokens of the user are void now; the one that asked goes on.
        bool const own = call.who.user == call.user().hex() && !call.who.token.empty();
        if (own && call.has("password")) (void)call.services.accounts.renew_token(call.who.token);
        return success();
    }
    Failure failure = failure_of(updated.error(), Subject::user);
    if (updated.error().kind == ErrorKind::not_found) failure.status = 500;
    if (updated.error().kind == ErrorKind::auth_failed) {
        failure.status = 500;
        failure.code = "AuthFail";
    }
    return std::unexpected(std::move(failure));
}

Schema target() { return alternatives({email(), text().rule(rules::target)}); }
Schema natural() { return number().at_least(0); }

// The same in both operations; `fresh` gives the defaults of a creation.
std::vector<Field> common_fields(bool fresh) {
    auto const with_default = [fresh](Schema schema, Literal value) {
        return fresh ? schema.default_to(std::move(value)) : schema;
    };
    auto const flag = [&] { return with_default(boolean(), false); };
    std::vector<Field> fields{
        optional("password", text().max(256).also(false).also(std::string()), "Empty or false: no master password"),
        optional("hashedPassword", boolean().default_to(false), "The password is a hash to be stored as it is"),
        optional("allowUnsafe", boolean().default_to(true)),
        optional("language", text().max(20).empty_is_absent()),
        optional("retention", with_default(natural(), 0.0), "Milliseconds that messages are kept; 0: for ever"),
        optional("targets", array(target()), "Where mail is forwarded to: addresses, or smtp and http URLs"),
        optional("mtaRelay", text().rule(rules::relay)),
        optional("spamLevel", with_default(number().at_least(0).at_most(100), 50.0), "0: all is spam, 100: nothing is"),
        optional("require2faEnabled", flag()),
        optional("fromWhitelist", array(text().trim().max(128)), "Addresses the user may send from besides its own"),
        optional("tags", array(text().trim().max(128))),
        optional("disabledScopes", with_default(array(text().one_of({"imap", "pop3", "smtp"})).unique(), EmptyArray{})),
        optional("metaData", json_object(), "Shown to the user"),
        optional("internalData", json_object(), "Not shown to the user"),
        optional("pubKey", text().trim().rule(rules::pgp_key).empty_is_absent()),
        optional("smimeCerts", with_default(array(text().trim().rule(rules::certificate)).max_items(16), EmptyArray{})),
        optional("smimeCipher", with_default(text().one_of({"AES-CBC", "AES-GCM"}), std::string("AES-CBC"))),
        optional("smimeKeyTransport", with_default(text().one_of({"PKCS#1 v1.5", "OAEP"}), std::string("PKCS#1 v1.5"))),
        optional("encryptMessages", flag()),
        optional("encryptForwarded", flag()),
        optional("uploadSentMessages", flag()),
        optional("featureFlags", object({optional("indexing", boolean().default_to(false))})),
    };
    for (auto const& field : limit_fields) {
        fields.push_back(optional(field.name, with_default(natural(), 0.0), "0: the server's default"));
    }
    fields.push_back(session_field());
    fields.push_back(ip_field());
    return fields;
}

std::vector<Field> create_fields() {
    auto const path = text().rule(rules::no_double_slash).empty_is_absent();
    std::vector<Field> fields{
        required("username", username()),
        optional("address", email(), "Main address; default: the username at the server's domain"),
        optional("emptyAddress", boolean().default_to(false), "No address at all"),
        optional("name", text().max(256)),
        optional("requirePasswordChange", boolean().default_to(false)),
        optional("addTagsToAddress", boolean().default_to(false)),
        optional(
            "mailboxes",
            object({optional("sent", path), optional("trash", path), optional("junk", path), optional("drafts", path)}),
            "Names of the special mailboxes")};
    for (auto& field : common_fields(true)) fields.push_back(std::move(field));
    std::ranges::find(fields, "password", &Field::name)->required = true;
    return fields;
}

std::vector<Field> update_fields() {
    std::vector<Field> fields{
        optional("existingPassword", text().min(1).max(256).empty_is_absent(), "Checked when given"),
        optional("name", text().max(256).also(std::string()), "Empty: removed"),
        optional("disable2fa", boolean()),
        optional("disabled", boolean()),
        optional("suspended", boolean(), "Also ends sessions and tokens"),
        optional("protocol", text().default_to(std::string("API")))};
    for (auto& field : common_fields(false)) fields.push_back(std::move(field));
    auto& key = std::ranges::find(fields, "pubKey", &Field::name)->schema;  // empty: removed
    key.empty_is_absent_ = false;
    key.also(std::string());
    std::ranges::find(fields, "mtaRelay", &Field::name)->schema.also(std::string());
    return fields;
}

}  // namespace

Endpoints user_change_endpoints() {
    return {{{.id = "createUser",
              .method = "POST",
              .path = "/users",
              .tag = "Users",
              .summary = "Create a user",
              .body_fields = create_fields(),
              .reply = success_with({required("id", id())}),
              .permission = {"users", "create", false}},
             create_user},
            {{.id = "updateUser",
              .method = "PUT",
              .path = "/users/{user}",
              .tag = "Users",
              .summary = "Change a user",
              .path_fields = {user_field()},
              .body_fields = update_fields(),
              .reply = success_with({}),
              .permission = {"users", "update", true}},
             update_user}};
}

}  // namespace mallard::api
