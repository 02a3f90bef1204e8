#include "accounts/entities.hpp"

#include <algorithm>

#include "accounts/normalize.hpp"
#include "base/encoding.hpp"

namespace mallard::accounts {

using bson::Array;
using bson::Date;
using bson::Document;
using bson::number;
using store::Collection;
using store::DatabaseRole;

Collection const& users_collection() {
    static Collection const collection{.name = "users",
                                       .role = DatabaseRole::users,
                                       .indexes = {{.name = "users", .fields = {"username"}},
                                                   {.name = "users_dotless", .fields = {"unameview"}, .unique = true},
                                                   {.name = "users_tags", .fields = {"tagsview"}, .sparse = true}}};
    return collection;
}

Collection const& deleted_users_collection() {
    static Collection const collection{.name = "deletedusers",
                                       .role = DatabaseRole::users,
                                       .indexes = {{.name = "deletedusers_dotless", .fields = {"unameview"}},
                                                   {.name = "deletedusers_address", .fields = {"address"}}}};
    return collection;
}

Collection const& addresses_collection() {
    static Collection const collection{.name = "addresses",
                                       .role = DatabaseRole::users,
                                       .indexes = {{.name = "address_dotless", .fields = {"addrview"}, .unique = true},
                                                   {.name = "address_tags", .fields = {"tagsview"}, .sparse = true},
                                                   {.name = "user", .fields = {"user"}}}};
    return collection;
}

Collection const& domain_aliases_collection() {
    static Collection const collection{.name = "domainaliases",
                                       .role = DatabaseRole::users,
                                       .indexes = {{.name = "domainalias", .fields = {"alias"}, .unique = true},
                                                   {.name = "domainlist", .fields = {"domain"}}}};
    return collection;
}

Collection const& domain_cache_collection() {
    static Collection const collection{.name = "domaincache",
                                       .role = DatabaseRole::users,
                                       .indexes = {{.name = "by_domain", .fields = {"domain"}, .unique = true}}};
    return collection;
}

Collection const& asps_collection() {
    static Collection const collection{
        .name = "asps",
        .role = DatabaseRole::users,
        .indexes = {{.name = "asps_user", .fields = {"user"}},
                    {.name = "entry_autoexpire", .fields = {"expires"}, .sparse = true, .ttl_field = "expires"}}};
    return collection;
}

Collection const& authlog_collection() {
    static Collection const collection{
        .name = "authlog",
        .role = DatabaseRole::users,
        .indexes = {{.name = "user", .fields = {"user", "_id"}},
                    {.name = "insert", .fields = {"user", "created", "key"}},
                    {.name = "by_ip", .fields = {"ip"}, .sparse = true},
                    {.name = "entry_autoexpire", .fields = {"expires"}, .sparse = true, .ttl_field = "expires"}}};
    return collection;
}

Collection const& tasks_collection() {
    static Collection const collection{.name = "tasks",
                                       .role = DatabaseRole::main,
                                       .indexes = {{.name = "task", .fields = {"locked", "lockedUntil"}},
                                                   {.name = "task_data_user", .fields = {"task", "data.user"}}}};
    return collection;
}

Collection const& dkim_collection() {
    static Collection const collection{.name = "dkim",
                                       .role = DatabaseRole::main,
                                       .indexes = {{.name = "dkim_paging", .fields = {"domain", "_id"}},
                                                   {.name = "dkim_primary", .fields = {"domain"}, .unique = true}}};
    return collection;
}

Collection const& filters_collection() {
    static Collection const collection{
        .name = "filters", .role = DatabaseRole::main, .indexes = {{.name = "user", .fields = {"user"}}}};
    return collection;
}

Collection const& autoreplies_collection() {
    static Collection const collection{.name = "autoreplies",
                                       .role = DatabaseRole::main,
                                       .indexes = {{.name = "autoreply", .fields = {"user", "start", "end"}}}};
    return collection;
}

Collection const& address_register_collection() {
    static Collection const collection{.name = "addressregister",
                                       .role = DatabaseRole::main,
                                       .indexes = {{.name = "by_address", .fields = {"user", "addrview", "updated"}}}};
    return collection;
}

namespace {

std::vector<std::string> texts(Document const& document, std::string_view key) {
    std::vector<std::string> out;
    if (auto const* array = document.array(key))
        for (auto const& value : *array)
            if (auto const* text = value.as<std::string>()) out.push_back(*text);
    return out;
}

std::vector<Target> targets(Document const& document) {
    std::vector<Target> out;
    auto const* array = document.array("targets");
    if (array == nullptr) return out;
    for (auto const& value : *array)
        if (auto const* target = value.as<Document>())
            out.push_back({.id = target->id("id").value_or(ObjectId{}),
                           .type = std::string(target->text("type")),
                           .value = std::string(target->text("value")),
                           .user = UserId(target->id("user").value_or(ObjectId{}))});
    return out;
}

// Stored as an array; of old as `true` for TOTP, and "u2f" for WebAuthn (storage.md §3.1).
std::vector<std::string> second_factors(Document const& document) {
    auto const* value = document.find("enabled2fa");
    if (value == nullptr) return {};
    if (auto const* flag = value->as<bool>())
        return *flag ? std::vector<std::string>{"totp"} : std::vector<std::string>{};
    auto factors = texts(document, "enabled2fa");
    for (auto& factor : factors)
        if (factor == "u2f") factor = "webauthn";
    std::ranges::sort(factors);
    auto const [first, last] = std::ranges::unique(factors);
    factors.erase(first, last);
    return factors;
}

Autoreply autoreply_from(Document const& document) {
    auto const text = [&](std::string_view key) { return std::string(document.text(key)); };
    return {.status = document.boolean("status"),
            .start = document.date("start"),
            .end = document.date("end"),
            .name = text("name"),
            .subject = text("subject"),
            .text = text("text"),
            .html = text("html")};
}

}  // namespace

bson::Value level_value(double level) {
    auto const whole = static_cast<std::int32_t>(level);
    return whole == level ? bson::Value(whole) : bson::Value(level);
}

User user_from(Document const& document) {
    User user;
    auto const text = [&](std::string_view key) { return std::string(document.text(key)); };
    user.id = UserId(document.id("_id").value_or(ObjectId{}));
    user.username = text("username");
    user.unameview = text("unameview");
    user.name = text("name");
    user.address = text("address");
    user.language = text("language");
    user.password_hash = text("password");
    auto const* temporary = document.document("tempPassword");
    user.has_password_set =
        !user.password_hash.empty() || (temporary != nullptr && !temporary->text("password").empty());
    user.auth_version = document.integer("authVersion", 1);
    user.enabled_2fa = second_factors(document);
    user.limits = {.quota = document.integer("quota"),
                   .recipients = document.integer("recipients"),
                   .forwards = document.integer("forwards"),
                   .received_max = document.integer("receivedMax"),
                   .filters = document.integer("filters"),
                   .imap_max_upload = document.integer("imapMaxUpload"),
                   .imap_max_download = document.integer("imapMaxDownload"),
                   .pop3_max_download = document.integer("pop3MaxDownload"),
                   .pop3_max_messages = document.integer("pop3MaxMessages"),
                   .imap_max_connections = document.integer("imapMaxConnections")};
    user.targets = targets(document);
    user.autoreply = document.boolean("autoreply");
    user.upload_sent_messages = document.boolean("uploadSentMessages");
    user.encrypt_messages = document.boolean("encryptMessages");
    user.encrypt_forwarded = document.boolean("encryptForwarded");
    user.pub_key = text("pubKey");
    user.smime_certs = texts(document, "smimeCerts");
    user.smime_cipher = text("smimeCipher");
    user.smime_key_transport = text("smimeKeyTransport");
    if (auto const* relay = document.document("mtaRelay"))
        user.mta_relay = Target{.id = relay->id("id").value_or(ObjectId{}),
                                .type = std::string(relay->text("type")),
                                .value = std::string(relay->text("value")),
                                .user = {}};
    user.require_2fa_enabled = document.boolean("require2faEnabled");
    auto const* spam_level = document.find("spamLevel");
    user.spam_level = spam_level == nullptr ? 50 : spam_level->as_double().value_or(50);
    user.retention_ms = document.integer("retention");
    user.disabled_scopes = texts(document, "disabledScopes");
    user.tags = texts(document, "tags");
    user.from_whitelist = texts(document, "fromWhitelist");
    user.meta_data = text("metaData");
    user.internal_data = text("internalData");
    user.activated = document.boolean("activated");
    user.disabled = document.boolean("disabled");
    user.suspended = document.boolean("suspended");
    if (auto const* flags = document.document("featureFlags")) user.indexing_feature = flags->boolean("indexing");
    user.created = document.date("created").value_or(0);
    if (auto const* login = document.document("lastLogin")) user.last_login = login->date("time");
    user.password_change = document.date("passwordChange");
    return user;
}

Document relay_document(std::string const& url) {
    return {{"id", ObjectId::generate()}, {"type", "relay"}, {"value", url}};
}

Document user_document(UserId id, std::string const& username, NewUser const& user, TimeMs now) {
    auto const or_null = [](std::string const& text) { return text.empty() ? bson::Value() : bson::Value(text); };
    Document document{
        {"_id", id},
        {"username", username},
        {"unameview", uview(username)},
        {"name", or_null(user.name)},
        {"password", ""},
        {"enabled2fa", Array{}},
        {"seed", ""},
        {"pendingSeed", ""},
        {"pendingSeedChanged", false},
        {"webauthn", Document{{"credentials", Array{}}}},
        {"authVersion", 1},
        {"address", ""},
        {"language", or_null(user.language)},
        {"storageUsed", 0},
        {"quota", number(user.limits.quota)},
        {"recipients", number(user.limits.recipients)},
        {"forwards", number(user.limits.forwards)},
        {"filters", number(user.limits.filters)},
        {"imapMaxUpload", number(user.limits.imap_max_upload)},
        {"imapMaxDownload", number(user.limits.imap_max_download)},
        {"pop3MaxDownload", number(user.limits.pop3_max_download)},
        {"pop3MaxMessages", number(user.limits.pop3_max_messages)},
        {"imapMaxConnections", number(user.limits.imap_max_connections)},
        {"receivedMax", number(user.limits.received_max)},
        {"targets", to_array(user.targets)},
        {"autoreply", false},
        {"uploadSentMessages", user.upload_sent_messages},
        {"pubKey", user.pub_key},
        {"smimeCerts", to_array(user.smime_certs)},
        {"smimeCipher", user.smime_cipher.empty() ? "AES-CBC" : user.smime_cipher},
        {"smimeKeyTransport", user.smime_key_transport.empty() ? "PKCS#1 v1.5" : user.smime_key_transport},
        {"encryptMessages", user.encrypt_messages},
        {"encryptForwarded", user.encrypt_forwarded},
        {"spamLevel", level_value(user.spam_level)},
        {"retention", number(user.retention_ms)},
        {"disabledScopes", to_array(user.disabled_scopes)},
        {"require2faEnabled", user.require_2fa_enabled},
        {"lastLogin", Document{{"time", false}, {"authEvent", false}, {"ip", false}}},
        {"metaData", user.meta_data},
        {"internalData", user.internal_data},
        {"activated", false},
        {"disabled", true},
        {"suspended", false},
        {"featureFlags", user.indexing_feature ? Document{{"indexing", true}} : Document{}},
        {"created", Date{now}},
    };
    set_tags(document, user.tags);
    if (!user.from_whitelist.empty()) document.set("fromWhitelist", to_array(user.from_whitelist));
    if (!user.mta_relay.empty()) document.set("mtaRelay", relay_document(user.mta_relay));
    return document;
}

Address address_from(Document const& document) {
    Address address;
    auto const text = [&](std::string_view key) { return std::string(document.text(key)); };
    address.id = AddressId(document.id("_id").value_or(ObjectId{}));
    address.address = text("address");
    address.addrview = text("addrview");
    address.name = text("name");
    address.user = UserId(document.id("user").value_or(ObjectId{}));
    address.tags = texts(document, "tags");
    address.meta_data = text("metaData");
    address.internal_data = text("internalData");
    address.created = document.date("created").value_or(0);
    address.targets = targets(document);
    address.forwards = document.integer("forwards");
    address.forwarded_disabled = document.boolean("forwardedDisabled");
    if (auto const* reply = document.document("autoreply")) address.autoreply = autoreply_from(*reply);
    return address;
}

Document address_document(Address const& address) {
    Document document{{"_id", address.id}};
    if (!address.user.is_nil()) document.set("user", address.user);
    if (!address.name.empty()) document.set("name", address.name);
    document.set("address", address.address);
    document.set("addrview", address.addrview);
    document.set("created", Date{address.created});
    set_tags(document, address.tags);
    if (!address.meta_data.empty()) document.set("metaData", address.meta_data);
    if (!address.internal_data.empty()) document.set("internalData", address.internal_data);
    if (address.user.is_nil()) {
        document.set("targets", to_array(address.targets));
        document.set("forwards", number(address.forwards));
        document.set("autoreply", autoreply_document(address.autoreply));
    }
    return document;
}

Document autoreply_document(Autoreply const& reply) {
    Document document{{"status", reply.status}};
    auto const set_date = [&](char const* key, std::optional<TimeMs> const& date) {
        if (date) document.set(key, Date{*date});
    };
    auto const set_text = [&](char const* key, std::string const& text) {
        if (!text.empty()) document.set(key, text);
    };
    set_date("start", reply.start);
    set_date("end", reply.end);
    set_text("name", reply.name);
    set_text("subject", reply.subject);
    set_text("text", reply.text);
    set_text("html", reply.html);
    return document;
}

std::vector<std::string> normal_tags(std::vector<std::string> const& tags) {
    std::vector<std::string> normal;
    for (auto const& tag : tags) {
        std::string trimmed(trim(tag));
        bool const known = std::ranges::any_of(normal, [&](auto const& other) { return iequals(other, trimmed); });
        if (!trimmed.empty() && !known) normal.push_back(std::move(trimmed));
    }
    std::ranges::sort(normal, {}, [](std::string const& tag) { return to_lower(tag); });
    return normal;
}

void set_tags(Document& document, std::vector<std::string> const& tags) {
    if (normal_tags(tags).empty()) return;
    store::Update fields;
    set_tags(fields, tags);
    for (auto& [field, value] : fields.set) document.set(field, std::move(value));
}

void set_tags(store::Update& update, std::vector<std::string> const& tags) {
    auto const normal = normal_tags(tags);
    auto view = normal;
    for (auto& tag : view) tag = to_lower(tag);
    update.set.emplace_back("tags", to_array(normal));
    update.set.emplace_back("tagsview", to_array(view));
}

Array to_array(std::vector<std::string> const& texts) { return {texts.begin(), texts.end()}; }

Array to_array(std::vector<Target> const& targets) {
    Array array;
    for (auto const& target : targets) {
        Document document{{"id", target.id.is_nil() ? ObjectId::generate() : target.id},
                          {"type", target.type},
                          {"value", target.value}};
        if (!target.user.is_nil()) document.set("user", target.user);
        array.emplace_back(std::move(document));
    }
    return array;
}

}  // namespace mallard::accounts
