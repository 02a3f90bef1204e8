#pragma once
// A page of a collection in the order of a unique key, filtered by a predicate, with cursors to go on and back.

#include <functional>

#include "accounts/accounts.hpp"
#include "store/documents.hpp"

namespace mallard::accounts {

struct PageOrder {
    std::string_view index = {};           // empty: by _id
    std::string_view key;                  // the field it sorts by; unique
    std::vector<bson::Value> equals = {};  // values of fields before it
};

// invalid: the cursor is none of ours. `matches` empty: every document.
Result<Page<bson::Document>> read_page(store::Documents& documents, store::Collection const& collection,
                                       PageOrder const& order, ListRequest const& request,
                                       std::function<bool(bson::Document const&)> const& matches);

// tags: any of; required_tags: all of (api.md §7).
bool has_tags(bson::Document const& document, ListRequest const& request);
// Does a forwarding target contain request.forward, in any case? true when nothing is asked for.
bool forwards_there(bson::Document const& document, ListRequest const& request);

}  // namespace mallard::accounts
