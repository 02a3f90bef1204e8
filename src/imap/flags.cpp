#include "imap/flags.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mallard::imap {

store::Flags to_flags(std::vector<std::string> const& names) {
    store::Flags out;
    for (std::string const& name : names) {
        if (std::uint8_t const bit = store::system_flag(name))
            out.system |= bit;
        else
            out.keywords.push_back(name);
    }
    return out;
}

store::UidSet uids_of(imap_proto::SequenceSet const& set, store::MailboxIndex const& view, bool by_uid) {
    std::uint32_t const size = view.size();
    store::UidSet out;
    if (size == 0) return out;
    if (by_uid) {
        view.for_uids(set.resolve(view.row(size - 1).uid),
                      [&](std::uint32_t, store::Row const& row) { out.add(row.uid); });
    } else {
        for (auto const& range : set.resolve(size, size).ranges())
            for (std::uint32_t n = range.first; n <= range.last; ++n) out.add(view.row(n - 1).uid);
    }
    return out;
}

Result<store::UidSet> parse_uids(Session& session, Request const& request) {
    auto const& argument = request.arguments()[0];
    auto const set = argument.is_atom() ? imap_proto::parse_sequence_set(argument.text) : fail(ErrorKind::invalid, "");
    if (!set) return fail(ErrorKind::invalid, fmt::format("Invalid sequence set for {}", request.command.name));
    return uids_of(*set, *session.selected().view, request.by_uid());
}

store::Row const* RowCursor::seek(store::Uid uid) {
    while (chunk_ < index_.chunks.size() && index_.chunks[chunk_]->last() < uid) {
        ++chunk_;
        row_ = 0;
    }
    if (chunk_ == index_.chunks.size()) return nullptr;
    auto const& rows = index_.chunks[chunk_]->rows();
    if (row_ < rows.size() && rows[row_].uid < uid) ++row_;  // the usual case: the next one
    if (row_ < rows.size() && rows[row_].uid < uid)
        row_ = static_cast<std::size_t>(std::ranges::lower_bound(rows.begin() + static_cast<std::ptrdiff_t>(row_),
                                                                 rows.end(), uid, {}, &store::Row::uid) -
                                        rows.begin());
    return row_ < rows.size() && rows[row_].uid == uid ? &rows[row_] : nullptr;
}

}  // namespace mallard::imap
