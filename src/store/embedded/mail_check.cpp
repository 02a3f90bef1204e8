#include "store/embedded/mail_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/mailbox_load.hpp"
#include "store/embedded/pieces.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {
constexpr std::size_t problems_max = 1000;  // told in words; more are counted

bool is_damage(Result<void> const& status) { return !status && status.error().kind == ErrorKind::corrupt; }

}  // namespace

MailCheck::MailCheck(kv::Engine& engine, Content& content, ContentSweep& sweep, bool repair, Progress const& progress)
    : engine_(engine), content_(content), sweep_(sweep), repair_(repair), progress_(progress), view_(engine.view()) {}

MailCheck::~MailCheck() = default;

void MailCheck::problem(std::string text) {
    ++report_.problem_count;
    if (report_.problems.size() < problems_max) report_.problems.push_back(std::move(text));
}

Result<CheckReport> MailCheck::run() {
    MALLARD_TRY(read_intents());
    MALLARD_TRY(read_mailboxes());
    MALLARD_TRY(read_paths());
    MALLARD_TRY(read_ref_log());
    MALLARD_TRY(read_records());
    MALLARD_TRY(read_bodies());
    MALLARD_TRY(read_leaves());
    MALLARD_TRY(compare_storage());
    MALLARD_TRY(compare_bodies());
    MALLARD_TRY(compare_leaves());
    return std::move(report_);
}

Result<void> MailCheck::read_intents() {
    auto const cursor = engine_.scan(table_intent, {}, view_.get());
    for (; cursor->valid(); cursor->next()) {
        incoming_bodies_.insert(get_be64(cursor->key()));
        for (std::string_view hashes = cursor->value(); hashes.size() >= 32; hashes.remove_prefix(32))
            incoming_leaves_.emplace(hashes.substr(0, 32));
    }
    return cursor->status();
}

Result<void> MailCheck::read_mailboxes() {
    auto const cursor = engine_.scan(table_mailbox, {}, view_.get());
    for (; cursor->valid(); cursor->next()) {
        auto const id = MailboxId::from_bytes(cursor->key());
        mailboxes_.insert(id);
        ++report_.mailboxes;
        auto const loaded = load_mailbox(engine_, id, view_.get());
        if (!loaded) {
            problem(fmt::format("Mailbox {} cannot be read: {}", id.hex(), loaded.error().context));
            rows_known_ = false;
            continue;
        }
        auto const& info = loaded->index->info;
        octets_of_user_[info.user];
        std::string key(info.user.view());
        key += info.path;
        MALLARD_TRY_ASSIGN(auto const by_path, engine_.get(table_mailbox_path, key, view_.get()));
        if (!by_path || *by_path != id.view()) {
            problem(fmt::format("Mailbox {} ({}) is not found by its path", id.hex(), info.path));
            if (repair_ && !by_path) {
                kv::WriteBatch batch;
                batch.put(table_mailbox_path, key, id.view());
                MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
                ++report_.repaired;
            }
        }
        read_index(*loaded->index);
    }
    report_.users = octets_of_user_.size();
    return cursor->status();
}

void MailCheck::read_index(MailboxIndex const& index) {
    Uid last = 0;
    std::int64_t octets = 0;
    auto const name = [&] { return fmt::format("Mailbox {} ({})", index.info.id.hex(), index.info.path); };
    for (auto const& chunk : index.chunks) {
        for (Row const& row : chunk->rows()) {
            ++report_.messages;
            if (row.uid <= last) problem(fmt::format("{}: UID {} follows {}", name(), row.uid, last));
            if (row.uid >= index.uid_next)
                problem(fmt::format("{}: UID {} is not below the next, {}", name(), row.uid, index.uid_next));
            if (row.modseq > index.highest_modseq || row.modseq == 0)
                problem(fmt::format("{}: UID {} has modseq {}, the mailbox {}", name(), row.uid, row.modseq,
                                    index.highest_modseq));
            last = row.uid;
            octets += static_cast<std::int64_t>(row.size);
            Body& body = bodies_[row.body];
            if (body.rows++ == 0)
                body.size = row.size;
            else if (body.size != row.size)
                problem(fmt::format("{}: UID {} has another size than its copies", name(), row.uid));
        }
    }
    octets_of_user_[index.info.user] += octets;
}

