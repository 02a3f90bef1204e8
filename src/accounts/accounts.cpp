#include "accounts/accounts.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>

#include "accounts/accounts_impl.hpp"
#include "accounts/normalize.hpp"
#include "base/encoding.hpp"

namespace mallard::accounts {

namespace {

constexpr std::size_t cached_max = 100'000;
constexpr TimeMs cached_for = 10'000;  // another process of a cluster may change what is cached here
constexpr TimeMs merge_events_for = 6LL * 3600 * 1000;
constexpr TimeMs keep_events_for = 30LL * 24 * 3600 * 1000;  // const:authlog:time
constexpr std::chrono::seconds day(86'400);

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "localhost";
}

AccountsConfig with_domain(AccountsConfig config) {
    if (config.email_domain.empty()) config.email_domain = host_name();
    config.email_domain = normalize_domain(config.email_domain);
    return config;
}

std::string md5(std::string_view bytes) {
    std::string digest(16, '\0');
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_md5(), nullptr);
    return digest;
}

bson::Value or_null(std::string const& text) { return text.empty() ? bson::Value() : bson::Value(text); }

}  // namespace

std::string round_time(std::chrono::seconds seconds) {
    auto const say = [](std::int64_t n, char const* unit) {
        return std::to_string(n) + " " + unit + (n == 1 ? "" : "s");
    };
    std::int64_t const s = std::max<std::int64_t>(1, seconds.count());
    if (s >= 3600) return say((s + 1800) / 3600, "hour");
    if (s >= 60) return say((s + 59) / 60, "minute");
    return say(s, "second");
}

Accounts::Impl::Impl(store::Documents& documents, store::SharedState& state, store::MailStore& mail,
                     store::Events& events, Clock const& clock, AccountsConfig config)
    : documents(documents),
      state(state),
      mail(mail),
      events(events),
      clock(clock),
      config(with_domain(std::move(config))),
      users(cached_max, cached_for),
      resolved(cached_max, cached_for),
      logins(this->config.login_cache_seconds, clock) {}

Accounts::Accounts(store::Documents& documents, store::SharedState& state, store::MailStore& mail,
                   store::Events& events, Clock const& clock, AccountsConfig config)
    : impl_(std::make_unique<Impl>(documents, state, mail, events, clock, std::move(config))) {}

Accounts::~Accounts() = default;

Result<void> Accounts::open() {
    for (auto const* collection :
         {&users_collection(), &deleted_users_collection(), &addresses_collection(), &domain_aliases_collection(),
          &domain_cache_collection(), &asps_collection(), &authlog_collection(), &tasks_collection(),
          &dkim_collection(), &filters_collection(), &autoreplies_collection(), &address_register_collection()})
        MALLARD_TRY(impl_->documents.declare(*collection));
    return {};
}

Result<bson::Document> Accounts::Impl::update_user(UserId id, store::Update const& update) {
    auto updated = documents.update(users_collection(), id, update);
    users.drop(id);
    return updated;
}

void Accounts::Impl::forget(UserId id) {
    users.drop(id);
    logins.drop(id);
    resolved.drop_all();
}

void Accounts::Impl::log_out(UserId user, std::string const& reason) {
    events.publish({.kind = store::Event::Kind::logout, .user = user, .mailbox = {}, .reason = reason});
}

