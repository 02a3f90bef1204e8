// Logins, in the order of protocols.md §4.2.

#include <algorithm>

#include "accounts/accounts_impl.hpp"
#include "accounts/normalize.hpp"
#include "accounts/password.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"

namespace mallard::accounts {

using bson::Date;
using bson::Document;

namespace {

constexpr std::chrono::seconds user_window(120);
constexpr std::chrono::seconds address_window(300);
constexpr TimeMs temporary_password_for = 24LL * 3600 * 1000;
constexpr std::size_t asps_max = 1000;

std::unexpected<Error> failed() { return fail(ErrorKind::auth_failed, "Authentication failed"); }

std::unexpected<Error> limited(std::chrono::seconds resets) {
    return fail(ErrorKind::rate_limited, "Authentication was rate limited. Try again in " + round_time(resets) + ".");
}

std::string_view name_of(Scope scope) {
    switch (scope) {
        case Scope::master: return "master";
        case Scope::imap: return "imap";
        case Scope::pop3: return "pop3";
        case Scope::smtp: return "smtp";
    }
    return "master";
}

bool has_text(bson::Array const* array, std::string_view text) {
    if (array == nullptr) return false;
    return std::ranges::any_of(*array, [&](auto const& value) {
        auto const* element = value.template as<std::string>();
        return element != nullptr && *element == text;
    });
}

// storage.md §15.3: 16 letters, blanks and case apart; empty when the text cannot be an application password.
std::string as_asp(std::string_view password) {
    std::string letters;
    for (char c : password) {
        if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
        letters.push_back(ascii_lower(c));
        if (letters.size() > 16 || letters.back() < 'a' || letters.back() > 'z') return {};
    }
    return letters.size() == 16 ? letters : std::string();
}

std::string asp_selector(std::string_view asp) {
    unsigned sum = 0;
    for (unsigned char byte : sha1(asp)) sum += byte;
    constexpr std::string_view digits = "0123456789abcdef";
    sum %= 32;
    std::string selector;
    if (sum >= 16) selector.push_back(digits[sum / 16]);
    selector.push_back(digits[sum % 16]);
    return selector;
}

AuthEvent event_of(Credentials const& credentials, std::string_view result) {
    return {.result = std::string(result),
            .protocol = credentials.protocol,
            .session = credentials.session,
            .address = credentials.address,
            .required_scope = std::string(name_of(credentials.scope))};
}

std::string joined(std::vector<std::string> const& texts) {
    std::string out;
    for (auto const& text : texts) out.append(out.empty() ? "" : ",").append(text);
    return out;
}

// One attempt: what authenticate() knows while it walks its steps.
class Attempt {
public:
    Attempt(Accounts::Impl& self, Credentials const& credentials) : self_(self), credentials_(credentials) {}
    Result<Login> run();

private:
    Result<void> check_address();
    Result<std::optional<UserId>> find_user() const;
    Result<void> check_limit(std::string const& key) const;
    Result<void> count_failure(std::string const& key, std::optional<UserId> user);
    Result<std::optional<Document>> match_asp(UserId user);
    Result<void> check_state(User const& user);
    Result<Login> asp_login(User const& user, Document const& asp);
    Result<bool> match_temporary(Document const& document) const;
    Result<Login> password_login(User const& user, Document const& document, bool temporary);
    std::optional<ObjectId> log_success(Login const& login, AuthEvent event);