Result<void> MailCheck::read_paths() {
    auto const cursor = engine_.scan(table_mailbox_path, {}, view_.get());
    for (; cursor->valid(); cursor->next()) {
        if (cursor->value().size() == 12 && mailboxes_.contains(ObjectId::from_bytes(cursor->value()))) continue;
        problem(fmt::format("The path {} leads to no mailbox", cursor->key().substr(12)));
        if (!repair_) continue;
        kv::WriteBatch batch;
        batch.erase(table_mailbox_path, cursor->key());
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
        ++report_.repaired;
    }
    return cursor->status();
}

Result<void> MailCheck::read_ref_log() {
    auto const cursor = engine_.scan(table_ref_log, {}, view_.get());
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY_ASSIGN(auto const entry, decode_ref_entry(cursor->value()));
        bool const gained = entry.kind == RefEntry::Kind::gained;
        for (BodyRef const ref : entry.refs) {
            Body& body = bodies_[ref];
            body.logged += gained ? 1 : -1;
            body.losses += !gained;
        }
    }
    return cursor->status();
}

Result<void> MailCheck::read_records() {
    auto const cursor = engine_.scan(table_record, {}, view_.get());
    MessageRecord record;
    for (; cursor->valid(); cursor->next()) {
        BodyRef const ref = get_be64(cursor->key());
        bodies_[ref].has_record = true;
        if (!decode_record(cursor->value(), want_all, record))
            problem(fmt::format("The record of body {} cannot be read", ref));
    }
    if (auto const status = cursor->status(); !is_damage(status)) return status;
    return read_unseen_records();
}

// The unseen of a table lie behind a place that ended the scan: they are asked for one by one.

Result<void> MailCheck::read_unseen_records() {
    MessageRecord record;
    for (auto& [ref, body] : bodies_) {
        if (body.rows == 0 || body.has_record) continue;
        auto const value = engine_.get(table_record, key_of(ref), view_.get());
        if (!value && value.error().kind != ErrorKind::corrupt) return std::unexpected(value.error());
        body.has_record = !value || value->has_value();
        if (!value || (*value && !decode_record(**value, want_all, record)))
            problem(fmt::format("The record of body {} cannot be read", ref));
    }
    return {};
}

Result<void> MailCheck::read_unseen_bodies() {
    layouts_known_ = false;  // a body that nothing refers to can lie there too
    std::vector<BodyRef> unseen;
    for (auto const& [ref, body] : bodies_)
        if (body.rows > 0 && !body.has_bytes) unseen.push_back(ref);
    std::string octets;
    for (BodyRef const ref : unseen) {
        auto const value = engine_.get(table_body, key_of(ref), view_.get());
        if (!value && value.error().kind != ErrorKind::corrupt) return std::unexpected(value.error());
        if (!value) {
            body_problem(ref, value.error());
        } else if (*value) {
            ++report_.bodies;
            MALLARD_TRY(read_body_piece(key_of(ref), **value, octets));
        }
    }
    return {};
}

Result<void> MailCheck::read_unseen_leaves() {
    std::string octets;
    for (auto& [hash, leaf] : leaves_) {
        if (leaf.bodies == 0 || leaf.found == leaf.size) continue;
        leaf.found = 0;
        for (std::uint32_t n = 0; n < piece_count(leaf.size, piece_bytes_max); ++n) {
            std::string const key = leaf_key(hash, n);
            auto const value = engine_.get(table_leaf, key, view_.get());
            if (!value && value.error().kind != ErrorKind::corrupt) return std::unexpected(value.error());
            if (!value || !*value) continue;
            octets.clear();
            auto const piece = open_piece(key, **value);
            if (piece && unpack_piece(*piece, octets)) leaf.found += octets.size();
        }
    }
    return {};
}

