#include "support/mime_tree.hpp"

#include <algorithm>

namespace mallard::test {

namespace {

class Finder {
public:
    Finder(std::string_view source, mime::Limits const& limits) : source_(source), limits_(limits) {}

    std::string run(mime::Entity const& root) {
        if (root.header_begin != 0 || root.end != source_.size()) return "the root is not the whole source";
        if (std::string fault = check(root, 0); !fault.empty()) return fault;
        rebuilt_ += source_.substr(copied_);
        if (rebuilt_ != source_) return "leaves and gaps do not give the source";
        return {};
    }

private:
    std::string check(mime::Entity const& part, std::size_t depth) {
        if (++parts_ > limits_.parts_max) return "too many parts";
        if (depth > limits_.depth_max) return "too deep";
        if (part.header_begin > part.body_begin || part.body_begin > part.end || part.end > source_.size())
            return "offsets out of order";
        auto const body = part.content(source_);
        if (part.lines != static_cast<std::uint32_t>(std::count(body.begin(), body.end(), '\n')))
            return "lines miscounted";
        auto const header = part.header(source_);
        for (mime::Field const& field : part.fields) {
            bool const inside = field.name.data() >= header.data() &&
                                field.value.data() + field.value.size() <= header.data() + header.size();
            if (!inside || field.name.empty()) return "a field outside its header";
        }
        return part.children.empty() ? take_leaf(part) : check_children(part, depth);
    }

    std::string check_children(mime::Entity const& part, std::size_t depth) {
        if (part.is_multipart == part.is_message) return "children of no container";
        if (part.is_message && part.children.size() != 1) return "more than one embedded message";
        std::size_t at = part.body_begin;
        for (mime::Entity const& child : part.children) {
            if (child.header_begin < at || child.end > part.end) return "a child outside its parent";
            if (std::string fault = check(child, depth + 1); !fault.empty()) return fault;
            at = child.end;
        }
        if (part.is_message && (part.children[0].header_begin != part.body_begin || part.children[0].end != part.end))
            return "an embedded message is not the whole body";
        return {};
    }

    // Copies the gap before the leaf and the leaf.
    std::string take_leaf(mime::Entity const& part) {
        if (part.is_multipart || part.is_message) return "a container without children";
        if (part.header_begin < copied_) return "leaves overlap";
        rebuilt_ += source_.substr(copied_, part.header_begin - copied_);
        rebuilt_ += part.header(source_);
        rebuilt_ += part.content(source_);
        copied_ = part.end;
        return {};
    }

    std::string_view source_;
    mime::Limits const& limits_;
    std::string rebuilt_;
    std::size_t copied_ = 0;
    std::size_t parts_ = 0;
};

}  // namespace

std::string find_fault(mime::Entity const& root, std::string_view source, mime::Limits const& limits) {
    return Finder(source, limits).run(root);
}

}  // namespace mallard::test
