#include "store/cluster/documents.hpp"

#include <algorithm>
#include <limits>

#include "store/cluster/document_query.hpp"
#include "store/cluster/wildduck_indexes.hpp"
#include "store/document_keys.hpp"
#include "store/document_update.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Document;

constexpr int compare_tries_max = 50;

Db db_of(Collection const& collection) { return collection.role == DatabaseRole::users ? Db::users : Db::main; }

std::string hint_key(Collection const& collection, std::string_view index) {
    return std::string(collection.name) + "/" + std::string(index);
}

std::string_view first_part(std::string_view path) { return path.substr(0, path.find('.')); }

IndexDefinition definition_of_spec(Collection const& collection, IndexSpec const& index) {
    if (auto const* known = find_wildduck_index(collection.name, index.name)) return definition_of(*known);
    IndexDefinition out{.name = std::string(index.name), .unique = index.unique, .sparse = index.sparse};
    for (auto field : index.fields) out.key.set(field, 1);
    if (!index.ttl_field.empty()) out.expire_after_seconds = 0;
    return out;
}

bool has_unique_index(Collection const& collection) {
    return std::ranges::any_of(collection.indexes, &IndexSpec::unique);
}

// Does the update touch a field of a unique index?
bool touches_unique(Collection const& collection, Update const& update) {
    auto const touches = [&](std::string_view path) {
        return std::ranges::any_of(collection.indexes, [&](auto const& index) {
            return index.unique &&
                   std::ranges::any_of(index.fields, [&](auto field) { return first_part(field) == first_part(path); });
        });
    };
    auto const any = [&](auto const& changes) {
        return std::ranges::any_of(changes, [&](auto const& change) { return touches(change.first); });
    };
    return any(update.set) || any(update.increment) || any(update.push) || any(update.add_to_set) || any(update.pull) ||
           std::ranges::any_of(update.unset, touches);
}

}  // namespace

Result<void> ClusterDocuments::declare(Collection const& collection) {
    for (auto const& index : collection.indexes)
        MALLARD_TRY(client_.ensure_index(db_of(collection), collection.name, definition_of_spec(collection, index)));
    std::set<std::string> there;
    if (!collection.indexes.empty()) {
        MALLARD_TRY_ASSIGN(auto const listed, client_.command(db_of(collection), {{"listIndexes", collection.name}}));
        auto const* batch = listed.find_path("cursor.firstBatch");
        if (auto const* indexes = batch == nullptr ? nullptr : batch->as<bson::Array>())
            for (auto const& index : *indexes)
                if (auto const* document = index.as<Document>()) there.emplace(document->text("name"));
    }
    declared_.note(collection);
    std::lock_guard lock(declared_mutex_);
    for (auto const& index : collection.indexes) {
        if (there.contains(std::string(index.name))) hintable_.insert(hint_key(collection, index.name));
        if (!index.ttl_field.empty())
            ttl_.insert({db_of(collection), std::string(collection.name), std::string(index.ttl_field)});
    }
    return {};
}

bool ClusterDocuments::is_hintable(Collection const& collection, std::string_view index) const {
    std::lock_guard lock(declared_mutex_);
    return hintable_.contains(hint_key(collection, index));
}

Result<std::optional<Document>> ClusterDocuments::get(Collection const& collection, ObjectId id) const {
    MALLARD_TRY_ASSIGN(auto found, client_.find_one(db_of(collection), collection.name, {{"_id", id}}));
    if (found && expired(collection, *found, clock_.now())) return std::nullopt;
    return found;
}

