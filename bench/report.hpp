#pragma once
// Latencies of one run and the one JSON line that a run prints.

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace bench {

using Seconds = std::chrono::duration<double>;
inline std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }
inline double since(std::chrono::steady_clock::time_point start) { return Seconds(now() - start).count(); }

struct Run {
    std::string work;
    unsigned connections = 0;
    std::uint64_t operations = 0, errors = 0, bytes = 0;
    double seconds = 0;
    std::vector<float> latencies;  // milliseconds
    std::string first_error;
};

void print(Run run);

// Runs body(connection number, latencies) on a thread each; collects; exceptions are counted and the first is kept.
// The clock runs from when all threads are ready (body calls ready() after its set-up) to the last one's end.
using Body =
    std::function<std::uint64_t(unsigned number, std::function<void()> const& ready, std::vector<float>& latencies)>;
Run run_threads(std::string work, unsigned connections, Body const& body);

}  // namespace bench