    Accounts::Impl& self_;
    Credentials const& credentials_;
    std::uint64_t ticket_ = 0;
    bool exempt_ = false;             // of limits: the address is in rl-wl
    bool asp_without_scope_ = false;  // an application password matched, but not for this service
};

Result<Login> Attempt::run() {
    if (credentials_.password.empty() || credentials_.username.empty()) return failed();
    MALLARD_TRY(check_address());
    MALLARD_TRY_ASSIGN(auto const id, find_user());
    if (!id) {
        std::string const key = "auth_user:" + uview(credentials_.username);
        MALLARD_TRY(check_limit(key));
        MALLARD_TRY(count_failure(key, std::nullopt));
        return failed();
    }
    ticket_ = self_.logins.ticket(*id);
    MALLARD_TRY_ASSIGN(auto const document, self_.user_document(*id));
    if (!document) return failed();
    User const user = user_from(*document);
    std::string const key = "auth_user:" + id->hex();

    std::optional<Document> asp;
    if (credentials_.scope != Scope::master) {
        MALLARD_TRY_ASSIGN(asp, match_asp(*id));
    }
    if (!asp) MALLARD_TRY(check_limit(key));
    MALLARD_TRY(check_state(user));
    if (asp) return asp_login(user, *asp);

    MALLARD_TRY_ASSIGN(bool const temporary, match_temporary(*document));
    bool matched = temporary;
    if (!matched && !user.password_hash.empty()) {
        auto const verified = verify_password(credentials_.password, user.password_hash);
        if (!verified)
            log(LogLevel::warning,
                {.component = "accounts", .session = credentials_.session, .user = user.username, .address = {}},
                "The stored password hash cannot be used", {{"error", verified.error().message}});
        matched = verified.value_or(false);
    }
    if (matched) return password_login(user, *document, temporary);

    (void)self_.log_event(*id, event_of(credentials_, "fail"));
    MALLARD_TRY(count_failure(key, *id));
    if (asp_without_scope_) return fail(ErrorKind::scope_denied, "Authentication failed. Invalid scope");
    return failed();
}

Result<void> Attempt::check_address() {
    if (credentials_.address.empty()) return {};
    MALLARD_TRY_ASSIGN(exempt_, self_.state.is_member("rl-wl", credentials_.address));
    if (exempt_ || self_.config.address_failures_max <= 0) return {};
    MALLARD_TRY_ASSIGN(auto const counted, self_.state.count("auth_ip:" + credentials_.address, 0,
                                                             self_.config.address_failures_max, address_window));
    if (!counted.allowed) return limited(counted.resets);
    return {};
}

// storage.md §16.4
Result<std::optional<UserId>> Attempt::find_user() const {
    auto const by_view = [&](std::string const& view) -> Result<std::optional<UserId>> {
        MALLARD_TRY_ASSIGN(auto const document,
                           self_.documents.find_one(users_collection(), {.index = "users_dotless", .equals = {view}}));
        if (!document) return std::nullopt;
        return UserId(document->id("_id").value());
    };
    if (!credentials_.username.contains('@')) return by_view(uview(credentials_.username));
    std::string const view = normalize_address(credentials_.username, true, true);
    auto const at = view.rfind('@');
    MALLARD_TRY_ASSIGN(auto row, self_.address_row(view));
    if (!row) {
        MALLARD_TRY_ASSIGN(
            auto const alias,
            self_.documents.find_one(domain_aliases_collection(),
                                     {.index = "domainalias", .equals = {std::string_view(view).substr(at + 1)}}));
        if (alias) {
            MALLARD_TRY_ASSIGN(row, self_.address_row(view.substr(0, at + 1).append(alias->text("domain"))));
        }
    }
    if (!row) return by_view(view);
    auto const user = row->id("user");
    return user ? std::optional(UserId(*user)) : std::nullopt;
}

Result<void> Attempt::check_limit(std::string const& key) const {
    if (exempt_) return {};
    MALLARD_TRY_ASSIGN(auto const counted, self_.state.count(key, 0, self_.config.user_failures_max, user_window));
    if (!counted.allowed) return limited(counted.resets);
    return {};
}

Result<void> Attempt::count_failure(std::string const& key, std::optional<UserId> user) {
    MALLARD_TRY_ASSIGN(auto const counted, self_.state.count(key, 1, self_.config.user_failures_max, user_window));
    // Who is limited is so for every password, one that was verified a moment ago included.
    if (user && counted.value >= self_.config.user_failures_max) self_.logins.drop(*user);
    if (!credentials_.address.empty())
        MALLARD_TRY(
            self_.state.count("auth_ip:" + credentials_.address, 1, self_.config.address_failures_max, address_window));
    return {};
}

Result<std::optional<Document>> Attempt::match_asp(UserId user) {
    std::string const asp = as_asp(credentials_.password);
    if (asp.empty()) return std::nullopt;
    std::string const selector = asp_selector(asp);
    MALLARD_TRY_ASSIGN(
        auto const rows,
        self_.documents.find(asps_collection(), {.index = "asps_user", .equals = {user}, .limit = asps_max}));
    for (auto const& row : rows) {
        auto const wanted = row.text("selector");
        if (!wanted.empty() && wanted != selector) continue;
        auto const verified = verify_password(asp, row.text("password"));
        if (!verified || !*verified) continue;
        auto const* scopes = row.array("scopes");
        if (has_text(scopes, "*") || has_text(scopes, name_of(credentials_.scope))) return row;
        asp_without_scope_ = true;
    }
    return std::nullopt;
}

Result<void> Attempt::check_state(User const& user) {
    for (auto const& [flag, result] : {std::pair{user.disabled, "disabled"}, {user.suspended, "suspended"}}) {
        if (!flag) continue;
        (void)self_.log_event(user.id, event_of(credentials_, result));
        return failed();
    }
    if (std::ranges::find(user.disabled_scopes, name_of(credentials_.scope)) == user.disabled_scopes.end()) return {};
    (void)self_.log_event(user.id, event_of(credentials_, ""));
    return fail(ErrorKind::scope_denied, "Access to requested service disabled");
}

Result<Login> Attempt::asp_login(User const& user, Document const& asp) {
    Login login{.user = user.id, .username = user.username, .source = "asp", .require_2fa = {}};
    auto event = event_of(credentials_, "success");
    auto const id = asp.id("_id").value();
    event.asp = id.hex();
    event.asp_name = asp.text("description");
    auto const row = log_success(login, std::move(event));
    store::Update used{.set = {{"used", Date{self_.clock.now()}}, {"authIp", credentials_.address}}};
    if (row) used.set.emplace_back("authEvent", *row);
    if (auto const ttl = asp.integer("ttl"); ttl > 0)
        used.set.emplace_back("expires", Date{self_.clock.now() + ttl * 1000});
    auto const updated = self_.documents.update(asps_collection(), id, used);
    if (!updated && updated.error().kind == ErrorKind::not_found) return failed();  // deleted this moment
    return login;
}

Result<bool> Attempt::match_temporary(Document const& document) const {
    auto const* temporary = document.document("tempPassword");
    if (temporary == nullptr) return false;
    TimeMs const now = self_.clock.now();
    if (temporary->date("created").value_or(0) + temporary_password_for < now) return false;
    auto const verified = verify_password(credentials_.password, temporary->text("password"));
    if (!verified || !*verified) return false;
    if (temporary->date("validAfter").value_or(0) > now)
        return fail(ErrorKind::auth_failed, "Temporary password is not yet activated", "TempPasswordNotYetValid");
    return true;
}

Result<Login> Attempt::password_login(User const& user, Document const& document, bool temporary) {
    Login login{.user = user.id,
                .username = user.username,
                .source = temporary ? "temporary" : "master",
                .require_2fa = temporary ? std::vector<std::string>{} : user.enabled_2fa};
    if (credentials_.scope != Scope::master && (temporary || !user.enabled_2fa.empty())) {
        (void)self_.log_event(user.id, event_of(credentials_, "fail"));
        return fail(ErrorKind::scope_denied, "Authentication failed. Invalid scope");
    }
    auto event = event_of(credentials_, "success");
    event.require_2fa = joined(login.require_2fa);
    auto const row = log_success(login, std::move(event));

    store::Update update{.set = {{"lastLogin", Document{{"time", Date{self_.clock.now()}},
                                                        {"authEvent", row ? bson::Value(*row) : bson::Value(false)},
                                                        {"ip", credentials_.address}}}}};
    if (!temporary && needs_rehash(user.password_hash)) {
        update.set.emplace_back("password", hash_password(credentials_.password, self_.config.pbkdf2_iterations));
        update.expect.emplace_back("password", document.text("password"));  // unless it was changed meanwhile
    }
    auto const updated = self_.update_user(user.id, update);
    if (!updated && updated.error().kind == ErrorKind::not_found) return failed();
    MALLARD_TRY(self_.state.erase("auth_user:" + user.id.hex()));
    return login;
}

std::optional<ObjectId> Attempt::log_success(Login const& login, AuthEvent event) {
    event.source = login.source;
    // Logins that the cache answered since are counted now, with the one that renews it.
    auto const hits = self_.logins.put(self_.logins.digest(credentials_), login, ticket_);
    return self_.log_event(login.user, event, 1 + hits);
}

std::string_view result_of(Error const& error) {
    if (error.kind == ErrorKind::rate_limited) return "ratelimited";
    if (error.kind == ErrorKind::scope_denied) return "scope_disabled";
    return error.kind == ErrorKind::auth_failed ? "fail" : "error";
}

// REST callers name a protocol as they like: only known ones become a label.
std::string_view service_of(Credentials const& credentials) {
    constexpr std::string_view services[] = {"api", "imap", "pop3", "smtp", "lmtp"};
    auto const known = std::find_if(std::begin(services), std::end(services),
                                    [&](std::string_view name) { return iequals(name, credentials.protocol); });
    return known == std::end(services) ? "other" : *known;
}

void count(Credentials const& credentials, std::string_view result) {
    metrics::counter("wildduck_auth_attempts_total",
                     {{"service", service_of(credentials)}, {"scope", name_of(credentials.scope)}, {"result", result}})
        .add();
}

// WildDuck's lines (protocols.md §9.3): what fail2ban and Graylog look for.
void tell(Credentials const& credentials, Result<Login> const& login) {
    std::string const component =
        service_of(credentials) == "other" ? "accounts" : std::string(service_of(credentials));
    std::string const user = login ? login->user.hex() : std::string();
    LogContext const who{component, credentials.session, user, credentials.address};
    std::string_view const result = login ? "success" : result_of(login.error());
    count(credentials, result == "scope_disabled" ? "fail" : result);  // protocols.md §10 knows no scope_disabled
    if (login)
        return log(LogLevel::info, who, "[AUTHOK] " + credentials.username,
                   {{"mail_action", "auth"},
                    {"auth_result", "success"},
                    {"username", credentials.username},
                    {"password_type", login->source},
                    {"scope", std::string(name_of(credentials.scope))}});
    log(LogLevel::info, who, "[AUTHFAIL] " + credentials.username,
        {{"mail_action", "auth"},
         {"auth_result", std::string(result)},
         {"username", credentials.username},
         {"scope", std::string(name_of(credentials.scope))},
         {"error", login.error().message}});
}

}  // namespace

std::optional<Login> Accounts::try_cached(Credentials const& credentials) {
    if (credentials.password.empty()) return std::nullopt;
    auto login = impl_->logins.find(impl_->logins.digest(credentials));
    if (login) tell(credentials, *login);
    return login;
}

Result<Login> Accounts::authenticate(Credentials const& credentials) {
    if (auto cached = try_cached(credentials)) return std::move(*cached);
    auto login = Attempt(*impl_, credentials).run();
    tell(credentials, login);
    return login;
}

Result<bool> Accounts::check_password(UserId id, std::string_view password) const {
    MALLARD_TRY_ASSIGN(auto const user, get(id));
    if (!user) return fail(ErrorKind::not_found, "This user does not exist");
    if (user->password_hash.empty() || password.empty()) return false;
    return verify_password(password, user->password_hash);
}

}  // namespace mallard::accounts
