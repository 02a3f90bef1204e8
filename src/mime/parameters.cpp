#include "mime/parameters.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

// One "name*index*=value" as it stands in the field.
struct Piece {
    std::string name;       // lower case, without the asterisks
    int index = -1;         // RFC 2231 §3; -1: none
    bool extended = false;  // RFC 2231 §4: percent-encoded
    std::string value;
    std::size_t order = 0;
};

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            out.push_back(static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

// The position after the comment that opens at `at` (RFC 5322 §3.2.2); npos when it never closes.
std::size_t skip_comment(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    for (; at < text.size(); ++at) {
        if (text[at] == '\\') {
            ++at;
        } else if (text[at] == '(') {
            ++depth;
        } else if (text[at] == ')' && --depth == 0) {
            return at + 1;
        }
    }
    return std::string_view::npos;
}

// An unquoted value: up to the ';'. Blanks inside are kept, since unquoted file names with blanks are common.
std::string_view unquoted_value(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i)
        if (text[i] == '(' && (text[i - 1] == ' ' || text[i - 1] == '\t')) return trim(text.substr(0, i));
    return trim(text);
}

// A quoted-string whose opening quote is at `at` (RFC 5322 §3.2.4); moves `at` behind it. Unclosed: to the end.
std::string quoted_value(std::string_view text, std::size_t& at) {
    std::string out;
    for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        out.push_back(text[at]);
    }
    return out;
}

// "filename*1*" -> name, index, extended.
Piece parse_name(std::string_view raw) {
    Piece piece;
    if (raw.ends_with('*')) {
        piece.extended = true;
        raw.remove_suffix(1);
    }
    if (auto const star = raw.rfind('*'); star != std::string_view::npos) {
        std::string_view const digits = raw.substr(star + 1);
        int index = -1;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
        if (error == std::errc{} && end == digits.data() + digits.size() && index >= 0) {
            piece.index = index;
            raw = raw.substr(0, star);
        }
    }
    piece.name = to_lower(raw);
    return piece;
}

bool is_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
}

std::vector<Piece> split_pieces(std::string_view text) {
    std::vector<Piece> pieces;
    std::size_t at = 0;
    while (at < text.size() && pieces.size() < parameters_max) {
        char const c = text[at];
        if (c == ';' || c == ' ' || c == '\t') {
            ++at;
            continue;
        }
        if (c == '(') {
            at = skip_comment(text, at);
            if (at == std::string_view::npos) break;
            continue;
        }
        std::size_t const stop = text.find_first_of("=;", at);
        if (stop == std::string_view::npos) break;
        if (text[stop] == ';') {  // a name without a value says nothing
            at = stop + 1;
            continue;
        }
        Piece piece = parse_name(trim(text.substr(at, stop - at)));
        at = text.find_first_not_of(" \t", stop + 1);
        if (at == std::string_view::npos) break;
        if (text[at] == '"') piece.value = quoted_value(text, at);
        std::size_t const end = std::min(text.find(';', at), text.size());
        if (piece.value.empty() && at < end && text[at] != '"') piece.value = unquoted_value(text.substr(at, end - at));
        at = end;
        piece.order = pieces.size();
        if (is_name(piece.name)) pieces.push_back(std::move(piece));
    }
    return pieces;
}

// RFC 2231 §4: charset'language'text in the first piece; later pieces are only percent-encoded.
std::string decode_extended(Piece const* first, Piece const* last) {
    std::string charset, bytes;
    for (Piece const* piece = first; piece != last; ++piece) {
        std::string_view value = piece->value;
        if (piece == first && piece->extended) {
            auto const quote = value.find('\'');
            auto const second = quote == std::string_view::npos ? quote : value.find('\'', quote + 1);
            if (second != std::string_view::npos) {
                charset = value.substr(0, quote);
                value.remove_prefix(second + 1);
            }
        }
        bytes += piece->extended ? percent_decode(value) : std::string(value);
    }
    return to_utf8(bytes, charset);
}

// The value of the pieces [first, last) of one name, sorted by index then order.
std::string join_pieces(Piece const* first, Piece const* last) {
    Piece const* const numbered = std::find_if(first, last, [](Piece const& p) { return p.index >= 0; });
    // RFC 2231 forms win over a plain value beside them, which is there for old readers.
    for (Piece const* piece = first; piece != numbered; ++piece)
        if (piece->extended) return decode_extended(piece, piece + 1);
    if (numbered != last) {
        if (std::any_of(numbered, last, [](Piece const& p) { return p.extended; }))
            return decode_extended(numbered, last);
        std::string joined;
        for (Piece const* piece = numbered; piece != last; ++piece) joined += piece->value;
        return decode_words(joined);
    }
    return decode_words((last - 1)->value);  // RFC 2047 §5 forbids encoded words here; senders use them all the same
}

}  // namespace

Parameterised parse_parameterised(std::string_view unfolded) {
    Parameterised out;
    std::size_t const semicolon = unfolded.find(';');
    out.value = unquoted_value(unfolded.substr(0, semicolon));
    if (semicolon == std::string_view::npos) return out;

    std::vector<Piece> pieces = split_pieces(unfolded.substr(semicolon + 1));
    for (Piece const& piece : pieces)
        if (piece.name == "boundary" && piece.index < 0 && !piece.extended) out.boundary = piece.value;
    std::ranges::sort(pieces, {}, [](Piece const& p) {
        return std::tuple<std::string_view, int, std::size_t>(p.name, p.index, p.order);
    });

    std::vector<std::pair<std::size_t, Parameter>> found;
    for (std::size_t i = 0; i < pieces.size();) {
        std::size_t end = i, order = pieces[i].order;
        for (; end < pieces.size() && pieces[end].name == pieces[i].name; ++end)
            order = std::min(order, pieces[end].order);
        found.emplace_back(order, Parameter{pieces[i].name, join_pieces(pieces.data() + i, pieces.data() + end)});
        i = end;
    }
    std::ranges::sort(found, {}, [](auto const& entry) { return entry.first; });
    for (auto& [order, parameter] : found) {
        if (parameter.name == "boundary" && out.boundary.empty()) out.boundary = parameter.value;
        out.parameters.push_back(std::move(parameter));
    }
    return out;
}

}  // namespace mallard::mime
