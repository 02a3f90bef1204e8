#include "store/embedded/content_sweep.hpp"

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/pieces.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {
constexpr std::size_t step_refs_max = 512;
}

// The leaves that a step takes references from, and the marks that keep appends away from those it may free until the
// step is committed. A counter that was read may have grown since (only the sweep takes away), unless it is marked.
struct ContentSweep::Leaves {
    struct Leaf {
        std::int64_t counted = 0;  // as read; at least so many
        std::int64_t taken = 0;    // by this step
        bool marked = false;
    };
    LeafPins& pins;
    std::unordered_map<std::string, Leaf> by_hash;

    explicit Leaves(LeafPins& p) : pins(p) {}
    Leaves(Leaves const&) = delete;
    ~Leaves() {
        for (auto const& [hash, leaf] : by_hash)
            if (leaf.marked) pins.unmark(hash);
    }
};

Result<void> ContentSweep::clear_intents() {
    auto const cursor = engine_.scan(table_intent, {});
    kv::WriteBatch batch;
    Leaves leaves(content_.pins());
    for (; cursor->valid(); cursor->next()) {
        BodyRef const ref = get_be64(cursor->key());
        if (content_.is_incoming(ref)) continue;
        // The append never got to its commit: nothing refers to what it wrote, except where others wrote the same.
        for (std::string_view hashes = cursor->value(); hashes.size() >= 32; hashes.remove_prefix(32)) {
            std::string const hash(hashes.substr(0, 32));
            auto& leaf = leaves.by_hash[hash];
            if (!leaf.marked) leaf.marked = content_.pins().mark(hash);
            if (!leaf.marked) continue;
            MALLARD_TRY_ASSIGN(auto const refs, engine_.get(table_leaf_refs, hash));
            if (refs && counter_value(*refs) > 0) continue;
            batch.erase_range(table_leaf, hash, leaf_key(hash, UINT32_MAX));
        }
        batch.erase_range(table_body, body_key(ref, 0), body_key(ref, UINT32_MAX));
        batch.erase(table_intent, cursor->key());
    }
    MALLARD_TRY(cursor->status());
    return engine_.commit(batch, kv::Durability::async);
}

Result<bool> ContentSweep::step(std::uint64_t end) {
    std::lock_guard const lock(mutex_);
    if (content_.take_leftovers()) MALLARD_TRY(clear_intents());
    auto const cursor = engine_.scan(table_ref_log, {position_, key_of(end)});
    bool all_before_done = true;
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY_ASSIGN(auto entry, decode_ref_entry(cursor->value()));
        std::string const key(cursor->key());
        if (all_before_done) position_ = key;
        MALLARD_TRY_ASSIGN(bool const progress, count_entry(key, std::move(entry)));
        if (progress) return true;
        all_before_done = false;  // an append holds a leaf that would be freed: the others first, this one later
    }
    MALLARD_TRY(cursor->status());
    return false;
}

Result<bool> ContentSweep::count_entry(std::string const& key, RefEntry entry) {
    kv::WriteBatch batch;
    if (entry.kind == RefEntry::Kind::gained) {
        for (BodyRef const ref : entry.refs) batch.add(table_body_refs, key_of(ref), 1);
        batch.erase(table_ref_log, key);
        MALLARD_TRY(engine_.commit(batch, kv::Durability::async));
        return true;
    }
    std::vector<BodyRef> rest;
    Leaves leaves(content_.pins());
    std::size_t done = 0;
    // Slices, so that a step stays small; those that must wait are passed over.
    while (done < entry.refs.size()) {
        auto const slice = std::span(entry.refs).subspan(done, std::min(step_refs_max, entry.refs.size() - done));
        done += slice.size();
        MALLARD_TRY_ASSIGN(auto const waiting, lose(slice, false, batch, leaves));
        rest.insert(rest.end(), waiting.begin(), waiting.end());
        if (!batch.empty()) break;
    }
    if (batch.empty()) return false;
    rest.insert(rest.end(), entry.refs.begin() + static_cast<std::ptrdiff_t>(done), entry.refs.end());
    if (rest.empty())
        batch.erase(table_ref_log, key);
    else
        batch.put(table_ref_log, key, encode_ref_entry({RefEntry::Kind::lost, std::move(rest)}));
    MALLARD_TRY(engine_.commit(batch, kv::Durability::async));
    return true;
}

