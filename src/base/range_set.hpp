#pragma once
// RangeSet: a set of 32-bit numbers as sorted, disjoint, non-adjacent closed ranges. What sequence sets, UID sets and
// journal records are made of: 1:100000 is one range.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <vector>

namespace mallard {

class RangeSet {
public:
    struct Range {
        std::uint32_t first;
        std::uint32_t last;  // inclusive
        bool operator==(Range const&) const = default;
    };

    RangeSet() = default;
    RangeSet(std::initializer_list<Range> ranges) {
        for (Range r : ranges) add(r.first, r.last);
    }

    void add(std::uint32_t value) { add(value, value); }
    void add(std::uint32_t first, std::uint32_t last);  // O(1) when appended in order; precondition first <= last
    bool contains(std::uint32_t value) const;           // O(log ranges)
    std::uint64_t count() const;                        // numbers, not ranges
    bool empty() const { return ranges_.empty(); }
    void clear() { ranges_.clear(); }
    std::vector<Range> const& ranges() const { return ranges_; }
    std::string to_string() const;  // RFC 9051 §9 uid-set: "1:3,7"; "" when empty
    bool operator==(RangeSet const&) const = default;
    friend std::ostream& operator<<(std::ostream& out, RangeSet const& set);  // to_string(), for tests that fail

private:
    std::vector<Range> ranges_;
};

}  // namespace mallard
