#pragma once
// Search over one mailbox (RFC 9051 §6.4.4): a tree of keys, evaluated cheapest first: index, then records, then bytes.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "store/mail_store.hpp"

namespace mallard::mailboxes {

struct SearchKey {
    enum class Kind {
        all,
        none,
        rows,
        uids,  // rows: `set` holds sequence numbers; uids: UIDs ("*" resolved by the parser)
        flag,
        keyword,  // flag: `bits`; keyword: `text`
        before,
        on,
        since,  // internal date; [from, to) is the day named, in ms: before < from, on in [from, to), since >= from
        sent_before,
        sent_on,
        sent_since,  // the same of the Date: header
        younger,
        older,  // seconds in `number`
        larger,
        smaller,
        modseq,  // `number`
        header,  // `field` (lower case), `text` (UTF-8); empty text: the field is there
        body,
        text,  // `text`
        and_,
        or_,
        not_,  // `children`
    };
    Kind kind = Kind::all;
    RangeSet set;
    std::uint8_t bits = 0;
    std::uint64_t number = 0;
    TimeMs from = 0, to = 0;
    std::string field, text;
    std::vector<SearchKey> children;
};

struct SearchResult {
    std::vector<std::uint32_t> rows;   // row numbers of the snapshot, ascending
    store::ModSeq highest_modseq = 0;  // of the matches
};

// `cancelled` is asked now and then; true ends the search with ErrorKind::closed.
Result<SearchResult> search(store::MailStore& store, store::MailboxIndex const& mailbox, SearchKey const& key,
                            TimeMs now, std::function<bool()> const& cancelled);

}  // namespace mallard::mailboxes
