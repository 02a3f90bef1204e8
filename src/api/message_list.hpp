#pragma once
// The page of messages a listing shows: which rows, in which order (api.md §6, §15.1): by internal date, then id.

#include "api/endpoint.hpp"

namespace mallard::api {

Answer get_messages(Call& call);

}  // namespace mallard::api
