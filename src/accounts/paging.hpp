#pragma once
// A page of a collection in the order of a unique key, of all or of some, with cursors to go on and back.

#include <functional>

#include "accounts/accounts.hpp"
#include "store/documents.hpp"

namespace mallard::accounts {

struct PageOrder {
    std::string_view index = {};           // empty: by _id
    std::string_view key;                  // the field it sorts by; unique
    std::vector<bson::Value> equals = {};  // values of fields before it
};

// What an index finds.
struct Found {
    std::string_view index;
    std::vector<bson::Value> equals;
};
struct Narrowing {
    std::function<bool(bson::Document const&)> matches = {};  // empty: every document
    std::string_view tags_index = {};  // of tagsview: all that is read when the request asks for tags
    std::optional<Found> found = {};   // or this is all that is read
};

// invalid: the cursor is none of ours. A page of all documents is O(page). For one of those that match, all that an
// index finds is read, or else everything, in batches: what is held is a page.
Result<Page<bson::Document>> read_page(store::Documents& documents, store::Collection const& collection,
                                       PageOrder const& order, ListRequest const& request,
                                       Narrowing const& narrowing = {});

// Visits every document in that order, in batches; what visit() changes may be visited again if its key moved on.
Result<void> for_each(store::Documents& documents, store::Collection const& collection, PageOrder const& order,
                      std::function<Result<void>(bson::Document const&)> const& visit);

// tags: any of; required_tags: all of (api.md §7).
bool has_tags(bson::Document const& document, ListRequest const& request);
// Does a forwarding target contain request.forward, in any case? true when nothing is asked for.
bool forwards_there(bson::Document const& document, ListRequest const& request);

}  // namespace mallard::accounts