// storage.md §3.6
std::optional<ObjectId> Accounts::Impl::log_event(UserId user, AuthEvent const& event, std::int64_t times) {
    TimeMs const now = clock.now();
    std::string const key =
        md5(event.protocol + "^" + event.address + "^" + event.action + "^" + event.result + "^" + event.target);
    auto const write = [&]() -> Result<ObjectId> {
        MALLARD_TRY_ASSIGN(auto const recent,
                           documents.find(authlog_collection(), {.index = "insert",
                                                                 .equals = {user},
                                                                 .from = bson::Date{now - merge_events_for},
                                                                 .descending = true,
                                                                 .limit = 100}));
        for (auto const& row : recent) {
            auto const* stored = row.find("key") == nullptr ? nullptr : row.find("key")->as<bson::Binary>();
            if (stored == nullptr || stored->bytes != key) continue;
            auto const id = row.id("_id").value();
            auto const merged = documents.update(
                authlog_collection(), id, {.set = {{"last", bson::Date{now}}}, .increment = {{"events", times}}});
            if (!merged) return std::unexpected(merged.error());
            return id;
        }
        auto const id = ObjectId::generate();
        bson::Document row{{"_id", id},
                           {"user", user},
                           {"action", event.action},
                           {"result", or_null(event.result)},
                           {"protocol", or_null(event.protocol)},
                           {"ip", or_null(event.address)},
                           {"sess", or_null(event.session)},
                           {"created", bson::Date{now}},
                           {"expires", bson::Date{now + keep_events_for}},
                           {"key", bson::Binary{key}},
                           {"events", bson::number(times)},
                           {"last", bson::Date{now}}};
        if (!event.source.empty()) row.set("source", event.source);
        if (!event.required_scope.empty()) row.set("requiredScope", event.required_scope);
        if (!event.require_2fa.empty()) row.set("require2fa", event.require_2fa);
        if (!event.asp.empty()) row.set("asp", ObjectId::from_hex(event.asp).value_or(ObjectId{}));
        if (!event.asp_name.empty()) row.set("aname", event.asp_name);
        if (!event.target.empty()) row.set("target", event.target);
        MALLARD_TRY(documents.insert(authlog_collection(), std::move(row)));
        return id;
    };
    auto const written = write();
    if (written) return *written;
    log(LogLevel::warning, {.component = "accounts", .session = event.session, .user = {}, .address = event.address},
        "An event could not be added to the authlog", {{"error", written.error().message}});
    return std::nullopt;
}

// Limits -----------------------------------------------------------------------------------------------------------

std::int64_t Accounts::quota_of(User const& user) const {
    return user.limits.quota > 0 ? user.limits.quota : impl_->config.max_storage;
}

Result<std::int64_t> Accounts::storage_used(UserId id) const { return impl_->mail.storage_used(id); }

Result<void> Accounts::session_opened(UserId user, std::string_view service) {
    MALLARD_TRY_ASSIGN(auto const found, get(user));
    std::int64_t limit = impl_->config.imap_max_connections;
    if (found && found->limits.imap_max_connections > 0) limit = found->limits.imap_max_connections;
    MALLARD_TRY_ASSIGN(auto const counted,
                       impl_->state.count_limited("lim:" + std::string(service), user.hex(), 1, limit));
    if (counted.allowed) return {};
    return fail(ErrorKind::limit, "Too many connections of this user are open (at most " + std::to_string(limit) + ")");
}

void Accounts::session_closed(UserId user, std::string_view service) {
    (void)impl_->state.count_limited("lim:" + std::string(service), user.hex(), -1, 0);
}

Result<void> Accounts::use_allowance(User const& user, std::string_view kind, std::int64_t bytes) {
    auto const own_or = [](std::int64_t own, std::int64_t fallback) { return own > 0 ? own : fallback; };
    std::int64_t limit = 0;
    if (kind == "iup") limit = own_or(user.limits.imap_max_upload, impl_->config.imap_max_upload);
    if (kind == "idw") limit = own_or(user.limits.imap_max_download, impl_->config.imap_max_download);
    if (kind == "pdw") limit = own_or(user.limits.pop3_max_download, impl_->config.pop3_max_download);
    MALLARD_TRY_ASSIGN(auto const counted,
                       impl_->state.count(std::string(kind) + ":" + user.id.hex(), bytes, limit, day));
    if (counted.allowed) return {};
    return fail(ErrorKind::rate_limited, std::string(kind == "iup" ? "Upload" : "Download") +
                                             " was rate limited. Try again in " + round_time(counted.resets) + ".");
}

}  // namespace mallard::accounts
