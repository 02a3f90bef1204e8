#pragma once
// Roles (api.md §3): who may do what, and which attributes a role may send and see. Pure.

#include <string_view>

#include "http/json.hpp"

namespace mallard::api {

enum class Access { none, own, any };  // own: the token's own user only

bool is_role(std::string_view role);
// action: create, read, update, delete.
Access access_of(std::string_view role, std::string_view resource, std::string_view action);

// Drops what the role may not send with this operation (api.md §3); the rest is looked at as if it had not been there.
void filter_input(std::string_view role, std::string_view operation_id, http::Json& params);
// Drops what the role may not see of a thing of this resource.
void filter_output(std::string_view role, std::string_view resource, http::OrderedJson& item);

}  // namespace mallard::api
