#pragma once
// How a mailbox's index lies on disk: packed rows (checkpoint chunks), its head, and the journal's changes. A COPY of
// 100,000 messages is one change of a few hundred kilobytes, a STORE on them one of a few octets. Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "store/index.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

// One record of the journal, all of whose rows get the modseq that is its key.
// It names the keywords it uses, because the change that first used them may have been lost with a crash.
struct Change {
    enum class Kind : std::uint8_t { rows = 1, flags = 2, expunge = 3 };
    Kind kind = Kind::rows;
    std::vector<Row> rows;                                // rows: appended, ascending
    UidSet uids;                                          // flags: whose flags change; expunge: which vanish
    FlagMode mode = FlagMode::add;                        // flags
    std::uint8_t system = 0;                              // flags
    KeywordBits keywords;                                 // flags
    std::vector<std::pair<unsigned, std::string>> names;  // keywords used: number and name
};

std::string encode_change(Change const& change);
Result<Change> decode_change(std::string_view bytes, ModSeq modseq);  // corrupt

std::string encode_rows(std::span<Row const> rows);            // with modseqs: a checkpoint's chunk
Result<std::vector<Row>> decode_rows(std::string_view bytes);  // corrupt
// Reads all of them and keeps none; what it accepts, decode_rows does. corrupt: also without rows, or not ascending.
Result<ChunkSummary> summarize_rows(std::string_view bytes);

std::string encode_uids(UidSet const& uids);
Result<UidSet> decode_uids(std::string_view bytes);  // corrupt

struct CheckpointHead {
    ModSeq modseq = 1;  // changes up to this one are in the chunks
    Uid uid_next = 1;
    std::vector<std::string> keywords;
};
std::string encode_head(CheckpointHead const& head);
Result<CheckpointHead> decode_head(std::string_view bytes);  // corrupt

// The keywords among `bits`, as a change names them.
std::vector<std::pair<unsigned, std::string>> keyword_names(KeywordBits bits, std::vector<std::string> const& all);

}  // namespace mallard::store::embedded
