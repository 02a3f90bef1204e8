#include "store/embedded/mail_store.hpp"

#include <algorithm>

#include "base/attempt.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/extras.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

std::string path_key(UserId user, std::string_view path) {
    std::string key(user.view());
    key.append(path);
    return key;
}

std::unexpected<Error> path_taken(std::string_view path) {
    return fail(ErrorKind::already_exists, "This mailbox exists already", std::string(path));
}

}  // namespace

EmbeddedMailStore::EmbeddedMailStore(kv::Engine& engine, Events& events, Clock const& clock, MailStoreOptions options)
    : engine_(engine),
      events_(events),
      clock_(clock),
      content_(engine),
      log_(engine),
      sweep_(engine, content_),
      storage_(engine),
      threads_(engine, clock),
      cache_(engine, options.rows_open_max, options.mailboxes_open_max) {}

EmbeddedMailStore::~EmbeddedMailStore() = default;

Result<Snapshot> EmbeddedMailStore::open(MailboxId id, Mailbox& mailbox) const {
    mailbox = cache_.open(id);
    if (mailbox->spent()) {
        cache_.drop(mailbox);
        mailbox = cache_.open(id);
    }
    auto snapshot = mailbox->snapshot();
    // Who only tried leaves it to those who will load it: a mailbox is open once.
    if (!snapshot && !Attempt::active()) cache_.drop(mailbox);
    return snapshot;
}

// One commit for changes of one or two mailboxes; returns when all are published.
Result<void> EmbeddedMailStore::commit(kv::WriteBatch const& batch,
                                       std::initializer_list<std::pair<Mailbox, OnItsWay*>> changes) {
    auto const committed = engine_.commit(batch, kv::Durability::sync);
    Result<void> result = committed;
    for (auto const& [mailbox, change] : changes) {
        auto const settled = mailbox->settle(*change, committed);
        if (!settled && result) result = settled;
        if (mailbox->wants_checkpoint()) note_checkpoint(mailbox);
    }
    return result;
}

void EmbeddedMailStore::announce(MailboxInfo const& info, Event::Kind kind) const {
    events_.publish({.kind = kind, .user = info.user, .mailbox = info.id, .reason = {}});
}

Result<MailboxInfo> EmbeddedMailStore::create_mailbox(MailboxInfo info) {
    std::vector<MailboxInfo> infos;
    infos.push_back(std::move(info));
    MALLARD_TRY_ASSIGN(auto created, create_mailboxes(std::move(infos)));
    return std::move(created.front());
}

Result<std::vector<MailboxInfo>> EmbeddedMailStore::create_mailboxes(std::vector<MailboxInfo> infos) {
    std::vector<std::mutex*> mutexes;
    for (auto const& info : infos) mutexes.push_back(&paths_of(info.user));
    std::ranges::sort(mutexes);
    mutexes.erase(std::ranges::unique(mutexes).begin(), mutexes.end());
    std::vector<std::unique_lock<std::mutex>> locks;
    for (auto* mutex : mutexes) locks.emplace_back(*mutex);

    kv::WriteBatch batch;
    std::vector<std::string> keys;
    for (auto& info : infos) {
        if (info.id.is_nil()) info.id = MailboxId::generate();
        if (info.uid_validity == 0) info.uid_validity = static_cast<std::uint32_t>(clock_.now() / 1000);
        auto const& key = keys.emplace_back(path_key(info.user, info.path));
        if (std::ranges::count(keys, key) > 1) return path_taken(info.path);
        MALLARD_TRY_ASSIGN(auto const taken, engine_.get(table_mailbox_path, key));
        if (taken) return path_taken(info.path);
        MALLARD_TRY_ASSIGN(auto const same_id, engine_.get(table_mailbox, info.id.view()));
        if (same_id) return path_taken(info.path);
        batch.put(table_mailbox, info.id.view(), encode_mailbox(info));
        batch.put(table_mailbox_path, key, info.id.view());
    }
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    locks.clear();
    for (auto const& info : infos) announce(info, Event::Kind::mailbox_created);
    return infos;
}

Result<std::vector<MailboxInfo>> EmbeddedMailStore::mailboxes(UserId user) const {
    auto const view = engine_.view();
    std::vector<std::string> ids;
    auto const cursor = engine_.scan(table_mailbox_path, kv::KeyRange::prefix(user.view()), view.get());
    for (; cursor->valid(); cursor->next()) ids.emplace_back(cursor->value());
    MALLARD_TRY(cursor->status());
    MALLARD_TRY_ASSIGN(auto const stored, engine_.multi_get(table_mailbox, ids, view.get()));
    std::vector<MailboxInfo> infos;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (!stored[i]) continue;
        MALLARD_TRY_ASSIGN(auto info, decode_mailbox(MailboxId::from_bytes(ids[i]), *stored[i]));
        infos.push_back(std::move(info));
    }
    return infos;
}

Result<std::optional<MailboxInfo>> EmbeddedMailStore::mailbox(MailboxId id) const {
    MALLARD_TRY_ASSIGN(auto const stored, engine_.get(table_mailbox, id.view()));
    if (!stored) return std::nullopt;
    return decode_mailbox(id, *stored);
}