// Takes one reference from each; returns those that must wait.
Result<std::vector<BodyRef>> ContentSweep::lose(std::span<BodyRef const> refs, bool whatever_counted,
                                                kv::WriteBatch& batch, Leaves& leaves) {
    std::vector<BodyRef> distinct(refs.begin(), refs.end());
    std::ranges::sort(distinct);
    distinct.erase(std::ranges::unique(distinct).begin(), distinct.end());
    std::vector<std::string> keys;
    keys.reserve(distinct.size());
    for (BodyRef const ref : distinct) keys.push_back(key_of(ref));
    MALLARD_TRY_ASSIGN(auto const counters, engine_.multi_get(table_body_refs, keys));

    std::vector<BodyRef> waiting;
    for (std::size_t i = 0; i < distinct.size(); ++i) {
        auto const losses = std::ranges::count(refs, distinct[i]);
        std::int64_t const more = counters[i] ? counter_value(*counters[i]) : 0;
        if (losses <= more && !whatever_counted) {
            if (losses == more)
                batch.erase(table_body_refs, keys[i]);
            else
                batch.add(table_body_refs, keys[i], -losses);
            continue;
        }
        MALLARD_TRY_ASSIGN(bool const freed, free_body(distinct[i], batch, leaves));
        if (!freed) {
            waiting.insert(waiting.end(), static_cast<std::size_t>(losses), distinct[i]);
            continue;
        }
        if (counters[i]) batch.erase(table_body_refs, keys[i]);
    }
    return waiting;
}

Result<std::int64_t> ContentSweep::leaf_count(std::string const& hash) const {
    MALLARD_TRY_ASSIGN(auto const refs, engine_.get(table_leaf_refs, hash));
    return refs ? counter_value(*refs) : 0;
}

// false: one of its leaves would be freed with it while an append is holding it.
Result<bool> ContentSweep::free_body(BodyRef ref, kv::WriteBatch& batch, Leaves& leaves) {
    Layout layout;
    if (!is_simple(ref)) {
        auto read = content_.layout(ref);
        // A damaged body cannot name its leaves: they stay, and the check recounts them.
        if (!read && read.error().kind != ErrorKind::corrupt && read.error().kind != ErrorKind::not_found)
            return std::unexpected(std::move(read).error());
        if (read) layout = std::move(*read);
    }
    auto const hashes = layout.leaves();
    for (auto const& hash : hashes) {
        auto const [it, is_new] = leaves.by_hash.try_emplace(hash);
        auto& leaf = it->second;
        if (is_new) {
            MALLARD_TRY_ASSIGN(leaf.counted, leaf_count(hash));
        }
        if (leaf.counted - leaf.taken > 1 || leaf.marked) continue;
        leaf.marked = content_.pins().mark(hash);
        if (!leaf.marked) return false;
        MALLARD_TRY_ASSIGN(leaf.counted, leaf_count(hash));  // now it stands still
    }
    for (auto const& hash : hashes) {
        auto& leaf = leaves.by_hash[hash];
        if (leaf.counted - ++leaf.taken > 0) {
            batch.add(table_leaf_refs, hash, -1);
            continue;
        }
        batch.erase(table_leaf_refs, hash);
        auto const segment = std::ranges::find(layout.segments, hash, &Segment::leaf);
        for (std::uint32_t n = 0; n < piece_count(segment->size, piece_bytes_max); ++n)
            batch.erase(table_leaf, leaf_key(hash, n));
    }
    batch.erase(table_record, key_of(ref));
    for (std::uint32_t n = 0; n < std::max(1u, piece_count(layout.own_size(), piece_bytes_max)); ++n)
        batch.erase(table_body, body_key(ref, n));
    return true;
}

Result<void> ContentSweep::free_bodies(std::span<BodyRef const> refs) {
    std::lock_guard const lock(mutex_);
    while (!refs.empty()) {
        auto const slice = refs.first(std::min(refs.size(), step_refs_max));
        refs = refs.subspan(slice.size());
        kv::WriteBatch batch;
        Leaves leaves(content_.pins());
        MALLARD_TRY(lose(slice, true, batch, leaves));
        MALLARD_TRY(engine_.commit(batch, kv::Durability::async));
    }
    return {};
}

}  // namespace mallard::store::embedded
