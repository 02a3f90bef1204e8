#include "store/embedded/documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "store/document_keys.hpp"
#include "store/document_update.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::size_t build_batch_rows = 1000;
constexpr std::size_t sweep_batch_rows = 500;

std::string document_prefix(std::string_view collection) { return std::string(collection) + '\0'; }

std::string document_key(std::string_view collection, ObjectId id) {
    return document_prefix(collection).append(id.view());
}

std::string index_prefix(std::string_view collection, std::string_view index) {
    return std::string(collection).append(1, '\0').append(index).append(1, '\0');
}

std::string marker_of(std::string_view collection, std::string_view index) {
    return "documents/" + std::string(collection) + "/" + std::string(index);
}

// An index whose declaration differs from what it was built with is built anew.
std::string fingerprint(IndexSpec const& index) {
    std::string text = index.sparse ? "1 sparse" : "1";
    for (auto field : index.fields) text.append(" ").append(field);
    return text;
}

ObjectId id_at_end(std::string_view key) { return ObjectId::from_bytes(key.substr(key.size() - 12)); }

IndexSpec const* find_index(Collection const& collection, std::string_view name) {
    auto const index = std::ranges::find(collection.indexes, name, &IndexSpec::name);
    return index == collection.indexes.end() ? nullptr : &*index;
}

std::unexpected<Error> unknown_index(Collection const& collection, std::string_view name) {
    return fail(ErrorKind::internal, "Internal error",
                "collection " + std::string(collection.name) + " has no index " + std::string(name));
}

}  // namespace

// The stripes of a change's unique keys, locked in ascending order.
class EmbeddedDocuments::KeyLocks {
public:
    KeyLocks(Stripes& stripes, std::vector<std::string> const& keys) {
        std::vector<std::size_t> numbers;
        numbers.reserve(keys.size());
        for (auto const& key : keys) numbers.push_back(std::hash<std::string>{}(key) % stripes.size());
        std::ranges::sort(numbers);
        auto const [first, last] = std::ranges::unique(numbers);
        numbers.erase(first, last);
        for (auto number : numbers) locks_.emplace_back(stripes[number]);
    }

private:
    std::vector<std::unique_lock<std::mutex>> locks_;
};

Result<void> EmbeddedDocuments::declare(Collection const& collection) {
    for (auto const& index : collection.indexes) {
        MALLARD_TRY_ASSIGN(auto const built, engine_.get(table_meta, marker_of(collection.name, index.name)));
        if (!built || *built != fingerprint(index)) MALLARD_TRY(build_index(collection, index));
    }
    declared_.note(collection);
    return {};
}

Result<void> EmbeddedDocuments::build_index(Collection const& collection, IndexSpec const& index) {
    std::string const prefix = index_prefix(collection.name, index.name);
    kv::WriteBatch batch;
    batch.erase_range(table_document_index, prefix, kv::KeyRange::prefix(prefix).last);
    auto cursor = engine_.scan(table_documents, kv::KeyRange::prefix(document_prefix(collection.name)));
    std::unordered_set<std::string> seen;
    for (; cursor->valid(); cursor->next()) {
        MALLARD_TRY_ASSIGN(auto const document, bson::Document::decode(cursor->value()));
        for (auto const& key : index_keys(index, document)) {
            if (index.unique && !seen.insert(key).second)
                return fail(ErrorKind::conflict, "Stored documents are not unique",
                            "index " + std::string(index.name) + " of " + std::string(collection.name));
            batch.put(table_document_index, prefix + key + std::string(id_at_end(cursor->key()).view()), "");
        }
        if (batch.count() < build_batch_rows) continue;
        MALLARD_TRY(engine_.commit(batch, kv::Durability::async));
        batch.clear();
    }
    MALLARD_TRY(cursor->status());
    batch.put(table_meta, marker_of(collection.name, index.name), fingerprint(index));
    return engine_.commit(batch, kv::Durability::sync);
}