Result<std::optional<MailboxInfo>> EmbeddedMailStore::find_mailbox(UserId user, std::string_view path) const {
    MALLARD_TRY_ASSIGN(auto const id, engine_.get(table_mailbox_path, path_key(user, path)));
    if (!id) return std::nullopt;
    return mailbox(MailboxId::from_bytes(*id));
}

Result<MailboxInfo> EmbeddedMailStore::update_mailbox(MailboxId id, MailboxPatch const& patch) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    std::lock_guard const paths(paths_of(before->info.user));
    kv::WriteBatch batch;
    OnItsWay change;
    MailboxInfo info;
    bool renamed = false;
    {
        MALLARD_TRY_ASSIGN(auto edit, mailbox->edit());
        info = edit.head().info;
        renamed = patch.path && *patch.path != info.path;
        if (renamed) {
            MALLARD_TRY_ASSIGN(auto const taken, engine_.get(table_mailbox_path, path_key(info.user, *patch.path)));
            if (taken) return path_taken(*patch.path);
            batch.erase(table_mailbox_path, path_key(info.user, info.path));
            batch.put(table_mailbox_path, path_key(info.user, *patch.path), id.view());
            info.path = *patch.path;
        }
        if (patch.subscribed) info.subscribed = *patch.subscribed;
        if (patch.hidden) info.hidden = *patch.hidden;
        if (patch.encrypt_messages) info.encrypt_messages = *patch.encrypt_messages;
        if (patch.retention_ms && *patch.retention_ms != info.retention_ms) {
            info.retention_ms = *patch.retention_ms;
            MALLARD_TRY(take_back_expiries(engine_, id, batch));
        }
        if (patch.special_use) info.special_use = *patch.special_use;
        batch.put(table_mailbox, id.view(), encode_mailbox(info));
        auto next = std::make_shared<MailboxIndex>(edit.head());
        next->info = info;
        edit.enqueue(change, std::move(next), 0, 0);
    }
    MALLARD_TRY(commit(batch, {{mailbox, &change}}));
    if (patch.retention_ms) {
        std::lock_guard const lock(expiry_mutex_);
        next_expiry_.erase(id);
    }
    announce(info, renamed ? Event::Kind::mailbox_renamed : Event::Kind::mailbox_changed);
    return info;
}

Result<void> EmbeddedMailStore::delete_mailbox(MailboxId id) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    std::lock_guard const paths(paths_of(before->info.user));
    MailboxInfo info;
    auto const removed = mailbox->remove([&](MailboxIndex const& index) -> Result<void> {
        info = index.info;
        kv::WriteBatch batch;
        batch.erase(table_mailbox, id.view());
        batch.erase(table_mailbox_path, path_key(info.user, info.path));
        for (kv::Table const table : {table_index, table_journal, table_vanished, table_extra}) {
            auto const all = kv::KeyRange::prefix(id.view());
            batch.erase_range(table, all.first, all.last);
        }
        std::vector<BodyRef> refs;
        for (auto const& chunk : index.chunks)
            for (Row const& row : chunk->rows()) refs.push_back(row.body);
        MALLARD_TRY_ASSIGN(auto const pending, log_.log(RefEntry::Kind::lost, refs, batch));
        auto const octets = static_cast<std::int64_t>(index.counts().bytes);
        MALLARD_TRY_ASSIGN(auto storage, storage_.begin(info.user, -octets, batch));
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
        storage.ended();
        return {};
    });
    cache_.drop(mailbox);
    if (removed) announce(info, Event::Kind::mailbox_deleted);
    return removed;
}

Result<void> EmbeddedMailStore::delete_user(UserId user) {
    MALLARD_TRY_ASSIGN(auto const all, mailboxes(user));
    for (auto const& info : all) {
        auto const removed = delete_mailbox(info.id);
        if (!removed && removed.error().kind != ErrorKind::not_found) return removed;
    }
    kv::WriteBatch batch;
    auto const threads = kv::KeyRange::prefix(user.view());
    batch.erase_range(table_thread, threads.first, threads.last);
    batch.erase(table_storage, user.view());
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    storage_.forget(user);
    return {};
}

Result<Snapshot> EmbeddedMailStore::snapshot(MailboxId id) {
    Mailbox mailbox;
    return open(id, mailbox);
}

Result<std::int64_t> EmbeddedMailStore::storage_used(UserId user) const { return storage_.value(user); }

void EmbeddedMailStore::note_checkpoint(Mailbox const& mailbox) {
    std::lock_guard const lock(due_mutex_);
    if (std::ranges::find(due_, mailbox) == due_.end()) due_.push_back(mailbox);
}

bool EmbeddedMailStore::has_checkpoints_due() const {
    std::lock_guard const lock(due_mutex_);
    return !due_.empty();
}

Result<void> EmbeddedMailStore::checkpoint_due() {
    std::vector<Mailbox> due;
    {
        std::lock_guard const lock(due_mutex_);
        due.swap(due_);
    }
    for (auto const& mailbox : due) MALLARD_TRY(mailbox->checkpoint());
    return {};
}

Result<void> EmbeddedMailStore::checkpoint_all() {
    for (auto const& mailbox : cache_.all()) MALLARD_TRY(mailbox->checkpoint());
    return {};
}

Result<bool> EmbeddedMailStore::sweep() {
    MALLARD_TRY(checkpoint_due());
    MALLARD_TRY_ASSIGN(auto const end, log_.settled_end());
    return sweep_.step(end);
}

}  // namespace mallard::store::embedded
