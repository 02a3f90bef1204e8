#include "store/declared_collections.hpp"

#include <algorithm>

namespace mallard::store {

void DeclaredCollections::note(Collection const& collection) {
    std::lock_guard const lock(mutex_);
    for (auto& entry : entries_)
        if (entry.collection.name == collection.name && entry.collection.role == collection.role) entry.outdated = true;
    auto& entry = entries_.emplace_back();
    auto const own = [&](std::string_view text) { return std::string_view(entry.texts.emplace_back(text)); };
    entry.collection = {.name = own(collection.name), .role = collection.role, .indexes = collection.indexes};
    for (auto& index : entry.collection.indexes) {
        index.name = own(index.name);
        for (auto& field : index.fields) field = own(field);
        index.ttl_field = own(index.ttl_field);
    }
}

bool DeclaredCollections::has(Collection const& collection) const {
    std::lock_guard const lock(mutex_);
    return std::ranges::any_of(entries_, [&](Entry const& entry) {
        return entry.collection.name == collection.name && entry.collection.role == collection.role;
    });
}

std::vector<Collection> DeclaredCollections::list() const {
    std::lock_guard const lock(mutex_);
    std::vector<Collection> out;
    for (auto const& entry : entries_)
        if (!entry.outdated) out.push_back(entry.collection);
    return out;
}

}  // namespace mallard::store