bool EmbeddedDocuments::expired(Collection const& collection, bson::Document const& document) const {
    for (auto const& index : collection.indexes) {
        if (index.ttl_field.empty()) continue;
        auto const* value = document.find_path(index.ttl_field);
        auto const* date = value == nullptr ? nullptr : value->as<bson::Date>();
        if (date != nullptr && date->ms <= clock_.now()) return true;
    }
    return false;
}

Result<std::optional<bson::Document>> EmbeddedDocuments::read(Collection const& collection, ObjectId id,
                                                              kv::View const* view) const {
    MALLARD_TRY_ASSIGN(auto const bytes, engine_.get(table_documents, document_key(collection.name, id), view));
    if (!bytes) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto document, bson::Document::decode(*bytes));
    return document;
}

Result<std::optional<bson::Document>> EmbeddedDocuments::get(Collection const& collection, ObjectId id) const {
    MALLARD_TRY_ASSIGN(auto document, read(collection, id, nullptr));
    if (document && expired(collection, *document)) return std::nullopt;
    return document;
}

template <class F>
Result<void> EmbeddedDocuments::walk(Collection const& collection, Query const& query, kv::View const& view,
                                     F&& visit) const {
    bool const by_id = query.index.empty();
    IndexSpec const* index = find_index(collection, query.index);
    if (!by_id && index == nullptr) return unknown_index(collection, query.index);
    kv::Table const table = by_id ? table_documents : table_document_index;
    std::string const prefix = by_id ? document_prefix(collection.name) : index_prefix(collection.name, query.index);

    if (!query.any_of.empty()) {
        std::set<std::string> places;
        for (auto const& value : query.any_of)
            places.insert(key_span_of({.index = query.index, .equals = {value}}).first);
        auto cursor = engine_.scan(table, kv::KeyRange::prefix(prefix), &view);
        for (auto const& place : places)
            for (cursor->seek(prefix + place); cursor->valid() && cursor->key().starts_with(prefix + place);
                 cursor->next())
                if (!visit(id_at_end(cursor->key()), by_id ? cursor->value() : std::string_view()))
                    return cursor->status();
        return cursor->status();
    }
    auto const span = key_span_of(query);
    kv::KeyRange range{prefix + span.first, span.last.empty() ? kv::KeyRange::prefix(prefix).last : prefix + span.last};
    if (range.first >= range.last) return {};
    auto cursor = engine_.scan(table, range, &view);
    if (query.descending) cursor->seek_last();
    if (query.after_id) {
        // Of a document that an index lists several times, the place that comes first in this order counts.
        std::string place = prefix;
        if (by_id) {
            place.append(query.after_id->view());
        } else {
            MALLARD_TRY_ASSIGN(auto const document, read(collection, *query.after_id, &view));
            if (!document) return fail(ErrorKind::not_found, "The page to go on from is gone");
            auto keys = index_keys(*index, *document);
            std::erase_if(keys, [&](auto const& key) {
                std::string const full = prefix + key + std::string(query.after_id->view());
                return full < range.first || full >= range.last;
            });
            if (keys.empty()) return {};
            place.append(query.descending ? keys.back() : keys.front()).append(query.after_id->view());
        }
        query.descending ? cursor->seek_for_previous(place) : cursor->seek(place);
        if (cursor->valid() && cursor->key() == place) query.descending ? cursor->previous() : cursor->next();
    }
    for (; cursor->valid(); query.descending ? cursor->previous() : cursor->next()) {
        auto const key = cursor->key();
        if (!visit(id_at_end(key), by_id ? cursor->value() : std::string_view())) break;
    }
    return cursor->status();
}

namespace {

constexpr std::size_t read_ahead = 64;  // documents fetched together

}  // namespace

