// Access tokens of the REST API (storage.md §15.4, api.md §2), in WildDuck's form.

#include <algorithm>
#include <charconv>

#include "accounts/accounts_impl.hpp"
#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

using Hash = store::SharedState::Hash;

namespace {

constexpr std::size_t token_bytes = 20;
constexpr std::string_view token_key = "tn:token:";

bool is_hex(std::string_view text, std::size_t size) {
    return text.size() == size && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
           });
}

std::string id_of(std::string_view token) { return hex_encode(sha256(token)); }

// A string as JSON.stringify writes it.
std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            case '\b': out += "\\b"; break;
            case '\f': out += "\\f"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20)
                    out.append("\\u00").append(hex_encode({&c, 1}));
                else
                    out += c;
        }
    }
    return out + "\"";
}

std::string text_of(Hash const& hash, std::string_view field) {
    auto const at = hash.find(field);
    return at == hash.end() ? std::string() : at->second;
}

std::int64_t number_of(Hash const& hash, std::string_view field) {
    auto const text = text_of(hash, field);
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string signature(std::string_view secret, std::string_view token, Hash const& hash) {
    std::string json = "{\"token\":" + json_string(token) + ",\"user\":" + json_string(text_of(hash, "user"));
    if (hash.contains("authVersion")) json += ",\"authVersion\":" + std::to_string(number_of(hash, "authVersion"));
    json += ",\"role\":" + json_string(text_of(hash, "role")) + "}";
    return hex_encode(hmac_sha256(secret, json));
}

AccessToken token_from(std::string id, Hash const& hash) {
    return {.user = text_of(hash, "user"),
            .role = text_of(hash, "role"),
            .id = std::move(id),
            .created = number_of(hash, "created"),
            .ttl = number_of(hash, "ttl"),
            .description = text_of(hash, "description")};
}

}  // namespace

Result<std::string> Accounts::create_token(std::string const& user, std::string const& role, std::int64_t ttl,
                                           std::string const& description) {
    if (user.empty() || role.empty()) return fail(ErrorKind::invalid, "A token needs a user and a role");
    Hash hash{{"user", user}, {"role", role}, {"created", std::to_string(impl_->clock.now())}};
    if (auto const id = UserId::from_hex(user)) {
        MALLARD_TRY_ASSIGN(auto const found, impl_->user_document(*id));
        if (!found) return fail(ErrorKind::not_found, "This user does not exist");
        hash["authVersion"] = std::to_string(found->integer("authVersion", 1));
    }
    if (ttl > 0) hash["ttl"] = std::to_string(ttl);
    if (!description.empty()) hash["description"] = description;
    auto token = random_hex(token_bytes);
    hash["s"] = signature(impl_->config.access_secret, token, hash);
    std::string const id = id_of(token);
    std::optional<std::chrono::seconds> const lives = ttl > 0 ? std::optional(std::chrono::seconds(ttl)) : std::nullopt;
    MALLARD_TRY(impl_->state.set_hash(std::string(token_key) + id, hash, lives));
    MALLARD_TRY(impl_->state.add_member("tn:user:" + user, id));
    return token;
}

Result<std::optional<AccessToken>> Accounts::verify_token(std::string_view token) {
    if (!is_hex(token, 2 * token_bytes)) return std::nullopt;
    std::string id = id_of(token);
    std::string const key = std::string(token_key) + id;
    MALLARD_TRY_ASSIGN(auto const hash, impl_->state.hash(key));
    if (hash.empty()) return std::nullopt;
    if (!equal_constant_time(signature(impl_->config.access_secret, token, hash), text_of(hash, "s")))
        return std::nullopt;
    auto found = token_from(std::move(id), hash);
    if (auto const user = UserId::from_hex(found.user)) {
        // What is older than the last change of the password is dead.
        MALLARD_TRY_ASSIGN(auto const owner, get(*user));
        if (!owner || number_of(hash, "authVersion") < owner->auth_version) return std::nullopt;
    }
    if (found.ttl > 0) {
        if (impl_->clock.now() - found.created >= impl_->config.token_lifetime * 1000) {
            MALLARD_TRY_ASSIGN(bool const revoked, revoke_token(found.id));
            (void)revoked;
            return std::nullopt;
        }
        MALLARD_TRY(impl_->state.expire(key, std::chrono::seconds(found.ttl)));
    }
    return found;
}

Result<void> Accounts::renew_token(std::string_view token) {
    std::string const key = std::string(token_key) + id_of(token);
    MALLARD_TRY_ASSIGN(auto hash, impl_->state.hash(key));
    auto const user = UserId::from_hex(text_of(hash, "user"));
    bool const genuine = equal_constant_time(signature(impl_->config.access_secret, token, hash), text_of(hash, "s"));
    if (!user || !genuine) return fail(ErrorKind::not_found, "There is no such token of a user");
    MALLARD_TRY_ASSIGN(auto const owner, impl_->user_document(*user));
    if (!owner) return fail(ErrorKind::not_found, "This user does not exist");
    hash["authVersion"] = std::to_string(owner->integer("authVersion", 1));
    hash["s"] = signature(impl_->config.access_secret, token, hash);
    return impl_->state.set_hash(key, hash);
}

Result<std::vector<AccessToken>> Accounts::list_tokens() const {
    MALLARD_TRY_ASSIGN(auto const keys, impl_->state.keys(token_key));
    std::vector<AccessToken> tokens;
    for (auto const& key : keys) {
        MALLARD_TRY_ASSIGN(auto const hash, impl_->state.hash(key));
        if (!hash.empty()) tokens.push_back(token_from(key.substr(token_key.size()), hash));
    }
    std::ranges::sort(tokens, {}, [](AccessToken const& token) { return std::pair(token.created, token.id); });
    return tokens;
}

Result<bool> Accounts::has_tokens(std::string const& user) const {
    MALLARD_TRY_ASSIGN(auto const ids, impl_->state.members("tn:user:" + user));
    for (auto const& id : ids) {
        MALLARD_TRY_ASSIGN(auto const hash, impl_->state.hash(std::string(token_key) + id));
        if (!hash.empty()) return true;
    }
    return false;
}

Result<bool> Accounts::revoke_token(std::string_view token_or_id) {
    std::string const id = is_hex(token_or_id, 64) ? to_lower(token_or_id) : id_of(token_or_id);
    std::string const key = std::string(token_key) + id;
    MALLARD_TRY_ASSIGN(auto const hash, impl_->state.hash(key));
    if (hash.empty()) return false;
    MALLARD_TRY(impl_->state.erase(key));
    MALLARD_TRY(impl_->state.erase_member("tn:user:" + text_of(hash, "user"), id));
    return true;
}

}  // namespace mallard::accounts
