#pragma once
// Makes the documents of the target those of the source, byte for byte. Users' storage counters are the target's own.

#include <cstdint>
#include <functional>

#include "migrate/side.hpp"

namespace mallard::migrate {

// All collections that the source knows. `step()` after each document; false: stop. Returns how many differed; one that
// cannot come over yet, because a unique key is still taken, counts and is left for the next pass.
Result<std::uint64_t> mirror_documents(Side const& from, Side const& to, std::function<bool()> const& step);

// Calls visit(document of the source or null, of the target or null) for each id, in order; false: enough.
using VisitPair = std::function<Result<bool>(bson::Document const*, bson::Document const*)>;
Result<void> compare_collection(store::Documents const& from, store::Documents const& to,
                                store::Collection const& collection, VisitPair const& visit);

// The collections to be carried over: all that were declared.
std::vector<store::Collection> collections_of(Side const& from);
// Those of them whose documents are people with mail: users, and users who are deleted but can be brought back.
std::vector<store::Collection> people_of(Side const& from);
// Equal, what each engine counts for itself aside.
bool same_document(store::Collection const& collection, bson::Document const& a, bson::Document const& b);

}  // namespace mallard::migrate
