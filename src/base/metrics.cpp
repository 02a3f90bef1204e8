#include "base/metrics.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <vector>

namespace mallard::metrics {

namespace {

// protocols.md §10
constexpr double buckets_api[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
constexpr double buckets_commands[] = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
constexpr double buckets_messages[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};
constexpr double buckets_tasks[] = {.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900};
constexpr double buckets_sizes[] = {1024, 10240, 102400, 1048576, 10485760, 52428800, 104857600};

std::span<double const> bounds_of(Buckets buckets) {
    switch (buckets) {
        case Buckets::api: return buckets_api;
        case Buckets::commands: return buckets_commands;
        case Buckets::messages: return buckets_messages;
        case Buckets::tasks: return buckets_tasks;
        case Buckets::sizes: return buckets_sizes;
    }
    return buckets_api;
}

}  // namespace

class Histogram {
public:
    explicit Histogram(Buckets buckets) : bounds(bounds_of(buckets)), counts(bounds.size() + 1) {}

    std::span<double const> bounds;
    std::vector<std::atomic<std::uint64_t>> counts;  // per bucket, not cumulative; the last is +Inf
    std::atomic<double> sum{0};
};

namespace {

enum class Type { counter, gauge, histogram, gauge_function };

// All series of one name. Series are never removed, so references to them stay good.
struct Family {
    Type type;
    std::map<std::string, std::unique_ptr<Counter>> counters;  // by rendered labels, without braces
    std::map<std::string, std::unique_ptr<Gauge>> gauges;
    std::map<std::string, std::unique_ptr<Histogram>> histograms;
    std::function<double()> read;
};

struct Registry {
    std::mutex mutex;
    std::map<std::string, Family, std::less<>> families;

    Family& family(std::string_view name, Type type) {
        auto it = families.find(name);
        if (it == families.end()) {
            it = families.try_emplace(std::string(name)).first;
            it->second.type = type;
        }
        if (it->second.type != type) throw std::logic_error("metric registered with two types: " + std::string(name));
        return it->second;
    }
};

Registry& registry() {
    static auto* const instance = new Registry;  // never destroyed: threads count until the process is gone
    return *instance;
}

std::string render_labels(Labels labels) {
    std::string out;
    for (auto const& [key, value] : labels) {
        if (!out.empty()) out += ',';
        out += key;
        out += "=\"";
        for (char const c : value) {
            if (c == '\\' || c == '"') out += '\\';
            if (c == '\n')
                out += "\\n";
            else
                out += c;
        }
        out += '"';
    }
    return out;
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return fmt::format("{}", value);
}

void line(std::string& out, std::string_view name, std::string_view labels, double value) {
    out += name;
    if (!labels.empty()) out += fmt::format("{{{}}}", labels);
    out += ' ';
    out += number(value);
    out += '\n';
}

void render_histogram(std::string& out, std::string const& name, std::string const& labels, Histogram const& h) {
    std::string const comma = labels.empty() ? "" : ",";
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
        total += h.counts[i].load(std::memory_order_relaxed);
        std::string const bound = i < h.bounds.size() ? number(h.bounds[i]) : "+Inf";
        line(out, name + "_bucket", fmt::format("{}{}le=\"{}\"", labels, comma, bound), static_cast<double>(total));
    }
    line(out, name + "_sum", labels, h.sum.load(std::memory_order_relaxed));
    line(out, name + "_count", labels, static_cast<double>(total));
}

std::string_view type_name(Type type) {
    switch (type) {
        case Type::counter: return "counter";
        case Type::histogram: return "histogram";
        case Type::gauge:
        case Type::gauge_function: return "gauge";
    }
    return "untyped";
}

// What Prometheus clients tell of their process, as far as Linux tells us.
void render_process(std::string& out) {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    auto const seconds = [](timeval const& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    out += "# TYPE process_cpu_seconds_total counter\n";
    line(out, "process_cpu_seconds_total", "", seconds(usage.ru_utime) + seconds(usage.ru_stime));
    if (std::FILE* statm = std::fopen("/proc/self/statm", "r")) {
        long pages = 0, resident = 0;
        if (std::fscanf(statm, "%ld %ld", &pages, &resident) == 2) {
            out += "# TYPE process_resident_memory_bytes gauge\n";
            line(out, "process_resident_memory_bytes", "", static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)));
        }
        std::fclose(statm);
    }
    std::error_code error;
    std::ptrdiff_t descriptors = 0;
    for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error))
        ++descriptors;
    out += "# TYPE process_open_fds gauge\n";
    line(out, "process_open_fds", "", static_cast<double>(descriptors));
}

}  // namespace

void Counter::add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
double Counter::value() const { return value_.load(std::memory_order_relaxed); }
void Gauge::add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
void Gauge::set(double to) { value_.store(to, std::memory_order_relaxed); }
double Gauge::value() const { return value_.load(std::memory_order_relaxed); }

Counter& counter(std::string_view name, Labels labels) {
    std::lock_guard const lock(registry().mutex);
    auto& slot = registry().family(name, Type::counter).counters[render_labels(labels)];
    if (!slot) slot = std::make_unique<Counter>();
    return *slot;
}

Gauge& gauge(std::string_view name, Labels labels) {
    std::lock_guard const lock(registry().mutex);
    auto& slot = registry().family(name, Type::gauge).gauges[render_labels(labels)];
    if (!slot) slot = std::make_unique<Gauge>();
    return *slot;
}

Histogram& histogram(std::string_view name, Buckets buckets, Labels labels) {
    std::lock_guard const lock(registry().mutex);
    auto& slot = registry().family(name, Type::histogram).histograms[render_labels(labels)];
    if (!slot) slot = std::make_unique<Histogram>(buckets);
    return *slot;
}

void observe(Histogram& histogram, double value) {
    std::size_t i = 0;
    while (i < histogram.bounds.size() && value > histogram.bounds[i]) ++i;
    histogram.counts[i].fetch_add(1, std::memory_order_relaxed);
    histogram.sum.fetch_add(value, std::memory_order_relaxed);
}

void gauge_function(std::string_view name, std::function<double()> read) {
    std::lock_guard const lock(registry().mutex);
    registry().family(name, Type::gauge_function).read = std::move(read);
}

std::string render() {
    std::string out;
    std::lock_guard const lock(registry().mutex);
    for (auto const& [name, family] : registry().families) {
        out += fmt::format("# TYPE {} {}\n", name, type_name(family.type));
        for (auto const& [labels, c] : family.counters) line(out, name, labels, c->value());
        for (auto const& [labels, g] : family.gauges) line(out, name, labels, g->value());
        for (auto const& [labels, h] : family.histograms) render_histogram(out, name, labels, *h);
        if (family.read) line(out, name, "", family.read());
    }
    render_process(out);
    return out;
}

namespace {

struct Collector {
    std::mutex mutex;
    std::function<std::string()> all = render;
};

Collector& collector() {
    static auto* const instance = new Collector;
    return *instance;
}

}  // namespace

void collect_with(std::function<std::string()> all) {
    std::lock_guard const lock(collector().mutex);
    collector().all = std::move(all);
}

std::string collect() {
    std::function<std::string()> all;
    {
        std::lock_guard const lock(collector().mutex);
        all = collector().all;
    }
    return all();
}

}  // namespace mallard::metrics
