#pragma once
// Password hashes (storage.md §15.1): pbkdf2-sha256 made; pbkdf2-sha1/-sha512, bcrypt, argon2, sha-crypt, md5-crypt and
// DES crypt accepted. Pure; slow on purpose.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::accounts {

std::string hash_password(std::string_view password, int iterations);
Result<bool> verify_password(std::string_view password, std::string_view hash);  // invalid: unknown format
bool is_supported_hash(std::string_view hash);
bool needs_rehash(std::string_view hash);

}  // namespace mallard::accounts
