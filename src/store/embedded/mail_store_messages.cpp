// Changes of messages. Each computes on the newest state under the mailbox's lock, writes one batch without it, and
// returns when the change is durable and visible.

#include <algorithm>
#include <array>

#include "base/attempt.hpp"
#include "base/encoding.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/extras.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/mailbox_edit.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr Uid uid_max = UINT32_MAX - 1;

// The keywords of a mailbox while a change is computed: names to numbers, new ones at the end.
class Keywords {
public:
    explicit Keywords(MailboxIndex const& index) : names_(index.keywords) {}

    Result<std::optional<unsigned>> number(std::string_view name, bool add_new) {
        for (unsigned n = 0; n < names_.size(); ++n)
            if (iequals(names_[n], name)) return use(n);
        if (!add_new) return std::nullopt;
        if (names_.size() >= keywords_max)
            return fail(ErrorKind::limit, "The mailbox has too many different keywords (at most 128)");
        names_.emplace_back(name);
        return use(static_cast<unsigned>(names_.size()) - 1);
    }
    Result<KeywordBits> bits(std::vector<std::string> const& names, bool add_new) {
        KeywordBits bits;
        for (auto const& name : names) {
            MALLARD_TRY_ASSIGN(auto const n, number(name, add_new));
            if (n) bits.set(*n);
        }
        return bits;
    }
    std::vector<std::pair<unsigned, std::string>> used() const { return keyword_names(used_, names_); }

private:
    unsigned use(unsigned n) {
        used_.set(n);
        return n;
    }
    std::vector<std::string> names_;
    KeywordBits used_;
};

// Gives rows that come into a mailbox their UIDs, ids and modseq, and its numbers for their keywords.
Result<void> number_rows(MailboxIndex const& into, MailboxIndex const& from, ModSeq modseq, Change& change) {
    if (change.rows.size() > uid_max - into.uid_next)
        return fail(ErrorKind::limit, "The mailbox has used up its UIDs; create a new one");
    KeywordBits used;
    for (Row const& row : change.rows) {
        used.low |= row.keywords.low;
        used.high |= row.keywords.high;
    }
    Keywords keywords(into);
    std::array<unsigned, keywords_max> number{};
    for (unsigned n = 0; n < from.keywords.size(); ++n) {
        if (!used.test(n)) continue;
        MALLARD_TRY_ASSIGN(auto const known, keywords.number(from.keywords[n], true));
        number[n] = *known;
    }
    change.names = keywords.used();
    Uid uid = into.uid_next;
    for (Row& row : change.rows) {
        row.uid = uid++;
        row.id = MessageId::generate();
        row.modseq = modseq;
        if (row.keywords.none()) continue;
        KeywordBits bits;
        for (unsigned n = 0; n < from.keywords.size(); ++n)
            if (row.keywords.test(n)) bits.set(number[n]);
        row.keywords = bits;
    }
    return {};
}

// The published messages of the set, in the newest state.
std::vector<Row> rows_of(MailboxIndex const& index, UidSet const& uids, Uid end) {
    std::vector<Row> rows;
    for_each_row(index, uids, [&](Row const& row) {
        if (row.uid < end) rows.push_back(row);
    });
    return rows;
}

UidSet uids_of(std::vector<Row> const& rows) {
    UidSet uids;
    for (Row const& row : rows) uids.add(row.uid);
    return uids;
}

std::vector<BodyRef> refs_of(std::vector<Row> const& rows) {
    std::vector<BodyRef> refs;
    refs.reserve(rows.size());
    for (Row const& row : rows) refs.push_back(row.body);
    return refs;
}

std::int64_t octets_of(std::vector<Row> const& rows) {
    std::uint64_t octets = 0;
    for (Row const& row : rows) octets += row.size;
    return static_cast<std::int64_t>(octets);
}

