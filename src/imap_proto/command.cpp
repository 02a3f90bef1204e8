#include "imap_proto/command.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/encoding.hpp"

namespace mallard::imap_proto {

namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// What ends an atom here. `\`, `%` and `*` may stand in one: flags, list patterns and sequence sets are atoms to us.
bool ends_atom(char c) { return c == ' ' || c == '(' || c == ')' || c == '{' || c == '"' || is_control(c); }

bool takes_section(std::string_view word) {
    for (std::string_view known : {"BODY", "BODY.PEEK", "BINARY", "BINARY.PEEK", "BINARY.SIZE"})
        if (iequals(word, known)) return true;
    return false;
}

class Scanner {
public:
    Scanner(RawCommand& raw, std::size_t from, Limits const& limits)
        : raw_(raw), text_(raw.text), at_(from), limits_(limits) {}

    Result<std::vector<Argument>> run() {
        std::vector<Argument> out;
        if (at_ == text_.size()) return out;
        if (text_[at_] != ' ') return unexpected();
        ++at_;
        MALLARD_TRY(items(out, '\0', 0));
        return out;
    }

private:
    std::unexpected<Error> unexpected() const {
        if (at_ >= text_.size())
            return fail(ErrorKind::invalid, fmt::format("Unexpected end of input at position {}", at_));
        return fail(ErrorKind::invalid, fmt::format("Unexpected char at position {}", at_));
    }

    bool at_close(char close) const {
        return close == '\0' ? at_ == text_.size() : at_ < text_.size() && text_[at_] == close;
    }

    // Items with one blank between them, up to `close` (consumed) or the end of the text.
    Result<void> items(std::vector<Argument>& out, char close, std::size_t depth) {
        if (depth > limits_.depth_max) return fail(ErrorKind::invalid, "Too much nesting in IMAP string");
        bool first = true;
        while (!at_close(close)) {
            if (!first) {
                if (at_ >= text_.size() || text_[at_] != ' ') return unexpected();
                ++at_;
                if (close == '\0' && at_ == text_.size()) break;  // a blank at the end of the command
            }
            first = false;
            if (++count_ > limits_.arguments_max) return fail(ErrorKind::invalid, "Too many arguments provided");
            MALLARD_TRY_ASSIGN(Argument argument, item(close == ']', depth));
            out.push_back(std::move(argument));
        }
        if (close != '\0') ++at_;
        return {};
    }

    Result<Argument> item(bool in_section, std::size_t depth) {
        if (at_ >= text_.size()) return unexpected();
        char const c = text_[at_];
        if (c == '(') {
            Argument list;
            list.kind = Argument::Kind::list;
            ++at_;
            MALLARD_TRY(items(list.items, ')', depth + 1));
            return list;
        }
        if (c == '"') return quoted();
        if (c == '{' || (c == '~' && at_ + 1 < text_.size() && text_[at_ + 1] == '{')) return literal();
        return atom(in_section, depth);
    }

    Result<Argument> quoted() {
        Argument out;
        out.kind = Argument::Kind::quoted;
        for (++at_; at_ < text_.size(); ++at_) {
            char c = text_[at_];
            if (c == '"') {
                ++at_;
                return out;
            }
            if (c == '\\') {
                if (++at_ >= text_.size()) break;
                c = text_[at_];
            }
            if (c == '\0' || c == '\r' || c == '\n') return unexpected();  // RFC 9051 §9 QUOTED-CHAR
            out.text += c;
        }
        return unexpected();
    }

    Result<Argument> literal() {
        std::size_t const end = text_.find('\n', at_);
        if (end == std::string_view::npos) return unexpected();
        auto const marker = literal_marker(text_.substr(at_, end - at_));
        std::string_view const whole = text_.substr(at_, end - at_);
        // The marker must be the whole rest of its line, or it is a brace in the wrong place.
        if (!marker || !marker->valid || whole.find('{') != whole.rfind('{') || next_literal_ >= raw_.literals.size())
            return unexpected();
        Literal& source = raw_.literals[next_literal_++];
        Argument out;
        out.kind = Argument::Kind::literal;
        out.text = std::move(source.text);
        out.spool = std::move(source.spool);
        out.binary = source.binary;
        // RFC 9051 §9: a literal holds CHAR8, which NUL is not; only literal8 may.
        if (!out.binary && out.bytes().find('\0') != std::string_view::npos)
            return fail(ErrorKind::invalid, "NUL octets are not allowed in a literal");
        at_ = end + 1;
        return out;
    }

    Result<Argument> atom(bool in_section, std::size_t depth) {
        Argument out;
        std::size_t const begin = at_;
        while (at_ < text_.size() && !ends_atom(text_[at_])) {
            if (in_section && text_[at_] == ']') break;
            if (!in_section && text_[at_] == '[' && takes_section(text_.substr(begin, at_ - begin))) {
                out.text = text_.substr(begin, at_ - begin);
                return section(std::move(out), depth);
            }
            ++at_;
        }
        if (at_ == begin) return unexpected();
        out.text = text_.substr(begin, at_ - begin);
        return out;
    }

