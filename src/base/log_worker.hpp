#pragma once
// The name of this process among those of its server, as its supervisor calls it too.

#include <string>

namespace mallard {

// Every line that this process logs carries it. Called before threads start.
void log_as_worker(std::string name);

}  // namespace mallard