// Applies the change to the head, puts it into the batch, and queues it.
void enqueue(OpenMailbox::Edit& edit, MailboxId id, Change const& change, kv::WriteBatch& batch, OnItsWay& way) {
    ModSeq const modseq = edit.head().highest_modseq + 1;
    IndexEdit next(edit.head());
    next.apply(change, modseq);
    std::uint64_t const touched = next.touched();
    auto const record = encode_change(change);
    auto const key = key_of(id, modseq);
    batch.put(table_journal, key, record);
    if (change.kind == Change::Kind::expunge) batch.put(table_vanished, key, encode_uids(change.uids));
    edit.enqueue(way, next.finish(), record.size(), touched);
}

}  // namespace

Result<Appended> EmbeddedMailStore::append(MailboxId id, NewMessage message) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    UserId const user = before->info.user;
    if (message.storage_max) {
        MALLARD_TRY_ASSIGN(auto const used, storage_.value(user));
        if (used + static_cast<std::int64_t>(message.source.size()) > *message.storage_max)
            return std::unexpected(storage_full());
    }
    MALLARD_TRY_ASSIGN(auto incoming, content_.prepare(message.source, message.tree));
    auto& batch = incoming.batch;
    MALLARD_TRY_ASSIGN(message.record.thread, threads_.join(user, message.thread_refs, message.thread_subject, batch));
    batch.put(table_record, key_of(incoming.ref), encode_record(message.record));
    MALLARD_TRY_ASSIGN(auto storage, storage_.begin(user, static_cast<std::int64_t>(message.source.size()), batch));

    TimeMs const second = 1000;
    Change change;
    Row& row = change.rows.emplace_back();
    row.body = incoming.ref;
    row.size = message.source.size();
    row.internal_date = message.internal_date - ((message.internal_date % second) + second) % second;
    row.system = message.flags.system;
    Appended appended{.size = row.size};
    OnItsWay way;
    {
        MALLARD_TRY_ASSIGN(auto edit, mailbox->edit());
        auto const& head = edit.head();
        if (head.uid_next > uid_max)
            return fail(ErrorKind::limit, "The mailbox has used up its UIDs; create a new one");
        row.uid = head.uid_next;
        row.modseq = head.highest_modseq + 1;
        row.id = MessageId::generate();
        if (!message.flags.keywords.empty()) {
            Keywords keywords(head);
            MALLARD_TRY_ASSIGN(row.keywords, keywords.bits(message.flags.keywords, true));
            change.names = keywords.used();
        }
        appended.id = row.id;
        appended.uid = row.uid;
        appended.modseq = row.modseq;
        appended.uid_validity = head.info.uid_validity;
        enqueue(edit, id, change, batch, way);
    }
    MALLARD_TRY(commit(batch, {{mailbox, &way}}));
    incoming.stored();
    storage.ended();
    announce(before->info);
    return appended;
}

Result<FlagsChanged> EmbeddedMailStore::change_flags(MailboxId id, UidSet const& uids, FlagChange const& wanted) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    FlagsChanged result;
    kv::WriteBatch batch;
    OnItsWay way;
    {
        MALLARD_TRY_ASSIGN(auto edit, mailbox->edit());
        auto const& head = edit.head();
        Change change{.kind = Change::Kind::flags, .mode = wanted.mode, .system = wanted.flags.system};
        Keywords keywords(head);
        MALLARD_TRY_ASSIGN(change.keywords, keywords.bits(wanted.flags.keywords, wanted.mode != FlagMode::remove));
        change.names = keywords.used();
        for_each_row(head, uids, [&](Row const& row) {
            if (row.uid >= edit.published_end()) return;
            if (wanted.unchanged_since && row.modseq > *wanted.unchanged_since) {  // RFC 7162 §3.1.3
                result.modified.add(row.uid);
                return;
            }
            Row copy = row;
            if (change_row_flags(copy, change.mode, change.system, change.keywords)) change.uids.add(row.uid);
        });
        if (Attempt::active() && !(change.uids.empty() && edit.all_published())) return Attempt::give_up();
        if (change.uids.empty()) {
            edit.enqueue_nothing(way);
        } else {
            result.changed = change.uids;
            result.modseq = head.highest_modseq + 1;
            enqueue(edit, id, change, batch, way);
        }
    }
    MALLARD_TRY(commit(batch, {{mailbox, &way}}));
    if (!result.changed.empty()) announce(before->info);
    return result;
}

