#pragma once
// Addresses as JSON, and the fields that their operations share.

#include <vector>

#include "accounts/accounts.hpp"
#include "api/endpoint.hpp"

namespace mallard::api {

// metaData and internalData where there are some, as far as the role may see them.
void add_data(Call const& call, accounts::Address const& address, OrderedJson& item, bool meta, bool internal);
// Targets, limits and autoreply of a forwarded address.
void add_forwarding(Call& call, accounts::Address const& address, OrderedJson& reply);

http::Schema address_or_wildcard();
std::vector<http::Field> forwarded_fields();  // of getForwardedAddress's reply

}  // namespace mallard::api
