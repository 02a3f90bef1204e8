#include "store/embedded/mailbox_load.hpp"

#include <memory>
#include <string>
#include <vector>

#include "store/embedded/codec.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

std::vector<Row> unpack(std::string_view packed) { return decode_rows(packed).value(); }  // summarized before

Result<Snapshot> load_checkpoint(kv::Engine const& engine, MailboxInfo info, CheckpointHead const& head,
                                 kv::View const* view) {
    MailboxIndex empty;
    MailboxId const id = info.id;
    empty.info = std::move(info);
    empty.keywords = head.keywords;
    empty.uid_next = head.uid_next;
    empty.highest_modseq = head.modseq;
    IndexEdit edit(empty);
    auto const cursor = engine.scan(table_index, {key_of(id, std::uint32_t{1}), key_of(id, UINT32_MAX)}, view);
    Uid last = 0;
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY_ASSIGN(auto const summary, summarize_rows(cursor->value()));
        if (summary.first <= last || summary.last >= head.uid_next)
            return fail(ErrorKind::corrupt, "Stored data is damaged; run the check command", "index: order of uids");
        last = summary.last;
        edit.adopt(std::make_shared<Chunk const>(summary, std::string(cursor->value()), unpack));
    }
    MALLARD_TRY(cursor->status());
    return edit.finish();
}

}  // namespace

Result<LoadedMailbox> load_mailbox(kv::Engine const& engine, MailboxId id, kv::View const* view) {
    MALLARD_TRY_ASSIGN(auto const stored, engine.get(table_mailbox, id.view(), view));
    if (!stored) return fail(ErrorKind::not_found, "This mailbox does not exist");
    MALLARD_TRY_ASSIGN(auto info, decode_mailbox(id, *stored));
    MALLARD_TRY_ASSIGN(auto const packed, engine.get(table_index, key_of(id, std::uint32_t{0}), view));
    LoadedMailbox loaded;
    CheckpointHead head;
    if (packed) {
        MALLARD_TRY_ASSIGN(head, decode_head(*packed));
        MALLARD_TRY_ASSIGN(loaded.index, load_checkpoint(engine, std::move(info), head, view));
    } else {
        MailboxIndex empty;
        empty.info = std::move(info);
        loaded.index = IndexEdit(empty).finish();
    }
    loaded.checkpoint_modseq = head.modseq;
    for (auto const& chunk : loaded.index->chunks) loaded.saved[chunk->first()] = chunk;

    // An edit of its own: the checkpoint's chunks stay what lies on the disk.
    IndexEdit edit(*loaded.index);
    auto const cursor = engine.scan(table_journal, {key_of(id, head.modseq + 1), key_of(id, UINT64_MAX)}, view);
    for (; cursor->valid(); cursor->next()) {
        ModSeq const modseq = get_be64(cursor->key().substr(12));
        MALLARD_TRY_ASSIGN(auto const change, decode_change(cursor->value(), modseq));
        edit.apply(change, modseq);
        ++loaded.journal_records;
        loaded.journal_bytes += cursor->value().size();
    }
    MALLARD_TRY(cursor->status());
    loaded.journal_touched = edit.touched();
    if (loaded.journal_records > 0) loaded.index = edit.finish();
    return loaded;
}

}  // namespace mallard::store::embedded
