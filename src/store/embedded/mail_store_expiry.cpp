// Messages that expire: by a date of their own, or by their mailbox's retention, counted from when they came into it
// (the second in their id).

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/extras.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::size_t remembered_max = 200'000;  // mailboxes whose next expiry is kept in memory
constexpr TimeMs never = INT64_MAX;

TimeMs entered(Row const& row) { return row.id.seconds() * 1000; }

std::optional<TimeMs> expiry_of(MailboxInfo const& info, Row const& row, Extra const* extra) {
    if (extra && extra->expires) return *extra->expires;
    if (info.retention_ms <= 0) return std::nullopt;
    return entered(row) + info.retention_ms;
}

}  // namespace

Result<UidSet> EmbeddedMailStore::patch(MailboxId id, UidSet const& uids, MessagePatch const& patch) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    // Extras are read, changed and written: one patch at a time, up to its commit.
    std::lock_guard const one_at_a_time(patch_mutex_);
    kv::WriteBatch batch;
    OnItsWay way;
    UidSet patched;
    {
        MALLARD_TRY_ASSIGN(auto edit, mailbox->edit());
        edit.head().for_uids(uids, [&](std::uint32_t, Row const& row) {
            if (row.uid < edit.published_end()) patched.add(row.uid);
        });
        MALLARD_TRY_ASSIGN(auto extras, read_extras(engine_, id, patched));
        for (auto const& range : patched.ranges())
            for (std::uint64_t uid = range.first; uid <= range.last; ++uid) {
                Extra& extra = extras[static_cast<Uid>(uid)];
                if (patch.custom) extra.custom = patch.custom;
                if (patch.expires) extra.expires = patch.expires;
                put_extra(id, static_cast<Uid>(uid), extra, batch);
            }
        edit.enqueue_nothing(way);
    }
    MALLARD_TRY(commit(batch, {{mailbox, &way}}));
    return patched;
}

Result<std::optional<TimeMs>> EmbeddedMailStore::expiry(MailboxId id, Row const& row) const {
    MALLARD_TRY_ASSIGN(auto const info, mailbox(id));
    if (!info) return fail(ErrorKind::not_found, "There is no such mailbox");
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine_, id, {{row.uid, row.uid}}));
    return expiry_of(*info, row, extras.empty() ? nullptr : &extras.begin()->second);
}

Result<std::map<Uid, MessagePatch>> EmbeddedMailStore::patches(MailboxId id) const {
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine_, id, {{1, UINT32_MAX}}));
    std::map<Uid, MessagePatch> out;
    for (auto const& [uid, extra] : extras)
        if (!extra.empty()) out.emplace(uid, MessagePatch{extra.custom, extra.expires});
    return out;
}

Result<std::uint64_t> EmbeddedMailStore::remove_expired_of(MailboxId id, UidSet const& uids) {
    if (uids.empty()) return std::uint64_t{0};
    auto const removed = expunge(id, uids, false);
    if (!removed && removed.error().kind != ErrorKind::not_found) return std::unexpected(removed.error());
    kv::WriteBatch batch;  // of messages that were gone already
    MALLARD_TRY(erase_extras(engine_, id, uids, batch));
    if (!batch.empty()) MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    return removed ? removed->count() : 0;
}

// What the retention of one mailbox ends. Messages come in as time goes on, so nothing in it can expire before
// `next_expiry_` says, and nothing that comes in later sooner than its retention from now.
Result<std::uint64_t> EmbeddedMailStore::remove_retained(MailboxInfo const& info, TimeMs now) {
    {
        std::lock_guard const lock(expiry_mutex_);
        auto const known = next_expiry_.find(info.id);
        if (known != next_expiry_.end() && known->second > now) return std::uint64_t{0};
    }
    auto const index = snapshot(info.id);
    if (!index && index.error().kind == ErrorKind::not_found) return std::uint64_t{0};
    if (!index) return std::unexpected(index.error());
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine_, info.id, {{1, UINT32_MAX}}));
    UidSet due;
    TimeMs next = now + info.retention_ms;
    for (std::uint32_t n = 0; n < (*index)->size(); ++n) {
        Row const& row = (*index)->row(n);
        auto const extra = extras.find(row.uid);
        TimeMs const when =
            expiry_of((*index)->info, row, extra == extras.end() ? nullptr : &extra->second).value_or(never);
        if (when <= now)
            due.add(row.uid);
        else
            next = std::min(next, when);
    }
    MALLARD_TRY_ASSIGN(auto const removed, remove_expired_of(info.id, due));
    std::lock_guard const lock(expiry_mutex_);
    if (next_expiry_.size() < remembered_max || next_expiry_.contains(info.id)) next_expiry_[info.id] = next;
    return removed;
}

Result<std::uint64_t> EmbeddedMailStore::remove_expired() {
    TimeMs const now = clock_.now();
    std::unordered_map<MailboxId, UidSet> due;
    auto const extras = engine_.scan(table_extra, {});
    for (; extras->valid(); extras->next()) {
        MALLARD_TRY_ASSIGN(auto const extra, decode_extra(extras->value()));
        if (!extra.expires || extra.expires->value_or(never) > now) continue;
        auto const id = MailboxId::from_bytes(extras->key().substr(0, MailboxId{}.view().size()));
        due[id].add(get_be32(extras->key().substr(id.view().size())));
    }
    MALLARD_TRY(extras->status());
    std::uint64_t removed = 0;
    for (auto const& [id, uids] : due) {
        MALLARD_TRY_ASSIGN(auto const some, remove_expired_of(id, uids));
        removed += some;
    }
    auto const all = engine_.scan(table_mailbox, {});
    for (; all->valid(); all->next()) {
        MALLARD_TRY_ASSIGN(auto const info, decode_mailbox(MailboxId::from_bytes(all->key()), all->value()));
        if (info.retention_ms <= 0) continue;
        MALLARD_TRY_ASSIGN(auto const some, remove_retained(info, now));
        removed += some;
    }
    MALLARD_TRY(all->status());
    return removed;
}

}  // namespace mallard::store::embedded
