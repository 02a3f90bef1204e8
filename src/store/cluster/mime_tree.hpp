#pragma once
// MimeTree: a message as WildDuck stores it (storage.md §9): a tree of header lines and bodies, read from the source by
// WildDuck's own rules, so that what it makes of the document is what it would have made of the message. Bodies that
// are not shown as text leave the tree (§10.1) and are stored by their digest.
// WildDuck's form loses bytes of some messages (§9.4). For those, pieces() tells how the exact bytes are made of
// literals and of stored bodies. Pure.
// Bodies are views of the source, whose LFs get their CR as they are read: a large message is never copied whole. The
// source must outlive the tree.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "store/bson.hpp"

namespace mallard::store::cluster {

struct TreeLimits {
    std::size_t depth_max = 32;     // containers inside each other; deeper stays text. MongoDB nests at most 100 levels
    std::size_t nodes_max = 5'000;  // later delimiters are ordinary lines
    std::size_t message_bytes_max = 1024 * 1024;        // of an embedded message that is kept a second time in the tree
    std::size_t inline_bytes_max = 300 * 1024;          // §10.1: a larger text leaves the tree
    std::size_t tree_text_bytes_max = 4 * 1024 * 1024;  // of all texts that stay; a document holds 16 MB
    std::size_t preamble_bytes_max = 1024 * 1024;       // of all multiparts; one that has more is stored like a file
};

// A body as it lies in the source; what is stored of it has CRLF line ends.
struct BodyText {
    std::string_view raw;
    bool bare = false;       // an LF in it lacks its CR
    std::uint64_t size = 0;  // with CRLF line ends

    static BodyText of(std::string_view raw);
    std::string whole() const;
    // Calls visit(std::string_view) for its pieces, in order, of at most 64 KiB.
    template <class Visit>
    void for_each(Visit&& visit) const {
        constexpr std::size_t piece_bytes = 64 * 1024;
        std::string piece;
        bool after_cr = false;
        for (std::size_t at = 0; at < raw.size(); at += piece_bytes) {
            std::string_view const part = raw.substr(at, piece_bytes);
            if (!bare) {
                visit(part);
                continue;
            }
            piece.clear();
            append_with_crlf(piece, part, after_cr);
            after_cr = part.back() == '\r';
            visit(std::string_view(piece));
        }
    }
    static void append_with_crlf(std::string& out, std::string_view text, bool after_cr = false);
};

struct TreeNode {
    std::vector<std::string> header;  // a field each, folded with CRLF, without the final line end; bytes
    bson::Document parsed;            // parsedHeader (§9.5)
    BodyText text;                    // of a leaf
    std::string body;                 // what stays in the tree
    bool is_multipart = false;
    std::string subtype, boundary;  // of a multipart
    std::uint64_t lines = 0;        // lineCount
    std::uint64_t size = 0;         // of the body
    std::string attachment_id;      // "ATT00001"; empty: the body is here
    std::vector<std::unique_ptr<TreeNode>> children;
    std::unique_ptr<TreeNode> message;  // of message/rfc822

    std::size_t begin = 0, end = 0;  // the body in the source (leaves outside of embedded messages)
    bool has_range = false;
};

// A body that left the tree: what becomes a file of the bucket `attachments`.
struct StoredBody {
    std::string id;      // "ATT00001"
    std::string digest;  // SHA-256 of the text
    BodyText text;       // still transfer-encoded
    std::string content_type, transfer_encoding;
    std::uint64_t lines = 0;
    std::string content_digest;  // base64 SHA-256 of what is stored (fileContentHash)
    bool altered = false;        // what is stored, by another writer, gives other bytes
};

// How the source is made: `literal_bytes` of text, or the body `attachment`; `bare_lf`: with LF for CRLF.
struct Piece {
    std::string attachment;  // empty: literal
    std::uint64_t bytes = 0;
    bool bare_lf = false;
};

struct MimeTree {
    std::unique_ptr<TreeNode> root;
    std::vector<StoredBody> bodies;
    bson::Array attachments;  // attachments[] (§10.2)
    bool has_attachments = false;
    std::uint64_t size = 0;         // WildDuck's `size` (§9.4)
    std::deque<std::string> owned;  // texts that bodies are views of, where they are not the source's

    bool exact = false;         // the rebuild gives back the source
    std::vector<Piece> pieces;  // when it does not
    std::string literals;       // of the pieces, in order

    bson::Document document() const;  // mimeTree
};

MimeTree make_tree(std::string_view source, TreeLimits const& limits = {});
// Takes the bytes of altered bodies from the source: from then on the tree is not exact, and its pieces have them.
void keep_altered(MimeTree& tree, std::string_view source);

// A message again from its mimeTree (§9.4), as segments, without the line end WildDuck adds: text, or a stored body.
struct Segment {
    std::string text;        // when there is no attachment
    std::string attachment;  // the id in the tree
    std::uint64_t bytes = 0;
    bool bare_lf = false;
    bson::Value file;     // of old documents: the file's id in place of one of the tree's
    bool opaque = false;  // says nothing of the message's structure, and has a name
};
Result<std::vector<Segment>> rebuild(bson::Document const& mime_tree);

// mallard.source: pieces and, unless they are stored elsewhere, literals.
bson::Document encode_pieces(MimeTree const& tree, bool with_literals);
Result<std::vector<Segment>> decode_pieces(bson::Document const& source, std::string_view literals);

std::string to_binary_string(std::string_view bytes);   // §1: a code point per byte, as UTF-8
std::string from_binary_string(std::string_view utf8);  // code points above 255 become '?'

// Unfolds: every line end with the blanks around it becomes one space.
std::string collapse_folding(std::string_view value);

bson::Document parse_tree_header(std::vector<std::string> const& header);  // parsedHeader (§9.5)

}  // namespace mallard::store::cluster
