#pragma once
// What one IMAP command may be at most. Named in the error when hit.

#include <cstddef>

namespace mallard::imap_proto {

struct Limits {
    std::size_t line_bytes_max = 16384;    // all lines of a command together, literals aside (protocols.md §1.2)
    std::size_t literal_bytes_max = 1024;  // a literal that is not a message
    std::size_t literals_max = 64;         // per command
    std::size_t depth_max = 25;            // parentheses
    std::size_t arguments_max = 4096;      // in all lists together
    std::size_t search_depth_max = 50;     // NOT, OR and parentheses inside each other
    std::size_t fetch_items_max = 64;
    std::size_t keyword_bytes_max = 255;
};

}  // namespace mallard::imap_proto