    Result<Argument> section(Argument out, std::size_t depth) {
        out.has_section = true;
        ++at_;
        MALLARD_TRY(items(out.items, ']', depth + 1));
        if (at_ < text_.size() && text_[at_] == '<') {
            std::size_t const end = text_.find('>', at_);
            if (end == std::string_view::npos) {
                at_ = text_.size();
                return unexpected();
            }
            out.has_partial = true;
            out.partial = text_.substr(at_ + 1, end - at_ - 1);
            at_ = end + 1;
        }
        return out;
    }

    RawCommand& raw_;
    std::string_view text_;
    std::size_t at_;
    Limits const& limits_;
    std::size_t count_ = 0;
    std::size_t next_literal_ = 0;
};

void print_quoted(std::string_view text, std::string& out) {
    out += '"';
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

void print_items(std::vector<Argument> const& items, RawCommand& out);

void print_argument(Argument const& argument, RawCommand& out) {
    switch (argument.kind) {
        case Argument::Kind::atom:
            out.text += argument.text;
            if (argument.has_section) {
                out.text += '[';
                print_items(argument.items, out);
                out.text += ']';
                if (argument.has_partial) out.text += fmt::format("<{}>", argument.partial);
            }
            break;
        case Argument::Kind::quoted: print_quoted(argument.text, out.text); break;
        case Argument::Kind::literal:
            out.text += fmt::format("{}{{{}}}\n", argument.binary ? "~" : "", argument.bytes().size());
            out.literals.push_back({argument.text, argument.spool, argument.binary});
            break;
        case Argument::Kind::list:
            out.text += '(';
            print_items(argument.items, out);
            out.text += ')';
            break;
    }
}

void print_items(std::vector<Argument> const& items, RawCommand& out) {
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out.text += ' ';
        print_argument(items[i], out);
    }
}

}  // namespace

bool is_atom_char(char c) {
    return static_cast<unsigned char>(c) < 0x80 && !ends_atom(c) && c != '%' && c != '*' && c != '\\' && c != ']';
}

std::string printable(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x80 && !is_control(c) ? c : '?';
    return out;
}

bool Argument::is_nil() const { return is_word("NIL"); }

bool Argument::is_word(std::string_view word) const { return is_atom() && iequals(text, word); }

std::optional<std::string_view> Argument::string_value() const {
    if (kind == Kind::list || has_section || is_nil()) return std::nullopt;
    return bytes();
}

std::optional<LiteralMarker> literal_marker(std::string_view line) {
    if (line.empty() || line.back() != '}') return std::nullopt;
    std::size_t const open = line.rfind('{');
    if (open == std::string_view::npos) return std::nullopt;
    std::string_view inner = line.substr(open + 1, line.size() - open - 2);
    LiteralMarker out;
    out.binary = open > 0 && line[open - 1] == '~';
    if (inner.ends_with('+')) {
        out.synchronizing = false;
        inner.remove_suffix(1);
    }
    bool const negative = inner.starts_with('-');
    if (negative) inner.remove_prefix(1);
    if (inner.empty() || inner.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    auto const [end, error] = std::from_chars(inner.data(), inner.data() + inner.size(), out.size);
    out.valid = !negative && error == std::errc{} && out.size <= 0x7fff'ffff'ffff'ffffULL;
    return out;
}

std::optional<Head> parse_head(std::string_view text) {
    std::size_t const blank = text.find(' ');
    if (blank == 0 || blank == std::string_view::npos) return std::nullopt;
    Head head;
    head.tag = text.substr(0, blank);
    // RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">
    for (char c : head.tag)
        if (c == '+' || (c != ']' && !is_atom_char(c))) return std::nullopt;
    if (head.tag.size() > 256) return std::nullopt;

    auto word_end = [&](std::size_t from) {
        while (from < text.size() && text[from] != ' ' && text[from] != '\n') ++from;
        return from;
    };
    std::size_t end = word_end(blank + 1);
    if (end == blank + 1) return std::nullopt;
    head.name = to_upper(text.substr(blank + 1, end - blank - 1));
    if ((head.name == "UID" || head.name == "AUTHENTICATE") && end < text.size() && text[end] == ' ') {
        std::size_t const second = word_end(end + 1);
        if (second > end + 1) {
            head.name += ' ' + to_upper(text.substr(end + 1, second - end - 1));
            end = second;
        }
    }
    head.rest = end;
    return head;
}

Result<std::vector<Argument>> parse_arguments(RawCommand& raw, std::size_t from, Limits const& limits) {
    return Scanner(raw, from, limits).run();
}

RawCommand print_command(Command const& command) {
    RawCommand out;
    out.text = command.tag + ' ' + command.name;
    if (!command.arguments.empty()) {
        out.text += ' ';
        print_items(command.arguments, out);
    }
    return out;
}

}  // namespace mallard::imap_proto
