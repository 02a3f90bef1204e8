// The bodies a reader shows (storage.md §11.2).
#include <algorithm>

#include "base/encoding.hpp"
#include "mime/html.hpp"
#include "mime/summary.hpp"
#include "mime/text_parts.hpp"

namespace mallard::mime {

namespace {

// At most `size` octets, cut before a character.
void cut(std::string& text, std::size_t size) {
    if (text.size() <= size) return;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    text.resize(size);
}

std::size_t encoded_size(std::size_t decoded) { return decoded * 3 + 16; }  // quoted-printable takes three for one

class Collector {
public:
    Collector(std::string_view source, std::size_t bytes_max) : source_(source), bytes_max_(bytes_max) {}

    bool add(Visit const& leaf) {
        if (!leaf.inline_text) return true;
        std::size_t const text_left = bytes_max_ - out_.text.size();
        std::size_t const html_left = bytes_max_ - html_size_;
        if (text_left == 0 && html_left == 0) return false;
        bool const html = is_html(leaf.part);
        std::string const decoded =
            decode_text(leaf.part, source_, encoded_size(std::max(html ? html_left : 0, text_left)));
        std::string_view const trimmed = trim(decoded);
        // Outside multipart/alternative each part stands in both forms: no other part says the same.
        if (html) {
            add_html(std::string(trimmed));
            if (!leaf.alternative) add_text(html_to_text(trimmed, text_left));
        } else {
            add_text(std::string(trimmed));
            if (!leaf.alternative && !trimmed.empty()) add_html(text_to_html(trimmed));
        }
        return true;
    }

    Texts finish() {
        if (out_.text.empty() && !out_.html.empty()) out_.text = html_to_text(out_.html.front(), bytes_max_);
        cut(out_.text, bytes_max_);
        return std::move(out_);
    }

private:
    void add_text(std::string text) {
        if (text.empty()) return;
        if (!out_.text.empty()) out_.text.push_back('\n');
        out_.text += text;
        cut(out_.text, bytes_max_);
    }

    void add_html(std::string html) {
        if (html.empty() || html_size_ >= bytes_max_) return;
        cut(html, bytes_max_ - html_size_);
        html_size_ += html.size();
        out_.html.push_back(std::move(html));
    }

    std::string_view source_;
    std::size_t bytes_max_;
    std::size_t html_size_ = 0;
    Texts out_;
};

}  // namespace

Texts texts(Entity const& message, std::string_view source, std::size_t bytes_max) {
    Collector collector(source, bytes_max);
    visit_leaves(message, [&](Visit const& leaf) { return collector.add(leaf); });
    return collector.finish();
}

}  // namespace mallard::mime
