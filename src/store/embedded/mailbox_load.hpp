#pragma once
// Reads a mailbox from the disk: its settings, the checkpoint's chunks, then the journal upon them.

#include <map>
#include <memory>

#include "kv/engine.hpp"
#include "store/index.hpp"

namespace mallard::store::embedded {

struct LoadedMailbox {
    Snapshot index;
    ModSeq checkpoint_modseq = 1;
    std::map<Uid, std::weak_ptr<Chunk const>> saved;  // the checkpoint's chunks, by first uid
    std::uint64_t journal_records = 0, journal_bytes = 0, journal_touched = 0;
};
Result<LoadedMailbox> load_mailbox(kv::Engine const& engine, MailboxId id,
                                   kv::View const* view = nullptr);  // not_found, corrupt

}  // namespace mallard::store::embedded
