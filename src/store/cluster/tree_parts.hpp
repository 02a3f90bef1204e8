#pragma once
// Shared by the files that make and read trees: the walk of the rebuild, and what leaves the tree.

#include <string>
#include <string_view>
#include <utility>

#include "store/cluster/mime_tree.hpp"

namespace mallard::store::cluster {

void move_bodies_out(MimeTree& tree, TreeLimits const& limits);  // §10.1
std::uint64_t tree_size(TreeNode const& root);                   // §9.4, getSize
void find_pieces(MimeTree& tree, std::string_view source);
std::string bare_lf(std::string_view text);  // with LF for CRLF

// The rebuild's pending chunk and first flag (§9.4). `write` takes text.
template <class Write>
class Emitter {
public:
    explicit Emitter(Write write) : write_(std::move(write)) {}
    void pend(std::string_view body) { pending_ = body, is_set_ = true; }
    void emit(std::string_view text, bool has_text, bool force = false) {
        if (!is_set_ && !has_text && !force) return;
        if (!first_) write_("\r\n");
        first_ = false;
        if (is_set_) write_(pending_);
        is_set_ = false;
        if (has_text) write_(text);
    }

private:
    Write write_;
    std::string_view pending_;
    bool is_set_ = false, first_ = true;
};

}  // namespace mallard::store::cluster
