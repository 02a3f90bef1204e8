#pragma once
// Applies an Update to a document, as MongoDB's findOneAndUpdate would. Pure.

#include "store/documents.hpp"

namespace mallard::store {

// conflict: `expect` does not hold; invalid: a number is added to what is no number, an element to what is no array.
Result<void> apply_update(bson::Document& document, Update const& update);

}  // namespace mallard::store
