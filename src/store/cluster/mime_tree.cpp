// Reading a source into a tree (storage.md §9.1 to 9.3).
#include "store/cluster/mime_tree.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "store/cluster/tree_parts.hpp"

namespace mallard::store::cluster {

namespace {

// Reads lines; a line ends with any number of CR and an LF, or with a lone CR.
class Lines {
public:
    explicit Lines(std::string_view source) : source_(source) {}

    // The next line without its end; false: there is none. The last one has an empty end.
    bool next() {
        if (done_) return false;
        begin = at_;
        std::size_t const stop = std::min(source_.find_first_of("\r\n", at_), source_.size());
        line = source_.substr(at_, stop - at_);
        std::size_t end = stop;
        if (stop == source_.size()) {
            done_ = true;
        } else {
            // CRs up to an LF belong together; without an LF only the first ends the line.
            if (stop >= run_end_) run_end_ = std::min(source_.find_first_not_of('\r', stop), source_.size());
            std::size_t const after = run_end_;
            end = after < source_.size() && source_[after] == '\n' ? after + 1 : stop + 1;
        }
        line_end = source_.substr(stop, end - stop);
        at_ = end;
        return true;
    }

    std::string_view line, line_end;
    std::size_t begin = 0;

private:
    std::string_view source_;
    std::size_t at_ = 0;
    std::size_t run_end_ = 0;  // of the CRs that were met last
    bool done_ = false;
};

class Parser {
public:
    // What parsers of one message share.
    struct Shared {
        TreeLimits const& limits;
        std::deque<std::string>& owned;
        std::size_t nodes = 0, preambles = 0;
    };

    Parser(std::string_view source, Shared& shared, std::size_t depth)
        : source_(source), lines_(source), limits_(shared.limits), shared_(shared), depth_(depth) {}

    std::unique_ptr<TreeNode> parse() {
        auto root = std::make_unique<TreeNode>();
        open_.push_back({.node = root.get()});
        while (lines_.next()) {
            take_line();
            end_before_ = lines_.line_end;
        }
        while (!open_.empty()) close(false);
        return root;
    }

private:
    struct Open {
        TreeNode* node = nullptr;
        bool in_header = true;
        bool has_line = false;  // of the body
        bool too_long = false;  // the preamble
        bool done = false;      // parsed: its header was read
        std::uint64_t lines = 0;
        std::size_t body_begin = 0;
        std::string delimiter;  // "--boundary" of this multipart; empty: none
        std::string preamble;   // a multipart's own text, raw
    };

    void take_line() {
        Open& open = open_.back();
        if (open.in_header) {
            take_header_line(open);
            return;
        }
        if (open_.size() > 1) {  // only the delimiter of the multipart directly around counts (§9.1)
            std::string const& outer = open_[open_.size() - 2].delimiter;
            if (!outer.empty() && lines_.line.starts_with(outer)) {
                std::string_view const rest = lines_.line.substr(outer.size());
                if (rest.empty() && shared_.nodes < limits_.nodes_max) {
                    close(true);
                    open_child();
                    return;
                }
                if (rest == "--") {
                    close(true);
                    return;
                }
            }
        }
        if (!open.delimiter.empty() && lines_.line == open.delimiter && shared_.nodes < limits_.nodes_max) {
            open_child();
            return;
        }
        take_body_line(open);
    }

    void take_header_line(Open& open) {
        TreeNode& node = *open.node;
        if (lines_.line.empty()) {
            end_header(open);
            open.body_begin = lines_.begin + lines_.line_end.size();
            return;
        }
        bool const folded = lines_.line.front() == ' ' || lines_.line.front() == '\t';
        if (folded && !node.header.empty())
            node.header.back().append("\r\n").append(lines_.line);
        else
            node.header.emplace_back(lines_.line);
    }

    void end_header(Open& open) {
        open.in_header = false;
        open.done = true;
        TreeNode& node = *open.node;
        node.parsed = parse_tree_header(node.header);
        auto const* type = node.parsed.document("content-type");
        auto const* params = type->document("params");
        std::string_view const boundary = params ? params->text("boundary") : std::string_view();
        if (type->text("type") != "multipart" || boundary.empty()) return;
        if (depth_ + open_.size() > limits_.depth_max) return;
        node.is_multipart = true;
        node.subtype = type->text("subtype");
        node.boundary = boundary;
        bool const ascii = std::ranges::all_of(boundary, [](char c) { return c > 0; });
        if (ascii) open.delimiter = "--" + node.boundary;  // others are never met (§9.1)
    }

    void take_body_line(Open& open) {
        TreeNode& node = *open.node;
        ++open.lines;
        if (node.is_multipart && !open.too_long) {
            if (open.has_line) open.preamble += end_before_;
            open.preamble += lines_.line;
            open.too_long = shared_.preambles + open.preamble.size() > limits_.preamble_bytes_max;
        } else if (!open.has_line) {
            node.begin = lines_.begin;
        }
        open.has_line = true;
        node.end = lines_.begin + lines_.line.size();
    }