// Up to query.limit documents; asks the server for `limit` of them (0: as many as it takes).
Result<std::vector<Document>> ClusterDocuments::read(Collection const& collection, Query const& query,
                                                     IndexSpec const* index, std::size_t limit) const {
    // Where a field is an array, MongoDB's filter is wider than the question: one element may be above the lower bound
    // and another below the upper, and a document that came earlier by one element comes again by another.
    bool const check = index != nullptr && (query.after_id || query.from || query.to);
    auto const span = key_span_of(query);
    std::optional<Place> after;
    std::string after_key;
    if (query.after_id) {
        after = Place{*query.after_id, {}};
        if (index != nullptr) {
            MALLARD_TRY_ASSIGN(auto const document,
                               client_.find_one(db_of(collection), collection.name, {{"_id", *query.after_id}}));
            if (!document) return fail(ErrorKind::not_found, "The page to go on from is gone");
            auto keys = index_keys(*index, *document);
            std::erase_if(keys, [&](auto const& key) { return !span.contains(key + std::string(after->id.view())); });
            if (keys.empty()) return std::vector<Document>();
            after_key = query.descending ? keys.back() : keys.front();
            after->values = values_of_key(*index, *document, after_key);
            after_key += after->id.view();
        }
    }
    FindOptions options{.sort = sort_of(query, index)};
    options.limit = static_cast<std::int64_t>(std::min<std::size_t>(limit, std::numeric_limits<std::int32_t>::max()));
    if (index != nullptr && is_hintable(collection, index->name)) options.hint = index->name;
    std::vector<Document> found;
    std::size_t seen = 0;
    auto const filter = filter_of(collection, query, index, after, clock_.now());
    MALLARD_TRY(client_.find_each(db_of(collection), collection.name, filter, options, [&](Document document) {
        ++seen;
        if (check) {
            auto keys = index_keys(*index, document);
            auto const id = document.id("_id").value_or(ObjectId{});
            for (auto& key : keys) key += id.view();
            std::erase_if(keys, [&](auto const& key) { return !span.contains(key); });
            bool const wanted =
                !keys.empty() &&
                (!query.after_id || (query.descending ? keys.back() < after_key : keys.front() > after_key));
            if (!wanted) return true;
        }
        found.push_back(std::move(document));
        return found.size() < query.limit;
    }));
    if (limit > 0 && seen >= limit && found.size() < query.limit) return read(collection, query, index, 0);
    return found;
}

Result<std::vector<Document>> ClusterDocuments::find(Collection const& collection, Query const& query) const {
    auto const* index = find_index(collection, query.index);
    if (index == nullptr && !query.index.empty())
        return fail(ErrorKind::internal, "Internal error",
                    "collection " + std::string(collection.name) + " has no index " + std::string(query.index));
    if (query.limit == 0) return std::vector<Document>();
    return read(collection, query, index, query.limit);
}

