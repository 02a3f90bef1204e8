#include "store/cluster/tree_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "mime/header.hpp"

namespace mallard::store::cluster {

namespace {

constexpr std::array<std::string_view, 4> text_types{"text/plain", "text/html", "text/rfc822-headers",
                                                     "message/delivery-status"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> extensions{{{"application/pdf", "pdf"},
                                                                                    {"application/zip", "zip"},
                                                                                    {"application/json", "json"},
                                                                                    {"application/msword", "doc"},
                                                                                    {"image/gif", "gif"},
                                                                                    {"image/jpeg", "jpeg"},
                                                                                    {"image/png", "png"},
                                                                                    {"message/rfc822", "eml"},
                                                                                    {"text/calendar", "ics"},
                                                                                    {"text/csv", "csv"},
                                                                                    {"text/html", "html"},
                                                                                    {"text/plain", "txt"}}};

std::string header_lines(TreeNode const& node) {
    std::string out;
    for (std::size_t i = 0; i < node.header.size(); ++i) {
        if (i) out += "\r\n";
        out += node.header[i];
    }
    return out + "\r\n";
}

struct Kind {
    std::string content_type, disposition, encoding;
    bool is_text = false;  // shown as text
};

Kind kind_of(TreeNode const& node) {
    Kind kind;
    kind.content_type = to_lower(node.parsed.document("content-type")->text("value"));
    if (auto const* disposition = node.parsed.document("content-disposition"))
        kind.disposition = to_lower(disposition->text("value"));
    kind.encoding = to_lower(trim(node.parsed.text("content-transfer-encoding", "7bit")));
    kind.is_text = (kind.disposition.empty() || kind.disposition == "inline") &&
                   std::ranges::find(text_types, kind.content_type) != text_types.end();
    return kind;
}

std::string filename_of(TreeNode const& node, Kind const& kind, std::string_view digest) {
    for (auto const& [field, parameter] : {std::pair{"content-disposition", "filename"}, {"content-type", "name"}})
        if (auto const* found = node.parsed.document(field))
            if (auto const* params = found->document("params"); params && !params->text(parameter).empty())
                return mime::decode_words(params->text(parameter));
    auto const known = std::ranges::find(extensions, kind.content_type, [](auto const& e) { return e.first; });
    return hex_encode(digest.substr(0, 4)) + '.' + std::string(known == extensions.end() ? "bin" : known->second);
}

bson::Value entry_of(TreeNode const& node, Kind const& kind, std::string_view digest, bool related) {  // §10.2
    std::uint64_t quarters = node.size * 4;  // of an octet, decoded
    if (kind.encoding == "base64") quarters = (node.size - node.size / 78 * 2) * 3;
    auto const cid = node.parsed.text("content-id");
    return bson::Document{
        {"id", node.attachment_id},
        {"filename", filename_of(node, kind, digest)},
        {"contentType", kind.content_type},
        {"disposition", kind.disposition.empty() ? bson::Value(false) : bson::Value(kind.disposition)},
        {"transferEncoding", kind.encoding},
        {"cid", cid.empty() ? bson::Value() : bson::Value(cid)},
        {"related", related},
        {"sizeKb", bson::number(static_cast<std::int64_t>((quarters + 4'095) / 4'096))},
        {"size", bson::number(static_cast<std::int64_t>(node.size))},
    };
}

class Mover {
public:
    Mover(MimeTree& tree, TreeLimits const& limits) : tree_(tree), limits_(limits) {}

    void walk(TreeNode& node, bool related) {
        if (node.is_multipart) {
            related = related || iequals(node.subtype, "related");
            for (auto& child : node.children) walk(*child, related);
            return;
        }
        if (node.size > 0) move(node, related);
        if (!node.message) return;
        if (!node.message->is_multipart) return keep(*node.message);
        // Of an embedded message's root WildDuck does not ask whether it is multipart/related.
        for (auto& child : node.message->children) walk(*child, related);
    }

private:
    void move(TreeNode& node, bool related) {
        Kind kind = kind_of(node);
        bool const stays = kind.is_text || kind.content_type.starts_with("multipart/");  // one without a boundary
        if (stays && node.size <= limits_.inline_bytes_max && kept_ + node.size <= limits_.tree_text_bytes_max) {
            kept_ += node.size;
            node.body = node.text.whole();
            return;
        }
        StoredBody body{.id = fmt::format("ATT{:05}", tree_.bodies.size() + 1), .text = node.text};
        node.attachment_id = body.id;
        Sha256 digest;
        body.text.for_each([&](std::string_view piece) { digest.update(piece); });
        body.digest = digest.finish();
        body.lines = node.lines;
        if (!stays) {
            tree_.attachments.push_back(entry_of(node, kind, body.digest, related));
            tree_.has_attachments = tree_.has_attachments || !related;
        }
        body.content_type = std::move(kind.content_type);
        body.transfer_encoding = std::move(kind.encoding);
        tree_.bodies.push_back(std::move(body));
    }

    // An embedded message that is no multipart keeps its body (§9.3), and so do those inside it.
    void keep(TreeNode& node) {
        node.body = node.text.whole();
        if (!node.message) return;
        if (node.message->is_multipart)
            keep_leaves(*node.message);
        else
            keep(*node.message);
    }
    void keep_leaves(TreeNode& node) {
        for (auto& child : node.children) child->is_multipart ? keep_leaves(*child) : keep(*child);
    }

    MimeTree& tree_;
    TreeLimits const& limits_;
    std::uint64_t kept_ = 0;
};

// The walk of the rebuild. `body_of(node)` gives the text to pend or nullptr; `moved(node)` writes a stored body.
template <class Emit, class Pend, class Moved>
void walk_rebuild(TreeNode const& node, Emit& emitter, Pend const& pend, Moved const& moved) {
    emitter.emit(header_lines(node), true);
    pend(node);
    if (node.is_multipart)
        emitter.emit("--" + node.boundary, true);
    else if (!node.attachment_id.empty()) {
        emitter.emit({}, false, true);
        moved(node);
    }
    for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (i) emitter.emit("--" + node.boundary, true);
        walk_rebuild(*node.children[i], emitter, pend, moved);
    }
    if (node.is_multipart) emitter.emit("--" + node.boundary + "--\r\n", true);
    emitter.emit({}, false);
}

class PieceFinder {
public:
    PieceFinder(MimeTree& tree, std::string_view source) : tree_(tree), source_(source) {
        for (auto const& body : tree.bodies)
            if (body.altered) altered_.insert(body.id);
    }

    void walk(TreeNode const& node) {
        for (auto const& child : node.children) walk(*child);
        if (node.attachment_id.empty() || !node.has_range || node.size < bytes_min) return;
        if (altered_.contains(node.attachment_id)) return;
        std::string_view const slice = source_.substr(node.begin, node.end - node.begin);
        // All of its line ends alike: as stored, or each without its CR.
        bool const bare = node.text.bare;
        if (bare && slice.contains("\r\n")) return;
        literal(node.begin);
        tree_.pieces.push_back({.attachment = node.attachment_id, .bytes = slice.size(), .bare_lf = bare});
        at_ = node.end;
    }

    void literal(std::size_t end) {
        if (end == at_) return;
        tree_.pieces.push_back({.attachment = {}, .bytes = end - at_});
        tree_.literals.append(source_, at_, end - at_);
        at_ = end;
    }

private:
    static constexpr std::uint64_t bytes_min = 1024;  // smaller bodies are cheaper as text

    MimeTree& tree_;
    std::string_view source_;
    std::set<std::string_view> altered_;  // by id
    std::size_t at_ = 0;
};

void cut(MimeTree& tree, std::string_view source) {
    PieceFinder finder(tree, source);
    finder.walk(*tree.root);
    finder.literal(source.size());
}

}  // namespace

void move_bodies_out(MimeTree& tree, TreeLimits const& limits) { Mover(tree, limits).walk(*tree.root, false); }

std::uint64_t tree_size(TreeNode const& root) {
    std::uint64_t size = 0;
    Emitter emitter([&](std::string_view text) { size += text.size(); });
    walk_rebuild(
        root, emitter,
        [&](TreeNode const& node) {
            if (node.size > 0 && node.attachment_id.empty()) emitter.pend(node.body);
        },
        [&](TreeNode const& node) { size += node.size; });
    return size;
}

void find_pieces(MimeTree& tree, std::string_view source) {
    std::size_t at = 0;
    bool same = true;
    auto compare = [&](std::string_view text) {
        same = same && source.substr(std::min(at, source.size())).starts_with(text);
        at += text.size();
    };
    Emitter emitter(compare);
    walk_rebuild(
        *tree.root, emitter,
        [&](TreeNode const& node) {
            if (node.attachment_id.empty()) emitter.pend(node.body);
        },
        [&](TreeNode const& node) {
            if (node.text.raw.data() == source.data() + at && !node.text.bare)
                at += node.text.raw.size();  // it is this very piece of the source
            else
                node.text.for_each(compare);
        });
    tree.exact = same && at == source.size();
    if (!tree.exact) cut(tree, source);
}

void keep_altered(MimeTree& tree, std::string_view source) {
    if (std::ranges::none_of(tree.bodies, &StoredBody::altered)) return;
    tree.exact = false;
    tree.pieces.clear();
    tree.literals.clear();
    cut(tree, source);
}

}  // namespace mallard::store::cluster
