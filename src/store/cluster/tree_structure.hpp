#pragma once
// The arrays `envelope` and `bodystructure` of a stored message (storage.md §9.6, §9.7), made from its tree. Pure.

#include "store/bson.hpp"
#include "store/cluster/mime_tree.hpp"

namespace mallard::store::cluster {

bson::Array envelope_array(TreeNode const& message);
bson::Array bodystructure_array(TreeNode const& message);

// headers[] (§11.2): the fields that searches look at, decoded and in lower case.
bson::Array searchable_headers(TreeNode const& message);

}  // namespace mallard::store::cluster
