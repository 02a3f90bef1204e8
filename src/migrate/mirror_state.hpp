#pragma once
// Makes the tokens and sets of the target those of the source. Counters (failed logins, connections, traffic of a day)
// begin anew, as after any restart.

#include <cstdint>
#include <vector>

#include "migrate/side.hpp"

namespace mallard::migrate {

// What is carried over: all under store::lasting_keys.
Result<std::vector<store::StateEntry>> kept_entries(store::SharedState const& state);
Result<std::uint64_t> mirror_state(Side const& from, Side const& to);  // how many differed
// Equal but for the seconds that passed between two looks, and uses that prolong a life.
bool same_entry(store::StateEntry const& a, store::StateEntry const& b);

}  // namespace mallard::migrate
