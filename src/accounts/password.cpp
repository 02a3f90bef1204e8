#include "accounts/password.hpp"

#include <argon2.h>
#include <crypt.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "base/encoding.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

namespace {

constexpr int salt_bytes = 16;
constexpr int hash_bytes = 32;
constexpr int iterations_min = 100'000;     // fewer: made anew at the next login
constexpr int iterations_max = 10'000'000;  // of a foreign hash: a login must end
constexpr std::uint32_t argon2_kib_max = 1u << 20;

struct Pbkdf2 {
    std::string_view digest;
    int iterations = 0;
    std::string salt, hash;
};

std::optional<std::string_view> next_field(std::string_view& text) {
    if (!text.starts_with('$')) return std::nullopt;
    text.remove_prefix(1);
    auto const field = text.substr(0, text.find('$'));
    text.remove_prefix(field.size());
    return field;
}

std::optional<int> parse_number(std::string_view text, int max) {
    int value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max) return std::nullopt;
    return value;
}

// $pbkdf2-sha256$i=100000$salt$hash: the PHC form, base64 without padding.
std::optional<Pbkdf2> parse_pbkdf2(std::string_view text) {
    Pbkdf2 parsed;
    auto const scheme = next_field(text);
    if (!scheme || !scheme->starts_with("pbkdf2-")) return std::nullopt;
    parsed.digest = scheme->substr(7);
    if (parsed.digest != "sha1" && parsed.digest != "sha256" && parsed.digest != "sha512") return std::nullopt;
    auto const cost = next_field(text);
    if (!cost || !cost->starts_with("i=")) return std::nullopt;
    auto const iterations = parse_number(cost->substr(2), iterations_max);
    auto const salt = next_field(text);
    auto const hash = next_field(text);
    if (!iterations || !salt || !hash || !text.empty()) return std::nullopt;
    auto salt_decoded = base64_decode(*salt);
    auto hash_decoded = base64_decode(*hash);
    if (!salt_decoded || !hash_decoded || hash_decoded->size() < 16 || hash_decoded->size() > 128) return std::nullopt;
    parsed.iterations = *iterations;
    parsed.salt = std::move(*salt_decoded);
    parsed.hash = std::move(*hash_decoded);
    return parsed;
}

std::optional<std::string> pbkdf2(std::string_view password, std::string_view salt, int iterations,
                                  std::string_view digest, std::size_t size) {
    EVP_MD const* md = digest == "sha1" ? EVP_sha1() : digest == "sha512" ? EVP_sha512() : EVP_sha256();
    std::string out(size, '\0');
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                          reinterpret_cast<unsigned char const*>(salt.data()), static_cast<int>(salt.size()),
                          iterations, md, static_cast<int>(size), reinterpret_cast<unsigned char*>(out.data())) != 1)
        return std::nullopt;
    return out;
}

enum class Scheme { none, pbkdf2, argon2, crypt };

bool is_des(std::string_view hash) {
    return hash.size() == 13 && std::ranges::all_of(hash, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
                      c == '/';
           });
}

bool argon2_fits(std::string_view hash) {
    auto const at = hash.find("m=");
    if (at == std::string_view::npos) return false;
    auto const text = hash.substr(at + 2, hash.find(',', at) - at - 2);
    return parse_number(text, static_cast<int>(argon2_kib_max)).has_value();
}

Scheme scheme_of(std::string_view hash) {
    // A zero byte would cut the text short for the C libraries below.
    if (hash.size() > 512 || hash.find('\0') != std::string_view::npos) return Scheme::none;
    if (parse_pbkdf2(hash)) return Scheme::pbkdf2;
    for (auto prefix : {"$argon2d$", "$argon2i$", "$argon2id$"})
        if (hash.starts_with(prefix) && argon2_fits(hash)) return Scheme::argon2;
    for (auto prefix : {"$2a$", "$2b$", "$2y$", "$6$", "$5$", "$1$"})
        if (hash.starts_with(prefix)) return Scheme::crypt;
    return is_des(hash) ? Scheme::crypt : Scheme::none;
}

Result<bool> verify_crypt(std::string const& password, std::string const& hash) {
    // These hash C strings: what follows a zero byte would not count, so such a password matches nothing.
    if (password.find('\0') != std::string::npos || password.size() >= CRYPT_MAX_PASSPHRASE_SIZE) return false;
    auto const data = std::make_unique<crypt_data>();
    char const* made = ::crypt_r(password.c_str(), hash.c_str(), data.get());
    if (made == nullptr || *made == '*') return fail(ErrorKind::invalid, "Unknown password format");
    return equal_constant_time(made, hash);
}

Result<bool> verify_argon2(std::string_view password, std::string const& hash) {
    auto const type = hash.starts_with("$argon2id$") ? Argon2_id : hash.starts_with("$argon2i$") ? Argon2_i : Argon2_d;
    int const code = ::argon2_verify(hash.c_str(), password.data(), password.size(), type);
    if (code == ARGON2_OK) return true;
    if (code == ARGON2_VERIFY_MISMATCH) return false;
    return fail(ErrorKind::invalid, "Unknown password format", ::argon2_error_message(code));
}

}  // namespace

std::string hash_password(std::string_view password, int iterations) {
    std::string salt(salt_bytes, '\0');
    random_bytes(salt.data(), salt.size());
    auto const hash = pbkdf2(password, salt, iterations, "sha256", hash_bytes);
    // OpenSSL refuses only arguments that are wrong, and these are not.
    return "$pbkdf2-sha256$i=" + std::to_string(iterations) + "$" + base64_encode(salt, false) + "$" +
           base64_encode(hash.value(), false);
}

Result<bool> verify_password(std::string_view password, std::string_view hash) {
    switch (scheme_of(hash)) {
        case Scheme::pbkdf2: {
            auto const parsed = *parse_pbkdf2(hash);
            auto const made = pbkdf2(password, parsed.salt, parsed.iterations, parsed.digest, parsed.hash.size());
            if (!made) return fail(ErrorKind::internal, "Internal error", "pbkdf2");
            return equal_constant_time(*made, parsed.hash);
        }
        case Scheme::argon2: return verify_argon2(password, std::string(hash));
        case Scheme::crypt: return verify_crypt(std::string(password), std::string(hash));
        case Scheme::none: break;
    }
    return fail(ErrorKind::invalid, "Unknown password format");
}

bool is_supported_hash(std::string_view hash) { return scheme_of(hash) != Scheme::none; }

bool needs_rehash(std::string_view hash) {
    auto const parsed = parse_pbkdf2(hash);
    return !parsed || parsed->digest == "sha1" || parsed->iterations < iterations_min;
}

}  // namespace mallard::accounts