    void open_child() {
        auto child = std::make_unique<TreeNode>();
        TreeNode* const node = child.get();
        open_.back().node->children.push_back(std::move(child));
        open_.push_back({.node = node});
        ++shared_.nodes;
    }

    // by_delimiter: its multipart goes on; else the source ended.
    void close(bool by_delimiter) {
        Open& open = open_.back();
        TreeNode& node = *open.node;
        if (!open.done) end_header(open);
        node.lines = open.lines > 0 ? open.lines - 1 : 0;
        if (open.too_long) make_opaque(open, by_delimiter);
        if (node.is_multipart) {
            BodyText::append_with_crlf(node.body, open.preamble);
            if (!node.body.empty() && node.body.back() != '\n') node.body += "\r\n";
            node.size = node.body.size();
            shared_.preambles += node.body.size();
        } else if (open.has_line) {
            node.text = BodyText::of(source_.substr(node.begin, node.end - node.begin));
            node.size = node.text.size;
            node.has_range = true;
        }
        bool const root = open_.size() == 1;
        open_.pop_back();
        if (carries_message(node, root, by_delimiter)) {
            std::string_view text = node.text.raw;
            if (node.text.bare) text = shared_.owned.emplace_back(node.text.whole());
            Parser inner(text, shared_, depth_ + open_.size() + 1);
            node.message = inner.parse();
        }
    }

    // A multipart with so much text outside of its parts that no document could hold it becomes a leaf.
    void make_opaque(Open& open, bool by_delimiter) {
        TreeNode& node = *open.node;
        node.children.clear();
        node.is_multipart = false;
        node.subtype.clear();
        node.boundary.clear();
        node.begin = open.body_begin;
        node.end = by_delimiter ? lines_.begin - end_before_.size() : source_.size();
        Lines lines(source_.substr(node.begin, node.end - node.begin));
        node.lines = 0;
        while (lines.next())
            if (!lines.line_end.empty()) ++node.lines;
    }

    bool carries_message(TreeNode const& node, bool root, bool by_delimiter) const {  // §9.3
        if (node.parsed.document("content-type")->text("value") != "message/rfc822") return false;
        if (depth_ + open_.size() >= limits_.depth_max || node.size > limits_.message_bytes_max) return false;
        std::string_view const encoding = node.parsed.text("content-transfer-encoding");
        return root ||
               (by_delimiter && (encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary"));
    }

    std::string_view source_;
    Lines lines_;
    TreeLimits const& limits_;
    Shared& shared_;
    std::size_t depth_;
    std::vector<Open> open_;
    std::string_view end_before_;
};

}  // namespace

void BodyText::append_with_crlf(std::string& out, std::string_view text, bool after_cr) {
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const lf = text.find('\n', at);
        if (lf == std::string_view::npos) {
            out.append(text, at);
            return;
        }
        out.append(text, at, lf - at);
        bool const has_cr = lf > 0 ? text[lf - 1] == '\r' : after_cr;
        if (!has_cr) out.push_back('\r');
        out.push_back('\n');
        at = lf + 1;
    }
}

BodyText BodyText::of(std::string_view raw) {
    std::uint64_t missing = 0;
    for (std::size_t lf = raw.find('\n'); lf != std::string_view::npos; lf = raw.find('\n', lf + 1))
        missing += lf == 0 || raw[lf - 1] != '\r';
    return {.raw = raw, .bare = missing > 0, .size = raw.size() + missing};
}

std::string BodyText::whole() const {
    std::string out;
    out.reserve(size);
    append_with_crlf(out, raw);
    return out;
}

MimeTree make_tree(std::string_view source, TreeLimits const& limits) {
    MimeTree tree;
    Parser::Shared shared{.limits = limits, .owned = tree.owned};
    tree.root = Parser(source, shared, 0).parse();
    move_bodies_out(tree, limits);
    tree.size = tree_size(*tree.root);
    find_pieces(tree, source);
    return tree;
}

std::string to_binary_string(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (char c : bytes) {
        auto const code = static_cast<unsigned char>(c);
        if (code < 0x80) {
            out.push_back(c);
        } else {
            out.push_back(static_cast<char>(0xC0 | code >> 6));
            out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
        }
    }
    return out;
}

std::string from_binary_string(std::string_view utf8) {
    std::string out;
    out.reserve(utf8.size());
    for (std::size_t at = 0; at < utf8.size(); ++at) {
        auto const lead = static_cast<unsigned char>(utf8[at]);
        if (lead < 0x80) {
            out.push_back(utf8[at]);
        } else if ((lead == 0xC2 || lead == 0xC3) && at + 1 < utf8.size()) {
            out.push_back(static_cast<char>((lead & 3) << 6 | (utf8[at + 1] & 0x3F)));
            ++at;
        } else {
            out.push_back('?');
            while (at + 1 < utf8.size() && (utf8[at + 1] & 0xC0) == 0x80) ++at;
        }
    }
    return out;
}

}  // namespace mallard::store::cluster
