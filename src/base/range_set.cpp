#include "base/range_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace mallard {

void RangeSet::add(std::uint32_t first, std::uint32_t last) {
    if (!ranges_.empty() && first > ranges_.back().last) {  // the common case: numbers come in order
        if (first == ranges_.back().last + 1)
            ranges_.back().last = last;
        else
            ranges_.push_back({first, last});
        return;
    }
    // The ranges that touch [first-1, last+1] melt into one.
    auto const begin = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                                        [](Range const& r, std::uint32_t v) { return std::uint64_t{r.last} + 1 < v; });
    auto end = begin;
    while (end != ranges_.end() && end->first <= std::uint64_t{last} + 1) {
        first = std::min(first, end->first);
        last = std::max(last, end->last);
        ++end;
    }
    if (begin == end) {
        ranges_.insert(begin, Range{first, last});
    } else {
        *begin = {first, last};
        ranges_.erase(begin + 1, end);
    }
}

bool RangeSet::contains(std::uint32_t value) const {
    auto const it = std::lower_bound(ranges_.begin(), ranges_.end(), value,
                                     [](Range const& r, std::uint32_t v) { return r.last < v; });
    return it != ranges_.end() && it->first <= value;
}

std::uint64_t RangeSet::count() const {
    std::uint64_t n = 0;
    for (Range const& r : ranges_) n += std::uint64_t{r.last} - r.first + 1;
    return n;
}

std::string RangeSet::to_string() const {
    fmt::memory_buffer out;
    for (Range const& r : ranges_) {
        if (out.size() > 0) out.push_back(',');
        if (r.first == r.last)
            fmt::format_to(std::back_inserter(out), "{}", r.first);
        else
            fmt::format_to(std::back_inserter(out), "{}:{}", r.first, r.last);
    }
    return fmt::to_string(out);
}

std::ostream& operator<<(std::ostream& out, RangeSet const& set) { return out << set.to_string(); }

}  // namespace mallard
