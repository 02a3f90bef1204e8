#include "mailboxes/search_text.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "mime/message.hpp"

namespace mallard::mailboxes {

namespace {

constexpr std::uint64_t window_bytes = 256 * 1024;
constexpr std::uint64_t header_bytes_max = 1024 * 1024;

bool contains(std::string_view haystack, std::string_view needle) { return haystack.find(needle) != haystack.npos; }

bool is_base64_char(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
           c == '=';
}

// Decodes a part window by window, and keeps back what cannot be decoded without what follows.
class PartDecoder {
public:
    explicit PartDecoder(mime::Part const& part) : part_(part) {
        wide_ = part.charset.starts_with("utf-16") || part.charset.starts_with("utf-32");
    }

    // Folded text of the window, after what was kept back.
    std::string next(std::string_view window, bool last) {
        encoded_ += window;
        if (part_.encoding == "base64") std::erase_if(encoded_, [](char c) { return !is_base64_char(c); });
        std::size_t const ready = last ? encoded_.size() : whole_units();
        decoded_ += mime::decode_transfer(std::string_view(encoded_).substr(0, ready), part_.encoding);
        encoded_.erase(0, ready);
        // A line end is no part of a multi-byte character, except where characters are wide.
        std::size_t cut = decoded_.size();
        if (!last && !wide_) {
            if (auto line = decoded_.rfind('\n'); line != std::string::npos) cut = line + 1;
        } else if (!last) {
            cut -= cut % 4;
        }
        std::string text = mime::fold_case(mime::to_utf8(std::string_view(decoded_).substr(0, cut), part_.charset));
        decoded_.erase(0, cut);
        return text;
    }

private:
    std::size_t whole_units() const {
        if (part_.encoding == "base64") return encoded_.size() / 16 * 16;
        if (part_.encoding == "quoted-printable")
            if (auto line = encoded_.rfind('\n'); line != std::string::npos) return line + 1;
        return encoded_.size();
    }

    mime::Part const& part_;
    bool wide_ = false;
    std::string encoded_, decoded_;
};

}  // namespace

Result<void> WholeReader::read(std::uint64_t offset, std::uint64_t length, std::string& out) {
    if (offset < bytes_.size()) out += bytes_.substr(offset, length);
    return {};
}

std::string MessageText::read(std::uint64_t offset, std::uint64_t length) {
    std::string bytes;
    if (!outcome_) return bytes;
    if (cancelled_ && cancelled_()) {
        outcome_ = fail(ErrorKind::closed, "The search was cancelled");
        return bytes;
    }
    outcome_ = reader_.read(offset, length, bytes);
    return bytes;
}

std::string const& MessageText::header() {
    if (!has_header_)
        header_ = read(tree_.header_begin, std::min(tree_.body_begin - tree_.header_begin, header_bytes_max));
    has_header_ = true;
    return header_;
}

bool MessageText::header_contains(std::string_view field, std::string_view needle) {
    mime::Entity const parsed = mime::parse(header());
    return std::ranges::any_of(parsed.fields, [&](mime::Field const& candidate) {
        return iequals(candidate.name, field) &&
               contains(mime::fold_case(mime::decode_words(mime::unfold(candidate.value))), needle);
    });
}

bool MessageText::any_header_contains(std::string_view needle) {
    if (contains(mime::fold_case(mime::to_valid_utf8(header())), needle)) return true;
    mime::Entity const parsed = mime::parse(header());
    return std::ranges::any_of(parsed.fields, [&](mime::Field const& candidate) {
        return contains(mime::fold_case(mime::decode_words(mime::unfold(candidate.value))), needle);
    });
}

bool MessageText::body_contains(std::string_view needle) { return part_contains(tree_, needle); }

bool MessageText::part_contains(mime::Part const& part, std::string_view needle) {
    if (!outcome_) return false;
    for (auto const& child : part.children) {
        if (part.is_message) {  // its header is part of the outer body
            std::uint64_t const length = std::min(child.body_begin - child.header_begin, header_bytes_max);
            if (contains(mime::fold_case(mime::decode_words(mime::unfold(read(child.header_begin, length)))), needle))
                return true;
        }
        if (part_contains(child, needle)) return true;
    }
    return part.children.empty() && part.is_text && leaf_contains(part, needle);
}

bool MessageText::leaf_contains(mime::Part const& part, std::string_view needle) {
    PartDecoder decoder(part);
    std::string text;  // the folded window, after the end of the one before: a match may lie across
    for (std::uint64_t at = part.body_begin; at < part.end && outcome_;) {
        std::uint64_t const length = std::min(window_bytes, part.end - at);
        std::string const window = read(at, length);
        at += length;
        text += decoder.next(window, at >= part.end);
        if (contains(text, needle)) return true;
        if (text.size() >= needle.size()) text.erase(0, text.size() - (needle.size() - 1));
    }
    return false;
}

}  // namespace mallard::mailboxes
