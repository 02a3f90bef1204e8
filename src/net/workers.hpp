#pragma once
// The worker pools: where the synchronous inside runs. `run` hops there and back: the coroutine resumes on its own
// network thread. Threads: run() from a coroutine on a network thread; post() from anywhere.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "net/stream.hpp"

namespace mallard::net {

enum class Pool {
    commands,   // short: many threads, they block on the disk
    long_work,  // password hashing, search, import, export
};

class Workers {
public:
    Workers(std::size_t command_threads, std::size_t long_threads);
    ~Workers();  // finishes what was posted

    Async<void> run(Pool pool, std::function<void()> work);  // rethrows what work threw
    void post(Pool pool, std::function<void()> work);        // must not throw: what it throws is logged
    // For work on a worker that can be halved: does `own` here and `other` on a second worker, or here too when none
    // has taken it by then. Returns when both are done; rethrows what they threw. So it never waits for a thread.
    void both(Pool pool, std::function<void()> const& own, std::function<void()> other);
    void wait_for_runs();  // until no coroutine waits in run(): after that, network threads may go

    // auto r = co_await workers.call(Pool::commands, [&] { return session.execute(command); });
    template <class F>
    Async<std::invoke_result_t<F>> call(Pool pool, F work) {
        std::optional<std::invoke_result_t<F>> result;
        co_await run(pool, [&] { result.emplace(work()); });
        co_return std::move(*result);
    }

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::net
