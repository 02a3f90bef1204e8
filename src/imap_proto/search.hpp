#pragma once
// SEARCH arguments (RFC 9051 §6.4.4, RFC 7162 §3.1.5, RFC 5032 WITHIN) as a tree. What `*` is, the mailbox decides.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/sequence.hpp"

namespace mallard::imap_proto {

struct SearchTerm {
    enum class Kind {
        all,
        none,
        sequence,
        uid,
        flag,
        keyword,
        before,
        on,
        since,
        sent_before,
        sent_on,
        sent_since,
        younger,
        older,
        larger,
        smaller,
        modseq,
        header,
        body,
        text,
        and_,
        or_,
        not_,
    };
    Kind kind = Kind::all;
    SequenceSet set;           // sequence, uid
    std::string field;         // header: its name, lower case
    std::string text;          // flag: "\\Seen"; keyword; header, body, text: the string
    std::uint64_t number = 0;  // younger, older (seconds), larger, smaller, modseq
    TimeMs day = 0;            // dates: that day's first moment
    std::vector<SearchTerm> children;
};

struct SearchRequest {
    std::string charset;  // as written; empty: none
    SearchTerm term;
    bool uses_modseq = false;
    bool reads_text = false;  // BODY or TEXT: slow
};

Result<SearchRequest> parse_search(std::vector<Argument> const& arguments, Limits const& limits);

}  // namespace mallard::imap_proto
