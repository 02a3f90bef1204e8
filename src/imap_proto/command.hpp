#pragma once
// One command: its lines and literals -> tag, name, arguments (RFC 9051 §9 `command`).
// Tolerated beyond the ABNF: 8-bit octets in atoms and strings; a backslash in a quoted string escapes any octet; a
// blank at the end of the command.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/spool.hpp"
#include "imap_proto/limits.hpp"

namespace mallard::imap_proto {

// A literal's octets: small ones in `text`, a message in `spool`.
struct Literal {
    std::string text;
    std::shared_ptr<Spool> spool;  // shared: an argument is a value and may be copied
    bool binary = false;           // ~{n}: literal8
};

// A command as it was read: each line's text with one '\n' after the literal marker that ends it.
struct RawCommand {
    std::string text;
    std::vector<Literal> literals;
};

// The marker at the end of a line: {n}, {n+}, ~{n}, ~{n+} (RFC 9051 §4.3, RFC 7888 §3).
struct LiteralMarker {
    std::uint64_t size = 0;
    bool synchronizing = true;
    bool binary = false;
    bool valid = true;  // false: looks like a marker, but its number is negative or too large
};
std::optional<LiteralMarker> literal_marker(std::string_view line);

struct Argument {
    enum class Kind { atom, quoted, literal, list };
    Kind kind = Kind::atom;
    std::string text;              // atom, quoted (unescaped), small literal; for a section the word before '['
    std::shared_ptr<Spool> spool;  // large literal
    bool binary = false;           // literal8
    bool has_section = false;      // BODY[...]: `items` are what stands between the brackets
    bool has_partial = false;      // <...> after it
    std::string partial;
    std::vector<Argument> items;  // list, section

    std::string_view bytes() const { return spool ? spool->view() : std::string_view(text); }
    bool is_atom() const { return kind == Kind::atom && !has_section; }
    bool is_list() const { return kind == Kind::list; }
    bool is_literal() const { return kind == Kind::literal; }
    bool is_nil() const;                                   // the atom NIL
    bool is_word(std::string_view word) const;             // this atom, any case
    std::optional<std::string_view> string_value() const;  // RFC 9051 §9 astring, NIL aside
};

struct Command {
    std::string tag;
    std::string name;  // upper case; two words for UID and AUTHENTICATE: "UID FETCH"
    std::vector<Argument> arguments;
};

// Tag and name of a command's first line; `rest` is where the arguments begin (at their blank, or the end).
struct Head {
    std::string tag;
    std::string name;
    std::size_t rest = 0;
};
std::optional<Head> parse_head(std::string_view text);  // none: "* BAD Invalid tag"

// The arguments after the head. Errors are invalid, with the text for BAD. Moves the literals out of `raw`.
Result<std::vector<Argument>> parse_arguments(RawCommand& raw, std::size_t from, Limits const& limits);

// The command in canonical form, as RawCommand; parsing it again gives the same command.
RawCommand print_command(Command const& command);

bool is_atom_char(char c);  // RFC 9051 §9 ATOM-CHAR (ASCII only)
// The text made harmless for echoing in a reply: printable ASCII, at most 80 characters.
std::string printable(std::string_view text);

}  // namespace mallard::imap_proto
