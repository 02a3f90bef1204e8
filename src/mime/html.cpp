#include "mime/html.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mime/html_entities.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t entity_max = 32;

constexpr std::array<std::string_view, 8> hidden{"script",   "style",    "head", "title",
                                                 "template", "noscript", "svg",  "select"};
constexpr std::array<std::string_view, 27> blocks{
    "address", "article", "aside", "blockquote", "br", "dd", "div",  "dl", "dt",  "footer",  "form",  "h1", "h2", "h3",
    "h4",      "h5",      "h6",    "header",     "hr", "li", "main", "ol", "pre", "section", "table", "tr", "ul"};

class Converter {
public:
    Converter(std::string_view html, std::size_t bytes_max) : html_(html), bytes_max_(bytes_max) {}

    std::string run() {
        while (at_ < html_.size() && out_.size() < bytes_max_) {
            char const c = html_[at_];
            if (c == '<' && read_markup()) continue;
            if (c == '&' && read_entity()) continue;
            read_text();
        }
        while (!out_.empty() && (out_.back() == '\n' || out_.back() == ' ')) out_.pop_back();
        return std::move(out_);
    }

private:
    void read_text() {
        std::size_t const end = std::min(html_.find_first_of("<& \t\r\n\f", at_ + 1), html_.size());
        char const c = html_[at_];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') {
            blank_ = true;
            ++at_;
            return;
        }
        put(html_.substr(at_, end - at_));
        at_ = end;
    }

    void put(std::string_view text) {
        if (out_.empty()) lines_ = 0;
        out_.append(lines_, '\n');
        if (blank_ && lines_ == 0 && !out_.empty()) out_.push_back(' ');
        lines_ = 0;
        blank_ = false;
        out_ += text;
    }

    bool read_entity() {
        std::size_t const semicolon = html_.substr(at_, entity_max).find(';');
        if (semicolon == std::string_view::npos) return false;
        std::string_view const name = html_.substr(at_ + 1, semicolon - 1);
        char32_t const code = name.starts_with('#') ? numeric(name.substr(1)) : html_entity(name);
        if (code == 0) return false;
        std::string character;
        append_utf8(character, code);
        put(character);
        at_ += semicolon + 1;
        return true;
    }

    static char32_t numeric(std::string_view digits) {
        bool const hex = digits.starts_with('x') || digits.starts_with('X');
        if (hex) digits.remove_prefix(1);
        if (digits.empty() || digits.size() > 8) return 0;
        char32_t code = 0;
        for (char c : digits) {
            char const lower = ascii_lower(c);
            if (c >= '0' && c <= '9')
                code = code * (hex ? 16 : 10) + static_cast<char32_t>(c - '0');
            else if (hex && lower >= 'a' && lower <= 'f')
                code = code * 16 + static_cast<char32_t>(lower - 'a' + 10);
            else
                return 0;
        }
        return code == 0 ? 0xFFFD : code;
    }

    // A tag, a comment or a declaration; false: the '<' is text.
    bool read_markup() {
        char const next = at_ + 1 < html_.size() ? html_[at_ + 1] : ' ';
        bool const letter = ascii_lower(next) >= 'a' && ascii_lower(next) <= 'z';
        if (!letter && next != '/' && next != '!' && next != '?') return false;
        if (html_.substr(at_).starts_with("<!--")) {
            skip_behind("-->", at_ + 4);
            return true;
        }
        std::size_t const name_begin = at_ + (next == '/' ? 2 : 1);
        std::size_t const end = html_.find('>', at_);
        if (end == std::string_view::npos) {  // cut off inside a tag
            at_ = html_.size();
            return true;
        }
        std::string_view name = html_.substr(name_begin, end - name_begin);
        name = name.substr(0, name.find_first_of(" \t\r\n/"));
        at_ = end + 1;
        if (name.size() <= 10) handle_tag(to_lower(name), next == '/', html_[end - 1] == '/');
        return true;
    }

    void handle_tag(std::string const& name, bool closing, bool empty) {
        if (!closing && !empty && std::ranges::find(hidden, name) != hidden.end()) {
            skip_element(name);
        } else if (name == "p") {
            lines_ = std::max<std::size_t>(lines_, 2);
        } else if (name == "br") {
            lines_ = std::min<std::size_t>(lines_ + 1, 2);
        } else if (name == "td" || name == "th") {
            blank_ = true;
        } else if (std::ranges::find(blocks, name) != blocks.end()) {
            lines_ = std::max<std::size_t>(lines_, 1);
        }
    }

    // To behind "</name": passes over the content once; without an end everything else is hidden.
    void skip_element(std::string const& name) {
        while (at_ < html_.size()) {
            std::size_t const open = html_.find("</", at_);
            if (open == std::string_view::npos) break;
            if (iequals(html_.substr(open + 2, name.size()), name)) return skip_behind(">", open);
            at_ = open + 2;
        }
        at_ = html_.size();
    }

    void skip_behind(std::string_view mark, std::size_t from) {
        std::size_t const found = html_.find(mark, std::min(from, html_.size()));
        at_ = found == std::string_view::npos ? html_.size() : found + mark.size();
    }

    std::string_view html_;
    std::size_t bytes_max_;
    std::size_t at_ = 0;
    std::string out_;
    std::size_t lines_ = 0;  // line ends to write before the next text
    bool blank_ = false;     // a blank to write before the next text
};

}  // namespace

void append_utf8(std::string& out, char32_t code) {
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
    if (code < 0x80) {
        out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
        out += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    } else if (code < 0x10000) {
        out += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
                static_cast<char>(0x80 | (code & 0x3F))};
    } else {
        out += {static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
                static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))};
    }
}

std::string html_to_text(std::string_view html, std::size_t bytes_max) { return Converter(html, bytes_max).run(); }

std::string text_to_html(std::string_view text) {
    std::string out = "<p>";
    out.reserve(text.size() + text.size() / 8 + 16);
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (text[i]) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\n': {
                std::size_t end = i;
                while (end < text.size() && text[end] == '\n') ++end;
                out += end - i > 1 ? "</p><p>" : "<br/>";
                i = end - 1;
                break;
            }
            default: out.push_back(text[i]);
        }
    }
    return out += "</p>";
}

}  // namespace mallard::mime
