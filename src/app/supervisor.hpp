#pragma once
// Supervisor: keeps worker processes running. It serves nothing itself and opens no store.
//
// - One thread. What it is asked to do comes as bytes from a pipe, into which signal handlers may write.
// - The first worker starts alone. Until it is ready its end is the end of run(), with the reason; after that the
//   others start, and whoever ends is started again, later each time it fails soon.
// - Rolling: one worker of the new plan must become ready, else the old plan stays in force. Then one by one: the new
//   worker is ready before its predecessor is told to retire, and that one is gone before the next is touched.
// - Stopping: every worker is told at once; whoever is left after `stop` is killed.
// - Plans own the listening sockets, so they are open as long as we are: who waits in their queue while a worker dies
//   is served by another (docs/decisions/0021-processes.md).

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/worker_process.hpp"
#include "base/error.hpp"

namespace mallard::app {

struct Plan {
    std::vector<WorkerPlan> workers;  // at least one
};

struct SupervisorTiming {
    std::chrono::milliseconds start{60'000};  // a worker that is not ready by then is killed
    std::chrono::milliseconds stop{9'500};
    std::chrono::milliseconds back_off_first{100};  // doubled with each failure, up to the longest
    std::chrono::milliseconds back_off_longest{30'000};
    std::chrono::milliseconds steady{30'000};  // a worker that was ready so long has not failed soon
    std::chrono::milliseconds metrics{1'000};  // for whoever does not answer, what it said last counts
};

class Supervisor {
public:
    enum class Request : char { stop = 's', roll = 'r' };

    Supervisor(std::vector<std::string> program, int requests, SupervisorTiming timing = {});
    ~Supervisor();

    // `replan` makes the plan of a roll; its error is logged and changes nothing. `serving` is called once, when the
    // first worker is ready. Returns when all have stopped.
    Result<void> run(Plan plan, std::function<Result<Plan>()> replan, std::function<void()> serving);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::app
