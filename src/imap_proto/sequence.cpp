#include "imap_proto/sequence.hpp"

#include <algorithm>
#include <charconv>

namespace mallard::imap_proto {

namespace {

Result<std::uint32_t> parse_seq_number(std::string_view text) {
    if (text == "*") return SequenceSet::star;
    MALLARD_TRY_ASSIGN(std::uint64_t const n, parse_number(text, 0xffff'ffff));
    if (n == 0) return fail(ErrorKind::invalid, "Invalid sequence set");  // RFC 9051 §9 nz-number
    return static_cast<std::uint32_t>(n);
}

}  // namespace

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
    std::uint64_t n = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || n > max)
        return fail(ErrorKind::invalid, "Invalid number");
    return n;
}

Result<SequenceSet> parse_sequence_set(std::string_view text) {
    SequenceSet out;
    while (true) {
        std::size_t const comma = text.find(',');
        std::string_view const piece = text.substr(0, comma);
        std::size_t const colon = piece.find(':');
        MALLARD_TRY_ASSIGN(std::uint32_t const first, parse_seq_number(piece.substr(0, colon)));
        std::uint32_t last = first;
        if (colon != std::string_view::npos) {
            MALLARD_TRY_ASSIGN(last, parse_seq_number(piece.substr(colon + 1)));
        }
        out.ranges.push_back({first, last});
        if (comma == std::string_view::npos) return out;
        text.remove_prefix(comma + 1);
    }
}

RangeSet SequenceSet::resolve(std::uint32_t largest, std::uint32_t cut) const {
    std::vector<Range> sorted;
    sorted.reserve(ranges.size());
    for (Range range : ranges) {
        if ((range.first == star || range.last == star) && largest == 0) continue;
        if (range.first == star) range.first = largest;
        if (range.last == star) range.last = largest;
        if (range.first > range.last) std::swap(range.first, range.last);
        range.last = std::min(range.last, cut);
        if (range.first <= range.last) sorted.push_back(range);
    }
    // In order, so that each addition is at the end of the set: linear after the sort, whatever the client wrote.
    std::ranges::sort(sorted, {}, &Range::first);
    RangeSet out;
    for (Range const& range : sorted) out.add(range.first, range.last);
    return out;
}

}  // namespace mallard::imap_proto
