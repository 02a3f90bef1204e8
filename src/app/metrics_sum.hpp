#pragma once
// The metrics of several processes as those of one: Prometheus text 0.0.4 in, one text out (protocols.md §10: the sum
// over all workers, or the first or the least where a sum means nothing). Pure.
//
// A counter never goes down while the supervisor lives: what ended processes had counted is added too.

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mallard::app {

class MetricsSum {
public:
    void add(std::string_view text);           // of a process that lives
    void add_counters(std::string_view text);  // of one that has ended: its gauges ended with it
    std::string render() const;

private:
    struct Series {
        std::string key;  // what follows the family's name: "_bucket{le=\"1\"}"
        double value;
    };
    struct Family {
        std::string type;                           // "counter", …
        std::vector<Series> list;                   // in the order they came: a histogram's buckets stay in theirs
        std::map<std::string, std::size_t> series;  // key to place in the list
    };
    void add(std::string_view text, bool counters_only);
    std::map<std::string, Family, std::less<>> families_;
};

}  // namespace mallard::app
