#pragma once
// Metrics: counters, gauges and histograms by name and label values, rendered as Prometheus text 0.0.4
// (names and buckets: protocols.md §10). Registering is idempotent; add/observe are thread-safe and cheap
// (keep the returned reference: the look-up by label takes a lock, the addition does not).

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace mallard::metrics {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Counter {
public:
    void add(double by = 1);
    double value() const;

private:
    std::atomic<double> value_{0};
};

class Gauge {
public:
    void add(double by);
    void set(double to);
    double value() const;

private:
    std::atomic<double> value_{0};
};

class Histogram;                                               // opaque; see observe()
enum class Buckets { api, commands, messages, tasks, sizes };  // A, B, C, D, S

Counter& counter(std::string_view name, Labels labels = {});
Gauge& gauge(std::string_view name, Labels labels = {});
Histogram& histogram(std::string_view name, Buckets buckets, Labels labels = {});
void observe(Histogram& histogram, double value);

// A gauge whose value is asked for when rendered (memory, connections).
void gauge_function(std::string_view name, std::function<double()> read);

std::string render();  // this process

// What /metrics answers: of all processes that serve together, where there are more. Set once, at start.
std::string collect();
void collect_with(std::function<std::string()> all);

}  // namespace mallard::metrics
