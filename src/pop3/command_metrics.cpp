#include "pop3/command_metrics.hpp"

#include <vector>

#include "base/encoding.hpp"
#include "base/metrics.hpp"

namespace mallard::pop3 {

namespace {

struct Pair {
    metrics::Counter& count;
    metrics::Histogram& seconds;
};

// By verb, "ok" and "no" side by side.
std::vector<Pair> make_pairs() {
    std::vector<Pair> pairs;
    for (int verb = 0; verb <= static_cast<int>(Verb::unknown); ++verb) {
        std::string_view const name = name_of(static_cast<Verb>(verb));
        std::string const label = name.empty() ? "other" : to_lower(name);
        for (std::string_view result : {"ok", "no"})
            pairs.push_back({metrics::counter("wildduck_pop3_commands_total", {{"command", label}, {"result", result}}),
                             metrics::histogram("wildduck_pop3_command_duration_seconds", metrics::Buckets::commands,
                                                {{"command", label}, {"result", result}})});
    }
    return pairs;
}

}  // namespace

void count_command(Verb verb, bool refused, std::chrono::duration<double> taken) {
    static std::vector<Pair> const pairs = make_pairs();
    Pair const& pair = pairs[static_cast<std::size_t>(verb) * 2 + (refused ? 1 : 0)];
    pair.count.add();
    metrics::observe(pair.seconds, taken.count());
}

}  // namespace mallard::pop3
