#pragma once
// wildduck_pop3_commands_total and wildduck_pop3_command_duration_seconds (protocols.md §10).

#include <chrono>

#include "pop3_proto/command.hpp"

namespace mallard::pop3 {

void count_command(Verb verb, bool refused, std::chrono::duration<double> taken);

}  // namespace mallard::pop3
