#pragma once
// `mallard serve`: the life of the server, from settings to the last connection. One process here; more of them under a
// supervisor in serve_processes.cpp, each living in worker.cpp.

#include <chrono>
#include <string>
#include <vector>

#include "app/commands.hpp"
#include "app/ports.hpp"

namespace mallard::app {

inline constexpr auto drain_time = std::chrono::seconds(8);  // for commands in flight

// Returns the exit status. `program` is how we were called, for the hint that is printed.
int serve(CommonOptions const& options, char const* program);
int serve_processes(CommonOptions const& options, char const* program, config::Settings const& settings);
int run_worker(std::string name, int channel);  // `mallard worker`, of the supervisor alone

// What is printed when it serves.
void announce(std::vector<Listening> const& listening, DataDirectory const& directory, config::Settings const& settings,
              CommonOptions const& options, char const* program);

std::size_t processors();       // what `cpus` stands for
void raise_descriptor_limit();  // a connection is a descriptor: as many as the system lets us have

// From here on the process ends within ten seconds, whatever hangs: everything acknowledged is on the disk already.
void exit_in_time();

}  // namespace mallard::app
