#include "store/documents.hpp"

namespace mallard::store {

Result<std::optional<Joined>> Documents::find_joined(Collection const& collection, Query const& query,
                                                     std::string_view field, Collection const& other) const {
    MALLARD_TRY_ASSIGN(auto found, find_one(collection, query));
    if (!found) return std::nullopt;
    Joined joined{.document = std::move(*found), .other = {}};
    if (auto const id = joined.document.id(field)) {
        MALLARD_TRY_ASSIGN(joined.other, get(other, *id));
    }
    return joined;
}

}  // namespace mallard::store
