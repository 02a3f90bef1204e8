#pragma once
// Normal forms of names and addresses (storage.md §16.1). Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::accounts {

std::string normalize_domain(std::string_view domain);
std::string normalize_address(std::string_view address, bool remove_label, bool remove_dots);
std::string uview(std::string_view name);                       // dots out of the local part, lower case
Result<std::string> check_username(std::string_view username);  // lower-cased; invalid: says what is allowed
bool is_email_address(std::string_view text);                   // api.md §4

}  // namespace mallard::accounts
