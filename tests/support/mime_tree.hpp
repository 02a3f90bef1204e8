#pragma once
// What must be true of every parsed message, whatever its bytes.

#include <string>
#include <string_view>

#include "mime/message.hpp"

namespace mallard::test {

// A sentence on the first thing that is wrong; empty: the tree is sound. Parts lie in order inside their parents, the
// leaves with the gaps between them give the source, fields lie in their headers, lines are counted right.
std::string find_fault(mime::Entity const& root, std::string_view source, mime::Limits const& limits = {});

}  // namespace mallard::test