void MailCheck::body_problem(BodyRef ref, Error const& error) {
    problem(fmt::format("Body {} cannot be read: {}", ref, error.context));
    bodies_[ref].has_bytes = true;
    layouts_known_ = false;
}

Result<void> MailCheck::read_bodies() {
    auto const cursor = engine_.scan(table_body, {}, view_.get());
    std::string octets;
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY(read_body_piece(cursor->key(), cursor->value(), octets));
        if (cursor->key().size() == 8) {
            ++report_.bodies;
            if (progress_ && report_.bodies % 256 == 0)
                progress_(report_.bodies, std::max<std::uint64_t>(report_.bodies, bodies_.size()));
        }
    }
    auto status = cursor->status();
    if (is_damage(status)) status = read_unseen_bodies();
    if (progress_) progress_(report_.bodies, report_.bodies);
    return status;
}

Result<void> MailCheck::read_body_piece(std::string_view key, std::string_view value, std::string& octets) {
    BodyRef const ref = get_be64(key);
    if (incoming_bodies_.contains(ref)) return {};
    octets.clear();
    auto const piece = open_piece(key, value);
    auto const read = piece ? unpack_piece(*piece, octets) : std::unexpected(piece.error());
    if (!read) {
        body_problem(ref, read.error());
        return {};
    }
    if (key.size() != 8) return {};
    Body& body = bodies_[ref];
    body.has_bytes = true;
    Layout layout{.size = piece->size, .segments = {}};
    if (!piece->layout.empty()) {
        auto decoded = decode_layout(piece->layout);
        if (!decoded) {
            body_problem(ref, decoded.error());
            return {};
        }
        layout = std::move(*decoded);
    }
    if (body.rows > 0 && layout.size != body.size)
        problem(fmt::format("Body {} has {} octets, its message says {}", ref, layout.size, body.size));
    for (std::uint32_t n = 1; n < piece_count(layout.own_size(), piece_bytes_max); ++n) {
        auto const more = engine_.get(table_body, body_key(ref, n), view_.get());
        if (!more)
            body_problem(ref, more.error());
        else if (!*more)
            problem(fmt::format("Body {} cannot be read: piece {} is missing", ref, n));
    }
    for (auto const& hash : layout.leaves()) {
        Leaf& leaf = leaves_[hash];
        ++leaf.bodies;
        leaf.size = std::ranges::find(layout.segments, hash, &Segment::leaf)->size;
    }
    return {};
}

Result<void> MailCheck::read_leaves() {
    auto const cursor = engine_.scan(table_leaf, {}, view_.get());
    std::string octets;
    for (; cursor->valid(); cursor->next()) {
        std::string const hash(cursor->key().substr(0, 32));
        octets.clear();
        auto const piece = open_piece(cursor->key(), cursor->value());
        auto const read = piece ? unpack_piece(*piece, octets) : std::unexpected(piece.error());
        if (!read) problem(fmt::format("Part {} cannot be read: {}", hex_encode(hash), read.error().context));
        leaves_[hash].found += octets.size();
    }
    if (auto const status = cursor->status(); !is_damage(status)) return status;
    return read_unseen_leaves();
}

Result<void> MailCheck::correct(kv::Table table, std::string_view key, std::int64_t by) {
    if (!repair_) return {};
    kv::WriteBatch batch;
    batch.add(table, key, by);
    MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
    ++report_.repaired;
    return {};
}

Result<void> MailCheck::compare_storage() {
    if (!rows_known_) return {};
    auto const cursor = engine_.scan(table_storage, {}, view_.get());
    std::unordered_map<UserId, std::int64_t> counted;
    for (; cursor->valid(); cursor->next()) counted[UserId::from_bytes(cursor->key())] = counter_value(cursor->value());
    MALLARD_TRY(cursor->status());
    for (auto const& [user, octets] : counted) octets_of_user_.try_emplace(user, 0);
    for (auto const& [user, octets] : octets_of_user_) {
        if (counted[user] == octets) continue;
        problem(fmt::format("User {} stores {} octets, the counter says {}", user.hex(), octets, counted[user]));
        MALLARD_TRY(correct(table_storage, user.view(), octets - counted[user]));
    }
    return {};
}

