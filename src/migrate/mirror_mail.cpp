#include "migrate/mirror_mail.hpp"

#include <algorithm>

#include "migrate/source_reader.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"

namespace mallard::migrate {

namespace {

store::MailboxPatch patch_to(store::MailboxInfo const& wanted, store::MailboxInfo const& there) {
    store::MailboxPatch patch;
    if (wanted.path != there.path) patch.path = wanted.path;
    if (wanted.subscribed != there.subscribed) patch.subscribed = wanted.subscribed;
    if (wanted.hidden != there.hidden) patch.hidden = wanted.hidden;
    if (wanted.encrypt_messages != there.encrypt_messages) patch.encrypt_messages = wanted.encrypt_messages;
    if (wanted.retention_ms != there.retention_ms) patch.retention_ms = wanted.retention_ms;
    if (wanted.special_use != there.special_use) patch.special_use = wanted.special_use;
    return patch;
}

bool is_empty(store::MailboxPatch const& patch) {
    return !patch.path && !patch.subscribed && !patch.hidden && !patch.encrypt_messages && !patch.retention_ms &&
           !patch.special_use;
}

store::MailboxInfo const* find(std::vector<store::MailboxInfo> const& infos, MailboxId id) {
    auto const at = std::ranges::find(infos, id, &store::MailboxInfo::id);
    return at == infos.end() ? nullptr : &*at;
}

bool same_flags(store::MailboxIndex const& a, store::Row const& in_a, store::MailboxIndex const& b,
                store::Row const& in_b) {
    if (in_a.system != in_b.system) return false;
    if (in_a.keywords.none() && in_b.keywords.none()) return true;
    auto of_a = a.flags(in_a).keywords, of_b = b.flags(in_b).keywords;
    std::ranges::sort(of_a);
    std::ranges::sort(of_b);
    return of_a == of_b;
}

}  // namespace

Result<std::uint64_t> MirrorMail::mirror_user(UserId user) {
    MALLARD_TRY_ASSIGN(auto const mailboxes, from_.mail.mailboxes(user));
    MALLARD_TRY_ASSIGN(std::uint64_t changes, arrange_mailboxes(user, mailboxes));
    for (auto const& info : mailboxes) {
        auto const mirrored = mirror_mailbox(info.id);
        if (!mirrored && mirrored.error().kind == ErrorKind::not_found) {  // deleted meanwhile: seen by the next pass
            ++changes;
            continue;
        }
        if (!mirrored) return mirrored;
        changes += *mirrored;
    }
    // An earlier run may have broken off before this.
    if (changes > 0 || is_first_of_run(user)) MALLARD_TRY(to_.mail.recount_storage(user));
    return changes;
}

Result<std::uint64_t> MirrorMail::mirror_mailbox(MailboxId id) {
    MALLARD_TRY_ASSIGN(auto const messages, mirror_messages(id));
    MALLARD_TRY_ASSIGN(auto const told, mirror_patches(id));
    return messages + told;
}

bool MirrorMail::is_first_of_run(UserId user) {
    std::lock_guard const lock(mutex_);
    return counted_.insert(user).second;
}

Result<std::uint64_t> MirrorMail::arrange_mailboxes(UserId user, std::vector<store::MailboxInfo> const& wanted) {
    MALLARD_TRY_ASSIGN(auto there, to_.mail.mailboxes(user));
    std::uint64_t changes = 0;
    for (auto const& info : there) {
        if (find(wanted, info.id)) continue;
        ++changes;
        MALLARD_TRY(to_.mail.delete_mailbox(info.id));
    }
    // Those that stand where another is to be step aside first: two may have changed names.
    for (auto const& info : there) {
        auto const* own = find(wanted, info.id);
        auto const heir = std::ranges::find(wanted, info.path, &store::MailboxInfo::path);
        if (own && own->path != info.path && heir != wanted.end()) MALLARD_TRY(set_aside(info));
    }
    MALLARD_TRY_ASSIGN(there, to_.mail.mailboxes(user));
    for (auto const& info : wanted) {
        MALLARD_TRY_ASSIGN(bool const changed, arrange_mailbox(info, find(there, info.id)));
        changes += changed;
    }
    return changes;
}

Result<void> MirrorMail::set_aside(store::MailboxInfo const& mailbox) {
    store::MailboxPatch patch;
    patch.path = "mallard-moving-" + mailbox.id.hex();
    MALLARD_TRY(to_.mail.update_mailbox(mailbox.id, patch));
    return {};
}

Result<bool> MirrorMail::arrange_mailbox(store::MailboxInfo const& wanted, store::MailboxInfo const* there) {
    if (there) {
        auto const patch = patch_to(wanted, *there);
        if (is_empty(patch)) return false;
        MALLARD_TRY(to_.mail.update_mailbox(wanted.id, patch));
        if (patch.retention_ms) {  // takes what messages were told back
            std::lock_guard const lock(mutex_);
            told_.erase(wanted.id);
        }
        return true;
    }
    MALLARD_TRY(to_.mail.create_mailbox(wanted));
    return true;
}

bool MirrorMail::is_done(MailboxId id, Marks const& marks) const {
    std::lock_guard const lock(mutex_);
    auto const at = done_.find(id);
    return at != done_.end() && at->second == marks;
}

Result<std::uint64_t> MirrorMail::mirror_messages(MailboxId id) {
    MALLARD_TRY_ASSIGN(auto const source, from_.mail.snapshot(id));
    Marks const marks{source->uid_next, source->highest_modseq, source->size()};
    if (is_done(id, marks)) return 0;
    MALLARD_TRY_ASSIGN(auto const target, to_.mail.snapshot(id));
    std::vector<store::Row const*> missing;
    std::vector<store::RestoredFlags> flags;
    store::UidSet gone;
    std::uint32_t t = 0;
    auto const pass_until = [&](store::Uid uid) {  // what the target has below is not in the source any more
        for (; t < target->size() && target->row(t).uid < uid; ++t) gone.add(target->row(t).uid);
    };
    for (std::uint32_t n = 0; n < source->size(); ++n) {
        store::Row const& row = source->row(n);
        pass_until(row.uid);
        if (t == target->size() || target->row(t).uid != row.uid) {
            missing.push_back(&row);
            continue;
        }
        store::Row const& copy = target->row(t++);
        if (copy.id != row.id) {
            gone.add(row.uid);
            missing.push_back(&row);
        } else if (copy.modseq != row.modseq || !same_flags(*source, row, *target, copy)) {
            flags.push_back({.uid = row.uid, .modseq = row.modseq, .flags = source->flags(row)});
        }
    }
    pass_until(UINT32_MAX);
    std::uint64_t changes = missing.size() + flags.size();
    for (auto const& range : gone.ranges()) changes += range.last - range.first + 1;
    if (!flags.empty() || !gone.empty()) MALLARD_TRY(to_.mail.restore_changes(id, flags, gone));
    MALLARD_TRY(copy_rows(id, *source, missing));
    if (target->uid_next != source->uid_next || target->highest_modseq != source->highest_modseq)
        changes = std::max<std::uint64_t>(changes, 1);
    // Also where all seems equal: an earlier run may have broken off right before this.
    MALLARD_TRY(to_.mail.restore_marks(id, source->uid_next, source->highest_modseq));
    std::lock_guard const lock(mutex_);
    done_[id] = marks;
    return changes;
}

bool lacks_patch(store::MessagePatch const& wanted, store::MessagePatch const* there) {
    if (!there) return wanted.custom || wanted.expires;
    return wanted.expires != there->expires || (wanted.custom && wanted.custom != there->custom);
}

// Custom metadata and dates of expiry: neither has a modseq.
Result<std::uint64_t> MirrorMail::mirror_patches(MailboxId id) {
    MALLARD_TRY_ASSIGN(auto const wanted, from_.mail.patches(id));
    {
        std::lock_guard const lock(mutex_);
        if (auto const told = told_.find(id); told != told_.end() && told->second == wanted) return std::uint64_t{0};
    }
    MALLARD_TRY_ASSIGN(auto there, to_.mail.patches(id));
    MALLARD_TRY_ASSIGN(auto const index, to_.mail.snapshot(id));
    bool const too_many = std::ranges::any_of(there, [&](auto const& entry) {
        auto const own = wanted.find(entry.first);
        return entry.second.expires && index->find(entry.first) && (own == wanted.end() || !own->second.expires);
    });
    if (too_many) {
        MALLARD_TRY(take_back_expiries(id));
        for (auto& [uid, patch] : there) patch.expires.reset();
    }
    // Those in a row that are told the same, together.
    std::vector<std::pair<store::MessagePatch, store::UidSet>> missing;
    bool complete = true;
    for (auto const& [uid, patch] : wanted) {
        auto const known = there.find(uid);
        bool const has_come = index->find(uid).has_value();
        complete = complete && has_come;
        if (!has_come || !lacks_patch(patch, known == there.end() ? nullptr : &known->second)) continue;
        if (missing.empty() || missing.back().first != patch) missing.emplace_back(patch, store::UidSet{});
        missing.back().second.add(uid);
    }
    std::uint64_t changes = too_many;
    for (auto const& [patch, uids] : missing) {
        MALLARD_TRY(to_.mail.patch(id, uids, patch));
        changes += uids.count();
    }
    std::lock_guard const lock(mutex_);
    if (complete) told_[id] = wanted;
    return changes;
}

// There is one way to take an expiry back: a change of the mailbox's retention.
Result<void> MirrorMail::take_back_expiries(MailboxId id) {
    MALLARD_TRY_ASSIGN(auto const info, to_.mail.mailbox(id));
    if (!info) return fail(ErrorKind::not_found, "There is no such mailbox");
    for (std::int64_t const retention : {info->retention_ms + 1, info->retention_ms}) {
        store::MailboxPatch patch;
        patch.retention_ms = retention;
        MALLARD_TRY(to_.mail.update_mailbox(id, patch));
    }
    return {};
}

Result<void> MirrorMail::copy_rows(MailboxId id, store::MailboxIndex const& index,
                                   std::vector<store::Row const*> const& rows) {
    return in_portions(rows, [&](std::span<store::Row const* const> portion) -> Result<void> {
        MALLARD_TRY_ASSIGN(auto const read, read_messages(from_.mail, id, portion));
        std::vector<mime::Entity> trees;
        trees.reserve(read.size());
        std::vector<store::RestoredMessage> restored;
        for (auto const& message : read) {
            auto const& tree = trees.emplace_back(mime::parse(message.source()));
            auto& one = restored.emplace_back();
            one.id = message.row->id;
            one.uid = message.row->uid;
            one.modseq = message.row->modseq;
            one.message.source = message.source();
            one.message.tree = &tree;
            one.message.flags = index.flags(*message.row);
            one.message.internal_date = message.row->internal_date;
            one.message.record = message.record;
            one.message.thread_refs = mime::thread_refs(tree, message.source());
            if (!one.message.thread_refs.empty())
                one.message.thread_subject = mime::thread_subject(mime::summarize(tree, message.source()).subject);
        }
        MALLARD_TRY(to_.mail.restore_messages(id, restored));
        if (!copied_(portion.size())) return fail(ErrorKind::closed, std::string(stopped_message));
        return {};
    });
}

}  // namespace mallard::migrate
