#include "store/cluster/index_merge.hpp"

#include <algorithm>
#include <utility>

namespace mallard::store::cluster {

namespace {

void push_chunk(MailboxIndex& index, std::vector<Row> rows) {
    index.chunks.push_back(std::make_shared<Chunk>(std::move(rows)));
}

bool touches(UidSet const& uids, Uid first, Uid last) {
    auto const& ranges = uids.ranges();
    auto const at = std::ranges::lower_bound(ranges, first, {}, &UidSet::Range::last);
    return at != ranges.end() && at->first <= last;
}

}  // namespace

std::shared_ptr<MailboxIndex> merge(MailboxIndex const& base, IndexDelta const& delta) {
    auto next = std::make_shared<MailboxIndex>();
    next->info = base.info;
    next->keywords = base.keywords;
    next->uid_next = base.uid_next;
    next->highest_modseq = base.highest_modseq;
    auto change = delta.rows.begin();
    for (auto const& chunk : base.chunks) {
        Uid const first = chunk->first(), last = chunk->last();
        bool const is_last = chunk == base.chunks.back();
        bool const changed =
            change != delta.rows.end() && (change->first <= last || (is_last && chunk->size() < chunk_rows_max));
        if (!changed && !touches(delta.removed, first, last)) {
            next->chunks.push_back(chunk);
            continue;
        }
        std::vector<Row> rows;
        rows.reserve(chunk->size() + 1);
        for (Row const& row : chunk->rows()) {
            for (; change != delta.rows.end() && change->first < row.uid; ++change) rows.push_back(change->second);
            bool const replaced = change != delta.rows.end() && change->first == row.uid;
            if (replaced) {
                rows.push_back(change->second);
                ++change;
            } else if (!delta.removed.contains(row.uid)) {
                rows.push_back(row);
            }
        }
        for (; is_last && change != delta.rows.end() && rows.size() < chunk_rows_max; ++change)
            rows.push_back(change->second);
        for (std::size_t at = 0; at < rows.size(); at += chunk_rows_max) {
            auto const end = std::min(rows.size(), at + chunk_rows_max);
            push_chunk(*next, {rows.begin() + static_cast<std::ptrdiff_t>(at),
                               rows.begin() + static_cast<std::ptrdiff_t>(end)});
        }
    }
    std::vector<Row> rest;
    for (; change != delta.rows.end(); ++change) {
        rest.push_back(change->second);
        if (rest.size() == chunk_rows_max) push_chunk(*next, std::exchange(rest, {}));
    }
    if (!rest.empty()) push_chunk(*next, std::move(rest));
    std::uint32_t start = 0;
    for (auto const& chunk : next->chunks) {
        next->starts.push_back(start);
        start += chunk->size();
    }
    return next;
}

std::optional<unsigned> keyword_number(MailboxIndex& index, std::string_view name) {
    if (auto const known = index.keyword(name)) return known;
    if (index.keywords.size() >= keywords_max) return std::nullopt;
    index.keywords.emplace_back(name);
    return static_cast<unsigned>(index.keywords.size() - 1);
}

}  // namespace mallard::store::cluster
