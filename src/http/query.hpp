#pragma once
// Query strings and urlencoded bodies, with the nesting rules of api.md §1: a=1&a=2 and a[]=1 make arrays, a[b]=1 makes
// objects, and in query strings a.b=1 does too. At most 5 levels, index 20, 1000 parameters; what is beyond a bound is
// kept as a plain key or dropped. Pure; any input gives a value.

#include <string>
#include <string_view>

#include "http/json.hpp"

namespace mallard::http {

// Sequences that are no UTF-8 become U+FFFD; a stray '%' stays.
std::string percent_decode(std::string_view text, bool plus_is_blank);
Json parse_query(std::string_view query, bool dots_nest);

}  // namespace mallard::http
