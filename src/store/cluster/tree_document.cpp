// Trees as BSON (storage.md §9.2), and messages again from them (§9.4).
#include <algorithm>

#include "store/cluster/mime_tree.hpp"
#include "store/cluster/tree_parts.hpp"

namespace mallard::store::cluster {

namespace {

bson::Value flag_or(bool set, std::string const& text) { return set ? bson::Value(text) : bson::Value(false); }

bson::Document node_document(TreeNode const& node) {
    bson::Document out;
    if (!node.children.empty()) {
        bson::Array children;
        for (auto const& child : node.children) children.emplace_back(node_document(*child));
        out.set("childNodes", std::move(children));
    }
    bson::Array header;
    for (auto const& line : node.header) header.emplace_back(to_binary_string(line));
    out.set("header", std::move(header));
    out.set("parsedHeader", node.parsed);
    bool const moved = !node.attachment_id.empty();
    out.set("body", moved ? bson::Value(false) : bson::Value(bson::Binary{node.body}));
    out.set("multipart", flag_or(node.is_multipart, node.subtype));
    out.set("boundary", flag_or(node.is_multipart, node.boundary));
    if (node.message) out.set("message", node_document(*node.message));
    out.set("lineCount", bson::number(static_cast<std::int64_t>(node.lines)));
    out.set("size", bson::number(static_cast<std::int64_t>(node.size)));
    if (moved) out.set("attachmentId", node.attachment_id);
    return out;
}

bool is_opaque(bson::Document const& node) {
    auto const* parsed = node.document("parsedHeader");
    auto const* type = parsed ? parsed->document("content-type") : nullptr;
    if (!type) return false;
    auto const name = type->text("type");
    if (name.empty() || name == "text" || name == "message" || name == "multipart") return false;
    auto const has = [&](std::string_view field, std::string_view parameter) {
        auto const* found = parsed->document(field);
        auto const* params = found ? found->document("params") : nullptr;
        return params && !params->text(parameter).empty();
    };
    return has("content-disposition", "filename") || has("content-type", "name");
}

class Rebuilder {
public:
    Rebuilder() : emitter_(Append{&segments}) {}

    Result<void> walk(bson::Document const& node, int depth) {
        constexpr int depth_max = 100;
        if (depth > depth_max) return fail(ErrorKind::corrupt, "a stored message is nested too deeply");
        std::string lines;
        if (auto const* header = node.array("header"))
            for (auto const& line : *header) {
                if (!lines.empty() || &line != &header->front()) lines += "\r\n";
                if (auto const* text = line.as<std::string>()) lines += from_binary_string(*text);
            }
        emitter_.emit(lines + "\r\n", true);
        pend_body(node);
        std::string const boundary(node.text("boundary"));
        auto const* attachment = node.find("attachmentId");
        if (!boundary.empty()) {
            emitter_.emit("--" + boundary, true);
        } else if (attachment && attachment->truthy()) {
            emitter_.emit({}, false, true);
            auto const* id = attachment->as<std::string>();
            segments.push_back({.attachment = id ? *id : "file",
                                .bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, node.integer("size"))),
                                .file = id ? bson::Value() : *attachment,
                                .opaque = is_opaque(node)});
        }
        if (auto const* children = node.array("childNodes"))
            for (auto const& child : *children) {
                if (&child != &children->front()) emitter_.emit("--" + boundary, true);
                auto const* document = child.as<bson::Document>();
                if (!document) return fail(ErrorKind::corrupt, "a stored message has a part that is no document");
                MALLARD_TRY(walk(*document, depth + 1));
            }
        if (!boundary.empty()) emitter_.emit("--" + boundary + "--\r\n", true);
        emitter_.emit({}, false);
        return {};
    }

    std::vector<Segment> segments;

private:
    struct Append {
        std::vector<Segment>* segments;
        void operator()(std::string_view text) const {
            if (segments->empty() || !segments->back().attachment.empty()) segments->emplace_back();
            segments->back().text += text;
            segments->back().bytes = segments->back().text.size();
        }
    };

    // Old documents hold bodies as strings (§9.2). The chunk is written before the next is pended.
    void pend_body(bson::Document const& node) {
        auto const* value = node.find("body");
        if (!value) return;
        if (auto const* binary = value->as<bson::Binary>()) {
            emitter_.pend(binary->bytes);
        } else if (auto const* text = value->as<std::string>()) {
            legacy_ = from_binary_string(*text);
            emitter_.pend(legacy_);
        }
    }

    Emitter<Append> emitter_;
    std::string legacy_;
};

}  // namespace

bson::Document MimeTree::document() const {
    bson::Document out = node_document(*root);
    bson::Document map;
    for (auto const& body : bodies) map.set(body.id, bson::Binary{body.digest});
    out.set("attachmentMap", std::move(map));
    return out;
}

Result<std::vector<Segment>> rebuild(bson::Document const& mime_tree) {
    Rebuilder rebuilder;
    MALLARD_TRY(rebuilder.walk(mime_tree, 0));
    return std::move(rebuilder.segments);
}

bson::Document encode_pieces(MimeTree const& tree, bool with_literals) {
    bson::Array pieces;
    for (auto const& piece : tree.pieces) {
        bson::Document entry{{"n", bson::number(static_cast<std::int64_t>(piece.bytes))}};
        if (!piece.attachment.empty()) entry.set("a", piece.attachment);
        if (piece.bare_lf) entry.set("lf", true);
        pieces.emplace_back(std::move(entry));
    }
    bson::Document out{{"pieces", std::move(pieces)}};
    if (with_literals) out.set("text", bson::Binary{tree.literals});
    return out;
}

Result<std::vector<Segment>> decode_pieces(bson::Document const& source, std::string_view literals) {
    std::vector<Segment> segments;
    auto const* pieces = source.array("pieces");
    if (!pieces) return fail(ErrorKind::corrupt, "a stored message lacks its pieces");
    for (auto const& piece : *pieces) {
        auto const* entry = piece.as<bson::Document>();
        if (!entry) return fail(ErrorKind::corrupt, "a stored message has a damaged piece");
        Segment segment{.text = {},
                        .attachment = std::string(entry->text("a")),
                        .bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry->integer("n"))),
                        .bare_lf = entry->boolean("lf")};
        if (segment.attachment.empty()) {
            if (segment.bytes > literals.size())
                return fail(ErrorKind::corrupt, "a stored message has less text than its pieces need");
            segment.text = literals.substr(0, segment.bytes);
            literals.remove_prefix(segment.bytes);
        }
        segments.push_back(std::move(segment));
    }
    return segments;
}

}  // namespace mallard::store::cluster
