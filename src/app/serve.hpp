#pragma once
// `mallard serve`: the life of the server, from settings to the last connection.

#include "app/commands.hpp"

namespace mallard::app {

// Returns the exit status. `program` is how we were called, for the hint that is printed.
int serve(CommonOptions const& options, char const* program);

}  // namespace mallard::app