Result<std::vector<bson::Document>> EmbeddedDocuments::find(Collection const& collection, Query const& query) const {
    auto const view = engine_.view();
    std::vector<bson::Document> found;
    std::vector<std::string> wanted;
    std::unordered_set<ObjectId> seen;
    Result<void> problem;
    auto const take = [&](std::string_view bytes) -> Result<void> {
        MALLARD_TRY_ASSIGN(auto document, bson::Document::decode(bytes));
        if (found.size() < query.limit && !expired(collection, document)) found.push_back(std::move(document));
        return {};
    };
    auto const fetch = [&]() -> Result<void> {
        MALLARD_TRY_ASSIGN(auto const values, engine_.multi_get(table_documents, wanted, view.get()));
        wanted.clear();
        for (auto const& value : values)
            if (value) MALLARD_TRY(take(*value));
        return {};
    };
    std::size_t const batch = std::min(query.limit, read_ahead);
    MALLARD_TRY(walk(collection, query, *view, [&](ObjectId id, std::string_view bytes) {
        if (found.size() >= query.limit) return false;
        if (!bytes.empty()) {
            problem = take(bytes);
        } else if (seen.insert(id).second) {
            wanted.push_back(document_key(collection.name, id));
            if (wanted.size() >= batch) problem = fetch();
        }
        return problem.has_value();
    }));
    MALLARD_TRY(problem);
    if (!wanted.empty()) MALLARD_TRY(fetch());
    return found;
}

