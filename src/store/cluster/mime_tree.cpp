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

// Every LF gets its CR.
void append_with_crlf(std::string& out, std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const lf = text.find('\n', at);
        if (lf == std::string_view::npos) {
            out.append(text, at);
            return;
        }
        out.append(text, at, lf - at);
        if (out.empty() || out.back() != '\r') out.push_back('\r');
        out.push_back('\n');
        at = lf + 1;
    }
}

class Parser {
public:
    Parser(std::string_view source, TreeLimits const& limits, std::size_t depth, std::size_t& nodes)
        : source_(source), lines_(source), limits_(limits), depth_(depth), nodes_(nodes) {}

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
        bool done = false;      // parsed: its header was read
        std::uint64_t lines = 0;
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
                if (rest.empty() && nodes_ < limits_.nodes_max) {
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
        if (!open.delimiter.empty() && lines_.line == open.delimiter && nodes_ < limits_.nodes_max) {
            open_child();
            return;
        }
        take_body_line(open);
    }

    void take_header_line(Open& open) {
        TreeNode& node = *open.node;
        if (lines_.line.empty()) {
            end_header(open);
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
        if (node.is_multipart) {
            if (open.has_line) open.preamble += end_before_;
            open.preamble += lines_.line;
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
        ++nodes_;
    }

    // by_delimiter: its multipart goes on; else the source ended.
    void close(bool by_delimiter) {
        Open& open = open_.back();
        TreeNode& node = *open.node;
        if (!open.done) end_header(open);
        node.lines = open.lines > 0 ? open.lines - 1 : 0;
        if (node.is_multipart) {
            append_with_crlf(node.body, open.preamble);
            if (!node.body.empty() && node.body.back() != '\n') node.body += "\r\n";
        } else if (open.has_line) {
            append_with_crlf(node.body, source_.substr(node.begin, node.end - node.begin));
            node.has_range = true;
        }
        node.size = node.body.size();
        bool const root = open_.size() == 1;
        open_.pop_back();
        if (carries_message(node, root, by_delimiter)) {
            Parser inner(node.body, limits_, depth_ + open_.size() + 1, nodes_);
            node.message = inner.parse();
        }
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
    std::size_t depth_;
    std::size_t& nodes_;
    std::vector<Open> open_;
    std::string_view end_before_;
};

}  // namespace

MimeTree make_tree(std::string_view source, TreeLimits const& limits) {
    MimeTree tree;
    std::size_t nodes = 0;
    tree.root = Parser(source, limits, 0, nodes).parse();
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
