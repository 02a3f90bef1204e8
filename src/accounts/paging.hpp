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

// The same of documents that are at hand, all of them: what an index has found.
Result<Page<bson::Document>> page_of(std::vector<bson::Document> documents, PageOrder const& order,
                                     ListRequest const& request);

// Visits every document in that order, in batches; what visit() changes may be visited again if its key moved on.
Result<void> for_each(store::Documents& documents, store::Collection const& collection, PageOrder const& order,
                      std::function<Result<void>(bson::Document const&)> const& visit);

// tags: any of; required_tags: all of (api.md §7).
bool has_tags(bson::Document const& document, ListRequest const& request);
// Does a forwarding target contain request.forward, in any case? true when nothing is asked for.
bool forwards_there(bson::Document const& document, ListRequest const& request);

}  // namespace mallard::accounts