Result<std::optional<bson::Document>> EmbeddedDocuments::find_one(Collection const& collection,
                                                                  Query const& query) const {
    Query one = query;
    one.limit = 1;
    MALLARD_TRY_ASSIGN(auto found, find(collection, one));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

Result<std::uint64_t> EmbeddedDocuments::count(Collection const& collection, Query const& query) const {
    bool const ttl =
        std::ranges::any_of(collection.indexes, [](auto const& index) { return !index.ttl_field.empty(); });
    if (ttl) {
        Query all = query;
        all.limit = ~std::size_t{0};
        MALLARD_TRY_ASSIGN(auto const found, find(collection, all));
        return found.size();
    }
    if (query.index.empty() && query.any_of.empty() && !query.from && !query.to) return total(collection);
    auto const view = engine_.view();
    std::uint64_t rows = 0;
    std::unordered_set<ObjectId> seen;  // an index lists a document once per element of an array
    MALLARD_TRY(walk(collection, query, *view, [&](ObjectId id, std::string_view) {
        query.index.empty() ? void(++rows) : void(seen.insert(id));
        return true;
    }));
    return rows + seen.size();
}

// Counted once, then kept: a change holds totals_mutex_ shared from before its commit until it has added itself.
Result<std::uint64_t> EmbeddedDocuments::total(Collection const& collection) const {
    std::lock_guard const one_at_a_time(counting_mutex_);
    std::string const name(collection.name);
    std::unique_ptr<kv::View> view;
    Total* total = nullptr;
    {
        std::unique_lock const alone(totals_mutex_);
        total = &totals_[name];
        if (total->counted) return static_cast<std::uint64_t>(total->rows.load());
        total->rows = 0;  // changes before this moment are in the view, those behind it add themselves
        view = engine_.view();
    }
    std::int64_t rows = 0;
    MALLARD_TRY(walk(collection, {}, *view, [&](ObjectId, std::string_view) { return ++rows > 0; }));
    total->rows += rows;
    total->counted = true;
    return static_cast<std::uint64_t>(total->rows.load());
}

Result<void> EmbeddedDocuments::commit_counted(Collection const& collection, kv::WriteBatch const& batch, int rows) {
    if (rows == 0) return engine_.commit(batch, kv::Durability::sync);
    std::shared_lock const counting(totals_mutex_);
    auto committed = engine_.commit(batch, kv::Durability::sync);
    auto const total = totals_.find(std::string(collection.name));
    if (total == totals_.end()) return committed;
    if (committed)
        total->second.rows += rows;
    else
        total->second.counted = false;
    return committed;
}

// Writes the document and its index rows in one batch. The caller holds the stripe of the id.
Result<void> EmbeddedDocuments::write_change(Collection const& collection, ObjectId id, bson::Document const* before,
                                             bson::Document const* after) {
    kv::WriteBatch batch;
    struct Claim {
        IndexSpec const* index;
        std::string prefix;  // of index and key
    };
    std::vector<Claim> claims;
    std::vector<std::string> claimed;
    for (auto const& index : collection.indexes) {
        std::string const prefix = index_prefix(collection.name, index.name);
        auto const old_keys = before == nullptr ? std::vector<std::string>() : index_keys(index, *before);
        auto const new_keys = after == nullptr ? std::vector<std::string>() : index_keys(index, *after);
        for (auto const& key : old_keys)
            if (!std::ranges::binary_search(new_keys, key))
                batch.erase(table_document_index, prefix + key + std::string(id.view()));
        for (auto const& key : new_keys) {
            if (std::ranges::binary_search(old_keys, key)) continue;
            batch.put(table_document_index, prefix + key + std::string(id.view()), "");
            if (!index.unique) continue;
            claims.push_back({&index, prefix + key});
            claimed.push_back(prefix + key);
        }
    }
    KeyLocks const locks(key_stripes_, claimed);
    for (auto const& claim : claims) {
        auto cursor = engine_.scan(table_document_index, kv::KeyRange::prefix(claim.prefix));
        for (; cursor->valid(); cursor->next()) {
            if (cursor->key().size() != claim.prefix.size() + 12) continue;  // a longer key that begins alike
            MALLARD_TRY_ASSIGN(auto const owner, get(collection, id_at_end(cursor->key())));
            if (owner) return fail(ErrorKind::already_exists, "It exists already", std::string(claim.index->name));
        }
        MALLARD_TRY(cursor->status());
    }
    if (after != nullptr)
        batch.put(table_documents, document_key(collection.name, id), after->encode());
    else
        batch.erase(table_documents, document_key(collection.name, id));
    return commit_counted(collection, batch, (after != nullptr) - (before != nullptr));
}

Result<void> EmbeddedDocuments::insert(Collection const& collection, bson::Document document) {
    auto const id = document.id("_id");
    if (!id) return fail(ErrorKind::internal, "Internal error", "document without _id");
    if (!declared_.has(collection))
        return fail(ErrorKind::internal, "Internal error", fmt::format("{} was not declared", collection.name));
    std::lock_guard lock(stripe_of(*id));
    MALLARD_TRY_ASSIGN(auto const there, read(collection, *id, nullptr));
    if (there && !expired(collection, *there)) return fail(ErrorKind::already_exists, "It exists already", "_id_");
    return write_change(collection, *id, there ? &*there : nullptr, &document);
}

Result<bson::Document> EmbeddedDocuments::update(Collection const& collection, ObjectId id, Update const& update) {
    std::lock_guard lock(stripe_of(id));
    MALLARD_TRY_ASSIGN(auto const before, get(collection, id));
    if (!before) return fail(ErrorKind::not_found, "No such document", std::string(collection.name));
    bson::Document after = *before;
    MALLARD_TRY(apply_update(after, update));
    if (after.id("_id") != id) return fail(ErrorKind::invalid, "The id of a document cannot change");
    if (after == *before) return after;
    MALLARD_TRY(write_change(collection, id, &*before, &after));
    return after;
}

Result<bool> EmbeddedDocuments::erase(Collection const& collection, ObjectId id) {
    std::lock_guard lock(stripe_of(id));
    MALLARD_TRY_ASSIGN(auto const before, read(collection, id, nullptr));
    if (!before) return false;
    MALLARD_TRY(write_change(collection, id, &*before, nullptr));
    return !expired(collection, *before);
}

Result<bool> EmbeddedDocuments::sweep() {
    for (auto const& collection : declared_.list()) {
        for (auto const& index : collection.indexes) {
            if (index.ttl_field.empty()) continue;
            std::vector<ObjectId> gone;
            Query const passed{.index = index.name, .to = bson::Date{clock_.now() + 1}};
            auto const view = engine_.view();
            MALLARD_TRY(walk(collection, passed, *view, [&](ObjectId id, std::string_view) {
                gone.push_back(id);
                return gone.size() < sweep_batch_rows;
            }));
            for (auto id : gone) {
                std::lock_guard lock(stripe_of(id));
                MALLARD_TRY_ASSIGN(auto const document, read(collection, id, nullptr));
                if (document && expired(collection, *document))  // it may have been prolonged meanwhile
                    MALLARD_TRY(write_change(collection, id, &*document, nullptr));
            }
            if (gone.size() >= sweep_batch_rows) return true;
        }
    }
    return false;
}

}  // namespace mallard::store::embedded
