#include "store/embedded/mailbox_load.hpp"

#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "store/embedded/codec.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::size_t shared_chunks_min = 32;  // fewer are unpacked before a thread has started

using Unpacked = std::vector<Result<std::vector<Row>>>;

// Memory never used before costs more than unpacking into it, so two threads share the chunks of a large mailbox.
Unpacked unpack(std::vector<std::string> const& packed) {
    Unpacked out(packed.size());
    auto const some = [&](std::size_t from, std::size_t to) {
        for (std::size_t n = from; n < to; ++n) out[n] = decode_rows(packed[n]);
    };
    std::size_t middle = packed.size();
    std::jthread helper;
    if (packed.size() >= shared_chunks_min) {
        try {
            helper = std::jthread(some, packed.size() / 2, packed.size());
            middle = packed.size() / 2;
        } catch (std::system_error const&) {  // the system has no more threads
        }
    }
    some(0, middle);
    if (helper.joinable()) helper.join();
    return out;
}

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
    std::vector<std::string> packed;
    for (; cursor->valid(); cursor->next()) packed.emplace_back(cursor->value());
    MALLARD_TRY(cursor->status());
    Uid last = 0;
    for (auto& unpacked : unpack(packed)) {
        MALLARD_TRY_ASSIGN(auto rows, std::move(unpacked));
        if (rows.empty() || rows.front().uid <= last || rows.back().uid >= head.uid_next)
            return fail(ErrorKind::corrupt, "Stored data is damaged; run the check command", "index: order of uids");
        last = rows.back().uid;
        edit.adopt(std::move(rows));
    }
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
    for (auto const& chunk : loaded.index->chunks) loaded.saved[chunk->rows.front().uid] = chunk;

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