Result<UidSet> EmbeddedMailStore::expunge(MailboxId id, UidSet const& uids, bool only_deleted) {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const before, open(id, mailbox));
    Change change{.kind = Change::Kind::expunge};
    kv::WriteBatch batch;
    OnItsWay way;
    RefLog::Pending lost;
    StorageCounters::Pending storage;
    {
        MALLARD_TRY_ASSIGN(auto edit, mailbox->edit());
        auto rows = rows_of(edit.head(), uids, edit.published_end());
        if (only_deleted) std::erase_if(rows, [](Row const& row) { return !(row.system & deleted); });
        if (rows.empty()) {
            edit.enqueue_nothing(way);
        } else {
            change.uids = uids_of(rows);
            MALLARD_TRY(erase_extras(engine_, id, change.uids, batch));
            MALLARD_TRY_ASSIGN(lost, log_.log(RefEntry::Kind::lost, refs_of(rows), batch));
            MALLARD_TRY_ASSIGN(storage, storage_.begin(before->info.user, -octets_of(rows), batch));
            enqueue(edit, id, change, batch, way);
        }
    }
    MALLARD_TRY(commit(batch, {{mailbox, &way}}));
    storage.ended();
    if (!change.uids.empty()) announce(before->info);
    return change.uids;
}

Result<Copied> EmbeddedMailStore::copy(MailboxId from, UidSet const& uids, MailboxId to) {
    return transfer(from, uids, to, false);
}

Result<Copied> EmbeddedMailStore::move(MailboxId from, UidSet const& uids, MailboxId to) {
    return transfer(from, uids, to, true);
}

Result<Copied> EmbeddedMailStore::transfer(MailboxId from_id, UidSet const& uids, MailboxId to_id, bool moving) {
    Mailbox from, to;
    MALLARD_TRY_ASSIGN(auto const source, open(from_id, from));
    MALLARD_TRY_ASSIGN(auto const target, open(to_id, to));
    Transfer work;
    if (from == to) {
        MALLARD_TRY_ASSIGN(auto edit, from->edit());
        MALLARD_TRY(compute_within(edit, from_id, uids, moving, work));
    } else if (from_id < to_id) {
        MALLARD_TRY_ASSIGN(auto first, from->edit());
        MALLARD_TRY_ASSIGN(auto second, to->edit());
        MALLARD_TRY(compute_between(first, from_id, uids, second, to_id, moving, work));
    } else {
        MALLARD_TRY_ASSIGN(auto second, to->edit());
        MALLARD_TRY_ASSIGN(auto first, from->edit());
        MALLARD_TRY(compute_between(first, from_id, uids, second, to_id, moving, work));
    }
    // The target first: a moved message may be seen twice for a moment, but never nowhere.
    if (from == to)
        MALLARD_TRY(commit(work.batch, {{from, &work.source_way}}));
    else
        MALLARD_TRY(commit(work.batch, {{to, &work.target_way}, {from, &work.source_way}}));
    work.source_storage.ended();
    work.target_storage.ended();
    work.copied.uid_validity = target->info.uid_validity;
    if (!work.copied.target.empty()) {
        announce(target->info);
        if (moving && from != to) announce(source->info);
    }
    return std::move(work.copied);
}

