// Restoring a mailbox as it was on another engine. The index of a restored mailbox is written as checkpoints, because
// rows of the journal all have the modseq that is its key, and these come with modseqs of their own.

#include <algorithm>

#include "base/encoding.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr TimeMs second_ms = 1000;

// The numbers of the keywords in the mailbox, which gets those it does not have.
Result<KeywordBits> keyword_bits(MailboxIndex& index, std::vector<std::string> const& names) {
    KeywordBits bits;
    for (auto const& name : names) {
        auto n = index.keyword(name);
        if (!n) {
            if (index.keywords.size() >= keywords_max)
                return fail(ErrorKind::limit, "The mailbox has too many different keywords (at most 128)");
            n = static_cast<unsigned>(index.keywords.size());
            index.keywords.push_back(name);
        }
        bits.set(*n);
    }
    return bits;
}

Row row_of(RestoredMessage const& restored, BodyRef ref) {
    NewMessage const& message = restored.message;
    Row row;
    row.uid = restored.uid;
    row.system = message.flags.system;
    row.modseq = restored.modseq;
    row.body = ref;
    row.id = restored.id;
    row.size = message.source.size();
    row.internal_date = message.internal_date - ((message.internal_date % second_ms) + second_ms) % second_ms;
    return row;
}

}  // namespace

Result<void> EmbeddedMailStore::restore_messages(MailboxId id, std::span<RestoredMessage const> messages) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    UserId const user = before->info.user;
    kv::WriteBatch content;
    std::vector<Content::Incoming> incoming;
    std::vector<std::pair<Row, RestoredMessage const*>> rows;
    std::int64_t octets = 0;
    for (auto const& restored : messages) {
        if (before->find(restored.uid)) continue;
        NewMessage const& message = restored.message;
        MALLARD_TRY_ASSIGN(auto prepared, content_.prepare(message.source, message.tree));
        auto& stored = incoming.emplace_back(std::move(prepared));
        content.append(stored.batch);
        content.put(table_record, key_of(stored.ref), encode_record(message.record));
        MALLARD_TRY(threads_.lead(user, message.thread_refs, message.thread_subject, message.record.thread,
                                  message.internal_date, content));
        rows.emplace_back(row_of(restored, stored.ref), &restored);
        octets += static_cast<std::int64_t>(message.source.size());
    }
    if (rows.empty()) return {};
    std::ranges::sort(rows, {}, [](auto const& row) { return row.first.uid; });
    StorageCounters::Pending storage;
    MALLARD_TRY(mailbox->replace([&](Snapshot const& index, kv::WriteBatch& batch) -> Result<Snapshot> {
        IndexEdit edit(*index);
        std::vector<Row> above;  // most come above all that are there, many at a time
        for (auto& [row, restored] : rows) {
            if (index->find(row.uid)) return fail(ErrorKind::conflict, "The mailbox is being changed meanwhile");
            MALLARD_TRY_ASSIGN(row.keywords, keyword_bits(edit.index(), restored->message.flags.keywords));
            edit.index().highest_modseq = std::max(edit.index().highest_modseq, row.modseq);
            if (row.uid >= index->uid_next)
                above.push_back(row);
            else
                edit.put(row);
        }
        edit.append(above);
        batch.append(content);
        MALLARD_TRY_ASSIGN(storage, storage_.begin(user, octets, batch));
        return edit.finish();
    }));
    storage.ended();
    for (auto& stored : incoming) stored.stored();
    return {};
}

Result<void> EmbeddedMailStore::restore_changes(MailboxId id, std::span<RestoredFlags const> flags,
                                                UidSet const& vanished) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    StorageCounters::Pending storage;
    RefLog::Pending lost;
    MALLARD_TRY(mailbox->replace([&](Snapshot const& index, kv::WriteBatch& batch) -> Result<Snapshot> {
        IndexEdit edit(*index);
        bool changed = false;
        for (auto const& restored : flags) {
            auto const n = index->find(restored.uid);
            if (!n) continue;
            Row row = index->row(*n);
            row.system = restored.flags.system;
            row.modseq = restored.modseq;
            MALLARD_TRY_ASSIGN(row.keywords, keyword_bits(edit.index(), restored.flags.keywords));
            edit.index().highest_modseq = std::max(edit.index().highest_modseq, row.modseq);
            edit.put(row);
            changed = true;
        }
        std::vector<BodyRef> refs;
        UidSet uids;
        std::int64_t octets = 0;
        for_each_row(*index, vanished, [&](Row const& row) {
            refs.push_back(row.body);
            uids.add(row.uid);
            octets += static_cast<std::int64_t>(row.size);
        });
        if (refs.empty() && !changed) return index;
        if (!refs.empty()) {
            edit.apply({.kind = Change::Kind::expunge, .uids = uids}, index->highest_modseq);
            MALLARD_TRY_ASSIGN(lost, log_.log(RefEntry::Kind::lost, refs, batch));
            MALLARD_TRY_ASSIGN(storage, storage_.begin(before->info.user, -octets, batch));
        }
        return edit.finish();
    }));
    storage.ended();
    return {};
}

Result<void> EmbeddedMailStore::restore_marks(MailboxId id, Uid uid_next, ModSeq highest_modseq) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    return mailbox->replace([&](Snapshot const& index, kv::WriteBatch& batch) -> Result<Snapshot> {
        IndexEdit edit(*index);
        edit.index().uid_next = std::max(index->uid_next, uid_next);
        edit.index().highest_modseq = std::max(index->highest_modseq, highest_modseq);
        auto next = edit.finish();
        auto const all = kv::KeyRange::prefix(id.view());
        batch.erase_range(table_vanished, all.first, all.last);
        if (auto const absent = absent_uids(*next); !absent.empty())
            batch.put(table_vanished, key_of(id, next->highest_modseq), encode_uids(absent));
        return next;
    });
}

Result<void> EmbeddedMailStore::recount_storage(UserId user) {
    MALLARD_TRY_ASSIGN(auto const all, mailboxes(user));
    std::int64_t octets = 0;
    for (auto const& info : all) {
        MALLARD_TRY_ASSIGN(auto const index, snapshot(info.id));
        octets += static_cast<std::int64_t>(index->counts().bytes);
    }
    MALLARD_TRY_ASSIGN(auto const counted, storage_.value(user));
    if (counted == octets) return {};
    kv::WriteBatch batch;
    MALLARD_TRY_ASSIGN(auto storage, storage_.begin(user, octets - counted, batch));
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    storage.ended();
    return {};
}

}  // namespace mallard::store::embedded
