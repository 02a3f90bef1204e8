#pragma once
// createUser and updateUser: the two operations with the long lists of fields.

#include "api/endpoint.hpp"

namespace mallard::api {

Endpoints user_change_endpoints();
Endpoints user_upkeep_endpoints();

}  // namespace mallard::api