Result<std::optional<Document>> ClusterDocuments::find_one(Collection const& collection, Query const& query) const {
    Query one = query;
    one.limit = 1;
    MALLARD_TRY_ASSIGN(auto found, find(collection, one));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

Result<std::optional<Joined>> ClusterDocuments::find_joined(Collection const& collection, Query const& query,
                                                            std::string_view field, Collection const& other) const {
    auto const* index = find_index(collection, query.index);
    if (index == nullptr || !client_.features().lookups || db_of(collection) != db_of(other))
        return Documents::find_joined(collection, query, field, other);
    constexpr std::string_view joined_as = "mallardJoined";
    auto const now = clock_.now();
    auto rows = client_.aggregate(
        db_of(collection), collection.name,
        {Document{{"$match", filter_of(collection, query, index, std::nullopt, now)}}, Document{{"$limit", 1}},
         Document{
             {"$lookup",
              Document{{"from", other.name}, {"localField", field}, {"foreignField", "_id"}, {"as", joined_as}}}}});
    // Some servers do not join some collections (sharded ones).
    if (!rows && rows.error().kind != ErrorKind::unavailable)
        return Documents::find_joined(collection, query, field, other);
    if (!rows) return std::unexpected(std::move(rows).error());
    if (rows->empty()) return std::nullopt;
    Joined joined{.document = std::move(rows->front()), .other = {}};
    auto const* others = joined.document.array(joined_as);
    auto const* first = others && !others->empty() ? others->front().as<Document>() : nullptr;
    if (first && !expired(other, *first, now)) joined.other = *first;
    joined.document.erase(joined_as);
    return joined;
}

Result<std::uint64_t> ClusterDocuments::count(Collection const& collection, Query const& query) const {
    if (query.after_id || (query.from && query.to)) {
        Query all = query;
        all.limit = std::numeric_limits<std::int32_t>::max();
        MALLARD_TRY_ASSIGN(auto const found, find(collection, all));
        return found.size();
    }
    auto const* index = find_index(collection, query.index);
    if (index == nullptr && !query.index.empty())
        return fail(ErrorKind::internal, "Internal error", "no index " + std::string(query.index));
    auto const filter = filter_of(collection, query, index, std::nullopt, clock_.now());
    std::string hint;
    if (index != nullptr && is_hintable(collection, index->name)) hint = index->name;
    if (filter.empty()) hint = "_id_";  // counts keys; without, all documents are read
    MALLARD_TRY_ASSIGN(auto const rows, client_.count(db_of(collection), collection.name, filter, hint));
    return static_cast<std::uint64_t>(rows);
}

Result<std::string> ClusterDocuments::blocker_of(Collection const& collection, Document const& document) const {
    auto const id = document.id("_id");
    auto const now = clock_.now();
    for (auto const& index : collection.indexes) {
        if (!index.unique) continue;
        for (auto const& key : index_keys(index, document)) {
            bson::Array clauses;
            auto const values = values_of_key(index, document, key);
            for (std::size_t i = 0; i < values.size(); ++i) {
                Document equal;
                equal.set(index.fields[i], values[i]);
                clauses.emplace_back(std::move(equal));
            }
            append_not_expired(clauses, collection, now);
            if (id) clauses.emplace_back(Document{{"_id", Document{{"$ne", *id}}}});
            MALLARD_TRY_ASSIGN(auto const other,
                               client_.find_one(db_of(collection), collection.name, all_of(std::move(clauses)),
                                                {.projection = {{"_id", 1}}}));
            if (other) return std::string(index.name);
        }
    }
    return std::string();
}

Result<std::uint64_t> ClusterDocuments::erase_expired(Collection const& collection) {
    std::uint64_t erased = 0;
    for (auto const& index : collection.indexes) {
        if (index.ttl_field.empty()) continue;
        Document filter;
        filter.set(index.ttl_field, Document{{"$lte", bson::Date{clock_.now()}}});
        MALLARD_TRY_ASSIGN(auto const gone, client_.erase(db_of(collection), collection.name, filter, true));
        erased += static_cast<std::uint64_t>(gone);
    }
    return erased;
}

bool ClusterDocuments::looks_before_writing(Collection const& collection) const {
    return !client_.features().unique_counts_absent && has_unique_index(collection);
}

// Not every server names the index of a duplicate key.
Error ClusterDocuments::explain(Collection const& collection, Document const& document, Error error) const {
    if (error.kind != ErrorKind::already_exists || !error.context.empty()) return error;
    auto const name = blocker_of(collection, document);
    error.context = name && !name->empty() ? *name : "_id_";
    return error;
}

Result<void> ClusterDocuments::insert(Collection const& collection, Document document) {
    if (!document.id("_id")) return fail(ErrorKind::internal, "Internal error", "document without _id");
    bool const look = looks_before_writing(collection);
    MongoClient::Serial const serial = client_.serialise();
    for (bool second = false;; second = true) {
        std::string blocker;
        if (look) {
            MALLARD_TRY_ASSIGN(blocker, blocker_of(collection, document));
        }
        Result<void> inserted = blocker.empty() ? client_.insert(db_of(collection), collection.name, document)
                                                : fail(ErrorKind::already_exists, "It exists already", blocker);
        if (inserted) return inserted;
        if (inserted.error().kind != ErrorKind::already_exists || second)
            return std::unexpected(explain(collection, document, std::move(inserted.error())));
        // What is in the way may be a document whose time has come.
        MALLARD_TRY_ASSIGN(auto const gone, erase_expired(collection));
        if (gone == 0) return std::unexpected(explain(collection, document, std::move(inserted.error())));
    }
}

Result<Document> ClusterDocuments::update(Collection const& collection, ObjectId id, Update const& update) {
    bool const look = looks_before_writing(collection) && touches_unique(collection, update);
    MongoClient::Serial const serial = client_.serialise();
    auto const operators = look ? std::nullopt : operators_of(update);
    for (bool second = false;; second = true) {
        auto result = operators ? update_by_operators(collection, id, update, *operators)
                                : update_by_comparing(collection, id, update);
        if (result || result.error().kind != ErrorKind::already_exists || second) return result;
        MALLARD_TRY_ASSIGN(auto const gone, erase_expired(collection));
        if (gone == 0) return result;
    }
}

Result<Document> ClusterDocuments::update_by_operators(Collection const& collection, ObjectId id, Update const& update,
                                                       Document const& operators) {
    bson::Array clauses = {Document{{"_id", id}}};
    for (auto const& [path, value] : update.expect) {
        Document equal;
        equal.set(path, Document{{"$eq", value}});
        clauses.emplace_back(std::move(equal));
    }
    append_not_expired(clauses, collection, clock_.now());
    auto changed =
        client_.find_and_modify(db_of(collection), collection.name,
                                {.filter = all_of(std::move(clauses)), .update = operators, .give_new = true});
    if (changed && *changed) return std::move(**changed);
    if (!changed && changed.error().kind == ErrorKind::already_exists && changed.error().context.empty()) {
        MALLARD_TRY_ASSIGN(auto after, get(collection, id));
        if (after && apply_update(*after, update))
            return std::unexpected(explain(collection, *after, std::move(changed.error())));
    }
    bool const refused =
        !changed && (changed.error().kind == ErrorKind::invalid || changed.error().kind == ErrorKind::not_supported);
    if (!changed && !refused) return std::unexpected(std::move(changed.error()));
    // It was not there, did not look as expected, or the operators are too strict: this knows which.
    return update_by_comparing(collection, id, update);
}

Result<Document> ClusterDocuments::update_by_comparing(Collection const& collection, ObjectId id,
                                                       Update const& update) {
    for (int attempt = 0; attempt < compare_tries_max; ++attempt) {
        MALLARD_TRY_ASSIGN(auto const before, get(collection, id));
        if (!before) return fail(ErrorKind::not_found, "No such document", std::string(collection.name));
        Document after = *before;
        MALLARD_TRY(apply_update(after, update));
        if (after.id("_id") != id) return fail(ErrorKind::invalid, "The id of a document cannot change");
        if (after == *before) return after;
        if (looks_before_writing(collection) && touches_unique(collection, update)) {
            MALLARD_TRY_ASSIGN(auto const blocker, blocker_of(collection, after));
            if (!blocker.empty()) return fail(ErrorKind::already_exists, "It exists already", blocker);
        }
        Document set, unset, filter{{"_id", id}};
        auto const compare = [&](std::string_view key) {
            auto const* value = before->find(key);
            filter.set(key, value == nullptr ? Document{{"$exists", false}} : Document{{"$eq", *value}});
        };
        for (auto const& field : after.fields()) {
            auto const* old = before->find(field.key);
            if (old != nullptr && *old == field.value) continue;
            set.set(field.key, field.value);
            compare(field.key);
        }
        for (auto const& field : before->fields()) {
            if (after.find(field.key) != nullptr) continue;
            unset.set(field.key, 1);
            compare(field.key);
        }
        for (auto const& [path, value] : update.expect)
            if (first_part(path) != "_id") compare(first_part(path));
        Document operators;
        if (!set.empty()) operators.set("$set", std::move(set));
        if (!unset.empty()) operators.set("$unset", std::move(unset));
        auto changed =
            client_.find_and_modify(db_of(collection), collection.name,
                                    {.filter = std::move(filter), .update = std::move(operators), .give_new = true});
        if (!changed) return std::unexpected(explain(collection, after, std::move(changed.error())));
        if (*changed) return std::move(**changed);
    }
    return fail(ErrorKind::unavailable, "Too many change this at once, try again later", std::string(collection.name));
}

Result<bool> ClusterDocuments::erase(Collection const& collection, ObjectId id) {
    MALLARD_TRY_ASSIGN(auto const gone, client_.find_and_modify(db_of(collection), collection.name,
                                                                {.filter = {{"_id", id}}, .remove = true}));
    return gone && !expired(collection, *gone, clock_.now());
}

Result<void> ClusterDocuments::sweep() {
    if (client_.features().ttl_indexes) return {};
    std::set<Ttl> ttl;
    {
        std::lock_guard lock(declared_mutex_);
        ttl = ttl_;
    }
    for (auto const& at : ttl) {
        Document filter;
        filter.set(at.field, Document{{"$lte", bson::Date{clock_.now()}}});
        MALLARD_TRY(client_.erase(at.db, at.collection, filter, true));
    }
    return {};
}

}  // namespace mallard::store::cluster
