#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <thread>

namespace bench {

namespace {

float percentile(std::vector<float> const& sorted, double p) {
    if (sorted.empty()) return 0;
    return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(p * static_cast<double>(sorted.size())))];
}

std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= 0 && c < 32 ? ' ' : c;
    }
    return out;
}

}  // namespace

void print(Run run) {
    std::sort(run.latencies.begin(), run.latencies.end());
    fmt::print(
        "{{\"work\": \"{}\", \"connections\": {}, \"operations\": {}, \"errors\": {}, \"bytes\": {}, \"seconds\": "
        "{:.4f}, "
        "\"rate\": {:.1f}, \"p50_ms\": {:.3f}, \"p95_ms\": {:.3f}, \"p99_ms\": {:.3f}, \"error\": \"{}\"}}\n",
        run.work, run.connections, run.operations, run.errors, run.bytes, run.seconds,
        run.seconds > 0 ? static_cast<double>(run.operations) / run.seconds : 0, percentile(run.latencies, 0.50),
        percentile(run.latencies, 0.95), percentile(run.latencies, 0.99), escaped(run.first_error));
    std::fflush(stdout);
}

Run run_threads(std::string work, unsigned connections, Body const& body) {
    Run run;
    run.work = std::move(work);
    run.connections = connections;
    std::mutex mutex;
    std::condition_variable changed;
    unsigned waiting = 0;
    bool go = false;

    std::vector<std::thread> threads;
    for (unsigned i = 0; i < connections; ++i) {
        threads.emplace_back([&, i] {
            bool arrived = false;
            auto const ready = [&] {
                std::unique_lock lock(mutex);
                ++waiting;
                arrived = true;
                changed.notify_all();
                changed.wait(lock, [&] { return go; });
            };
            std::vector<float> latencies;
            std::uint64_t bytes = 0;
            std::string error;
            try {
                bytes = body(i, ready, latencies);
            } catch (std::exception const& e) {
                error = e.what();
            }
            std::lock_guard lock(mutex);
            if (!arrived) ++waiting;
            changed.notify_all();
            run.operations += latencies.size();
            run.bytes += bytes;
            run.latencies.insert(run.latencies.end(), latencies.begin(), latencies.end());
            if (!error.empty()) {
                ++run.errors;
                if (run.first_error.empty()) run.first_error = error;
            }
        });
    }
    {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return waiting >= connections; });
        go = true;
        changed.notify_all();
    }
    auto const start = now();
    for (auto& t : threads) t.join();
    run.seconds = since(start);
    return run;
}

}  // namespace bench