// References: a copy gains them, a move takes them along.
Result<void> EmbeddedMailStore::compute_between(OpenMailbox::Edit& from, MailboxId from_id, UidSet const& uids,
                                                OpenMailbox::Edit& to, MailboxId to_id, bool moving, Transfer& work) {
    Change arrive{.rows = rows_of(from.head(), uids, from.published_end())};
    if (arrive.rows.empty()) {
        from.enqueue_nothing(work.source_way);
        to.enqueue_nothing(work.target_way);
        return {};
    }
    work.copied.source = uids_of(arrive.rows);
    MALLARD_TRY(number_rows(to.head(), from.head(), to.head().highest_modseq + 1, arrive));
    work.copied.target = uids_of(arrive.rows);
    MALLARD_TRY(carry_extras(engine_, from_id, work.copied.source, to_id, work.copied.target, moving, work.batch));

    std::int64_t const octets = octets_of(arrive.rows);
    UserId const source_user = from.head().info.user, target_user = to.head().info.user;
    if (!moving) {
        MALLARD_TRY_ASSIGN(work.gained, log_.log(RefEntry::Kind::gained, refs_of(arrive.rows), work.batch));
    }
    if (!moving || source_user != target_user) {
        MALLARD_TRY_ASSIGN(work.target_storage, storage_.begin(target_user, octets, work.batch));
    }
    if (moving && source_user != target_user) {
        MALLARD_TRY_ASSIGN(work.source_storage, storage_.begin(source_user, -octets, work.batch));
    }
    enqueue(to, to_id, arrive, work.batch, work.target_way);
    if (moving)
        enqueue(from, from_id, {.kind = Change::Kind::expunge, .uids = work.copied.source}, work.batch,
                work.source_way);
    else
        from.enqueue_nothing(work.source_way);
    return {};
}

// Within one mailbox a move is two changes in one batch: the new messages, then the old ones gone.
Result<void> EmbeddedMailStore::compute_within(OpenMailbox::Edit& edit, MailboxId id, UidSet const& uids, bool moving,
                                               Transfer& work) {
    auto const& head = edit.head();
    Change arrive{.rows = rows_of(head, uids, edit.published_end())};
    if (arrive.rows.empty()) {
        edit.enqueue_nothing(work.source_way);
        return {};
    }
    work.copied.source = uids_of(arrive.rows);
    MALLARD_TRY(number_rows(head, head, head.highest_modseq + 1, arrive));
    work.copied.target = uids_of(arrive.rows);
    MALLARD_TRY(carry_extras(engine_, id, work.copied.source, id, work.copied.target, moving, work.batch));
    if (!moving) {
        MALLARD_TRY_ASSIGN(work.gained, log_.log(RefEntry::Kind::gained, refs_of(arrive.rows), work.batch));
        MALLARD_TRY_ASSIGN(work.target_storage, storage_.begin(head.info.user, octets_of(arrive.rows), work.batch));
        enqueue(edit, id, arrive, work.batch, work.source_way);
        return {};
    }
    Change const leave{.kind = Change::Kind::expunge, .uids = work.copied.source};
    ModSeq const modseq = head.highest_modseq;
    IndexEdit next(head);
    next.apply(arrive, modseq + 1);
    next.apply(leave, modseq + 2);
    auto const arrived = encode_change(arrive);
    auto const left = encode_change(leave);
    work.batch.put(table_journal, key_of(id, modseq + 1), arrived);
    work.batch.put(table_journal, key_of(id, modseq + 2), left);
    work.batch.put(table_vanished, key_of(id, modseq + 2), encode_uids(leave.uids));
    std::uint64_t const touched = next.touched();
    edit.enqueue(work.source_way, next.finish(), arrived.size() + left.size(), touched);
    return {};
}

Result<UidSet> EmbeddedMailStore::vanished_since(MailboxId id, ModSeq since) const {
    Mailbox mailbox;
    MALLARD_TRY_ASSIGN(auto const index, open(id, mailbox));
    std::vector<RangeSet::Range> ranges;
    if (since < index->highest_modseq) {
        auto const cursor =
            engine_.scan(table_vanished, {key_of(id, since + 1), key_of(id, index->highest_modseq + 1)});
        for (; cursor->valid(); cursor->next()) {
            MALLARD_TRY_ASSIGN(auto const uids, decode_uids(cursor->value()));
            ranges.insert(ranges.end(), uids.ranges().begin(), uids.ranges().end());
        }
        MALLARD_TRY(cursor->status());
    }
    std::ranges::sort(ranges, {}, &RangeSet::Range::first);
    UidSet vanished;
    for (auto const& range : ranges) vanished.add(range.first, range.last);
    return vanished;
}

}  // namespace mallard::store::embedded
