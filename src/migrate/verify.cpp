#include "migrate/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "migrate/mirror_documents.hpp"
#include "migrate/mirror_mail.hpp"
#include "migrate/mirror_state.hpp"
#include "migrate/source_reader.hpp"

namespace mallard::migrate {

namespace {

constexpr std::size_t problems_max = 100;

std::string name_of(store::MailboxIndex const& index, store::Uid uid) {
    return fmt::format("mailbox {} ({}), UID {}", index.info.id.hex(), index.info.path, uid);
}

bool same_flags(store::Flags a, store::Flags b) {
    std::ranges::sort(a.keywords);
    std::ranges::sort(b.keywords);
    return a == b;
}

// Without what patch() may have changed since one of the two was read.
std::string without_custom(std::string const& meta) {
    auto document = bson::Document::decode(meta);
    if (!document) return meta;
    document->erase("custom");
    return document->encode();
}

// What differs; empty: nothing.
std::string difference(store::Row const& a, store::Row const& b) {
    if (a.id != b.id) return fmt::format("has the id {}, not {}", b.id.hex(), a.id.hex());
    if (a.internal_date != b.internal_date)
        return fmt::format("has the date {}, not {}", b.internal_date, a.internal_date);
    return {};
}

std::string_view difference(store::MessageRecord const& a, store::MessageRecord const& b) {
    if (a.envelope != b.envelope) return "envelope";
    if (a.body != b.body) return "body";
    if (a.body_structure != b.body_structure) return "body structure";
    if (a.parts != b.parts) return "parts";
    if (a.headers != b.headers) return "indexed headers";
    if (a.info != b.info) return "info";
    if (without_custom(a.meta) != without_custom(b.meta)) return "meta data";
    if (a.thread != b.thread) return "thread";
    if (a.header_date != b.header_date) return "date";
    return {};
}

}  // namespace

void Verifier::problem(std::string text) {
    std::lock_guard const lock(mutex_);
    ++found_.problem_count;
    if (found_.problems.size() < problems_max) found_.problems.push_back(std::move(text));
}

Result<void> Verifier::contents_of(UserId user) {
    MALLARD_TRY_ASSIGN(auto const mailboxes, from_.mail.mailboxes(user));
    for (auto const& info : mailboxes) {
        auto const source = from_.mail.snapshot(info.id), target = to_.mail.snapshot(info.id);
        for (auto const* one : {&source, &target})
            if (!*one && one->error().kind != ErrorKind::not_found) return std::unexpected(one->error());
        if (source && target) MALLARD_TRY(compare_contents(info.id, **source, **target));
    }
    return {};
}

Result<void> Verifier::compare_contents(MailboxId id, store::MailboxIndex const& source,
                                        store::MailboxIndex const& target) {
    store::UidSet known;
    {
        std::lock_guard const lock(mutex_);
        if (auto const at = compared_.find(id); at != compared_.end()) known = at->second;
    }
    std::vector<store::Row const*> rows;
    for (std::uint32_t n = 0; n < source.size(); ++n) {
        store::Row const& row = source.row(n);
        if (!known.contains(row.uid) && target.find(row.uid)) rows.push_back(&row);
    }
    return in_portions(rows, [&](auto portion) { return compare_portion(id, portion, target); });
}

Result<void> Verifier::compare_portion(MailboxId id, std::span<store::Row const* const> rows,
                                       store::MailboxIndex const& target) {
    std::vector<store::Row const*> there;
    for (auto const* row : rows) there.push_back(&target.row(*target.find(row->uid)));
    MALLARD_TRY_ASSIGN(auto const ours, read_messages(from_.mail, id, rows));
    MALLARD_TRY_ASSIGN(auto const theirs, read_messages(to_.mail, id, there));
    store::UidSet equal;
    std::uint64_t octets = 0;
    for (auto const& message : ours) {
        store::Row const& row = *message.row;
        auto const copy = std::ranges::find(theirs, row.uid, [](ReadMessage const& other) { return other.row->uid; });
        if (copy == theirs.end()) {
            problem(name_of(target, row.uid) + ": its bytes cannot be found");
            continue;
        }
        store::Row const& other = *copy->row;
        if (auto const what = difference(row, other); !what.empty())
            problem(name_of(target, row.uid) + ": " + what);
        else if (other.size != copy->source().size())
            problem(
                fmt::format("{}: has {} octets, not {}", name_of(target, row.uid), other.size, copy->source().size()));
        else if (message.source() != copy->source())
            problem(fmt::format("{}: has other bytes (SHA-256 {} and {})", name_of(target, row.uid),
                                hex_encode(sha256(message.source())), hex_encode(sha256(copy->source()))));
        else if (auto const what = difference(message.record, copy->record); !what.empty())
            problem(fmt::format("{}: has another {}", name_of(target, row.uid), what));
        else
            equal.add(row.uid);
        octets += row.size;
    }
    {
        std::lock_guard const lock(mutex_);
        for (auto const& range : equal.ranges()) compared_[id].add(range.first, range.last);
        found_.octets += octets;
    }
    if (!step_(rows.size())) return fail(ErrorKind::closed, std::string(stopped_message));
    return {};
}

Result<void> Verifier::everything_of(UserId user) {
    MALLARD_TRY_ASSIGN(auto const mailboxes, from_.mail.mailboxes(user));
    MALLARD_TRY_ASSIGN(auto const there, to_.mail.mailboxes(user));
    if (there.size() != mailboxes.size())
        problem(fmt::format("user {} has {} mailboxes, not {}", user.hex(), there.size(), mailboxes.size()));
    for (auto const& info : mailboxes) {
        auto const at = std::ranges::find(there, info.id, &store::MailboxInfo::id);
        MALLARD_TRY(compare_mailbox(info, at == there.end() ? nullptr : &*at));
    }
    MALLARD_TRY(compare_storage(user));
    std::lock_guard const lock(mutex_);
    ++found_.users;
    found_.mailboxes += mailboxes.size();
    return {};
}

// Against what the target's messages say: the source's own counter may have gone astray.
Result<void> Verifier::compare_storage(UserId user) {
    MALLARD_TRY_ASSIGN(auto const counted, to_.mail.storage_used(user));
    MALLARD_TRY(to_.mail.recount_storage(user));
    MALLARD_TRY_ASSIGN(auto const used, to_.mail.storage_used(user));
    if (counted != used) problem(fmt::format("user {}: {} octets are counted, not {}", user.hex(), counted, used));
    return {};
}

Result<void> Verifier::compare_mailbox(store::MailboxInfo const& info, store::MailboxInfo const* there) {
    if (!there) {
        problem(fmt::format("mailbox {} ({}) is missing", info.id.hex(), info.path));
        return {};
    }
    if (info.user != there->user || info.path != there->path || info.special_use != there->special_use ||
        info.uid_validity != there->uid_validity || info.subscribed != there->subscribed ||
        info.hidden != there->hidden || info.encrypt_messages != there->encrypt_messages ||
        info.retention_ms != there->retention_ms)
        problem(fmt::format("mailbox {} ({}) has other settings or another UIDVALIDITY", info.id.hex(), info.path));
    MALLARD_TRY_ASSIGN(auto const source, from_.mail.snapshot(info.id));
    MALLARD_TRY_ASSIGN(auto const target, to_.mail.snapshot(info.id));
    MALLARD_TRY(compare_contents(info.id, *source, *target));
    compare_index(*source, *target);
    MALLARD_TRY(compare_vanished(info.id));
    MALLARD_TRY(compare_patches(*source));
    std::lock_guard const lock(mutex_);
    found_.messages += source->size();
    return {};
}

void Verifier::compare_index(store::MailboxIndex const& source, store::MailboxIndex const& target) {
    std::string const name = fmt::format("mailbox {} ({})", source.info.id.hex(), source.info.path);
    if (source.uid_next != target.uid_next)
        problem(fmt::format("{}: UIDNEXT is {}, not {}", name, target.uid_next, source.uid_next));
    if (source.highest_modseq != target.highest_modseq)
        problem(fmt::format("{}: HIGHESTMODSEQ is {}, not {}", name, target.highest_modseq, source.highest_modseq));
    if (source.size() != target.size())
        problem(fmt::format("{}: has {} messages, not {}", name, target.size(), source.size()));
    auto const bytes_are_equal = [&](store::Uid uid) {
        std::lock_guard const lock(mutex_);
        auto const at = compared_.find(source.info.id);
        return at != compared_.end() && at->second.contains(uid);
    };
    for (std::uint32_t n = 0; n < source.size(); ++n) {
        store::Row const& row = source.row(n);
        auto const at = target.find(row.uid);
        if (!at) {
            problem(fmt::format("{}: UID {} is missing", name, row.uid));
            continue;
        }
        store::Row const& other = target.row(*at);
        if (auto const what = difference(row, other); !what.empty())
            problem(fmt::format("{}: UID {} {}", name, row.uid, what));
        if (row.size != other.size && !bytes_are_equal(row.uid))  // WildDuck's own count is not always right
            problem(fmt::format("{}: UID {} has {} octets, not {}", name, row.uid, other.size, row.size));
        if (row.modseq != other.modseq)
            problem(fmt::format("{}: UID {} has modseq {}, not {}", name, row.uid, other.modseq, row.modseq));
        if (!same_flags(source.flags(row), target.flags(other)))
            problem(fmt::format("{}: UID {} has other flags", name, row.uid));
    }
}

Result<void> Verifier::compare_vanished(MailboxId id) {
    MALLARD_TRY_ASSIGN(auto const source, from_.mail.vanished_since(id, 0));
    MALLARD_TRY_ASSIGN(auto const target, to_.mail.vanished_since(id, 0));
    for (auto const& range : source.ranges())
        if (!target.contains(range.first) || !target.contains(range.last))
            problem(fmt::format("mailbox {}: does not tell that UIDs {} to {} vanished", id.hex(), range.first,
                                range.last));
    return {};
}

Result<void> Verifier::compare_patches(store::MailboxIndex const& source) {
    MailboxId const id = source.info.id;
    MALLARD_TRY_ASSIGN(auto const wanted, from_.mail.patches(id));
    MALLARD_TRY_ASSIGN(auto const there, to_.mail.patches(id));
    auto const patch_in = [](Patches const& patches, store::Uid uid) {
        auto const at = patches.find(uid);
        return at == patches.end() ? store::MessagePatch{} : at->second;
    };
    for (std::uint32_t n = 0; n < source.size() && !(wanted.empty() && there.empty()); ++n) {
        store::Uid const uid = source.row(n).uid;
        auto const copy = patch_in(there, uid);
        if (lacks_patch(patch_in(wanted, uid), &copy))
            problem(name_of(source, uid) + ": has another date of expiry or other custom metadata");
    }
    return {};
}

Result<void> Verifier::documents_and_state() {
    for (auto const& collection : collections_of(from_))
        MALLARD_TRY(compare_collection(from_.documents, to_.documents, collection,
                                       [&](bson::Document const* source, bson::Document const* target) -> Result<bool> {
                                           auto const id = (source ? source : target)->id("_id").value_or(ObjectId{});
                                           if (!source || !target)
                                               problem(fmt::format("{} {}: is {}", collection.name, id.hex(),
                                                                   source ? "missing" : "too many"));
                                           else if (!same_document(collection, *source, *target))
                                               problem(fmt::format("{} {}: differs", collection.name, id.hex()));
                                           std::lock_guard const lock(mutex_);
                                           ++found_.documents;
                                           return true;
                                       }));
    MALLARD_TRY_ASSIGN(auto const source, kept_entries(from_.state));
    MALLARD_TRY_ASSIGN(auto const target, kept_entries(to_.state));
    if (!std::ranges::equal(source, target, same_entry)) problem("tokens or sets of shared state differ");
    std::lock_guard const lock(mutex_);
    found_.documents += source.size();
    return {};
}

}  // namespace mallard::migrate