Result<void> MailCheck::compare_bodies() {
    auto const cursor = engine_.scan(table_body_refs, {}, view_.get());
    std::unordered_map<BodyRef, std::int64_t> counted;
    for (; cursor->valid(); cursor->next()) counted[get_be64(cursor->key())] = counter_value(cursor->value());
    MALLARD_TRY(cursor->status());
    for (auto const& [ref, more] : counted) bodies_.try_emplace(ref);

    std::vector<BodyRef> orphans;
    for (auto const& [ref, body] : bodies_) {
        if (incoming_bodies_.contains(ref)) continue;
        if (body.rows > 0 && !body.has_record) problem(fmt::format("The record of body {} is missing", ref));
        if (body.rows > 0 && !body.has_bytes) problem(fmt::format("The bytes of body {} are missing", ref));
        if (!rows_known_) continue;
        auto const it = counted.find(ref);
        std::int64_t const references = 1 + (it == counted.end() ? 0 : it->second) + body.logged;
        if (body.rows == 0 && body.losses == 0) {
            problem(fmt::format("Body {} belongs to no message", ref));
            orphans.push_back(ref);
        } else if (references != body.rows) {
            problem(fmt::format("Body {} belongs to {} messages, the counter says {}", ref, body.rows, references));
            MALLARD_TRY(correct(table_body_refs, key_of(ref), body.rows - references));
        }
    }
    if (!repair_ || orphans.empty()) return {};
    MALLARD_TRY(sweep_.free_bodies(orphans));
    report_.repaired += orphans.size();
    return {};
}

Result<void> MailCheck::compare_leaves() {
    auto const cursor = engine_.scan(table_leaf_refs, {}, view_.get());
    std::unordered_map<std::string, std::int64_t> counted;
    for (; cursor->valid(); cursor->next()) counted[std::string(cursor->key())] = counter_value(cursor->value());
    MALLARD_TRY(cursor->status());
    for (auto const& [hash, bodies] : counted) leaves_.try_emplace(hash);
    for (auto const& [hash, leaf] : leaves_) {
        std::int64_t const references = counted[hash];
        if (leaf.bodies > 0 && leaf.found != leaf.size)
            problem(fmt::format("Part {} is not whole: {} of {} octets", hex_encode(hash), leaf.found, leaf.size));
        if (!layouts_known_) continue;
        if (leaf.bodies == 0) {
            if (incoming_leaves_.contains(hash)) continue;
            problem(fmt::format("Part {} belongs to no message", hex_encode(hash)));
            if (repair_) MALLARD_TRY(free_leaf(hash, references));
        } else if (references != leaf.bodies) {
            problem(fmt::format("Part {} belongs to {} messages, the counter says {}", hex_encode(hash), leaf.bodies,
                                references));
            MALLARD_TRY(correct(table_leaf_refs, hash, leaf.bodies - references));
        }
    }
    return {};
}

// Only if nothing has come to point at it since the view was taken.
Result<void> MailCheck::free_leaf(std::string const& hash, std::int64_t counted) {
    if (!content_.pins().mark(hash)) return {};
    auto const freed = [&]() -> Result<void> {
        MALLARD_TRY_ASSIGN(auto const refs, engine_.get(table_leaf_refs, hash));
        if ((refs ? counter_value(*refs) : 0) != counted) return {};
        kv::WriteBatch batch;
        batch.erase(table_leaf_refs, hash);
        batch.erase_range(table_leaf, hash, leaf_key(hash, UINT32_MAX));
        MALLARD_TRY(engine_.commit(batch, kv::Durability::sync));
        ++report_.repaired;
        return {};
    }();
    content_.pins().unmark(hash);
    return freed;
}

Result<CheckReport> EmbeddedMailStore::check(bool repair,
                                             std::function<void(std::uint64_t, std::uint64_t)> const& progress) {
    MailCheck check(engine_, content_, sweep_, repair, progress);
    auto report = check.run();
    if (repair) storage_.forget_all();
    return report;
}

}  // namespace mallard::store::embedded
