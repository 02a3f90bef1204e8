#include "imap_proto/search.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "imap_proto/date.hpp"

namespace mallard::imap_proto {

namespace {

using Kind = SearchTerm::Kind;

enum class Takes { nothing, flag, not_flag, text, date, size, interval };

struct Word {
    std::string_view name;
    Takes takes;
    Kind kind;
    std::string_view value = {};  // the flag, or the header field
};

constexpr Word words[] = {
    {"ALL", Takes::nothing, Kind::all},
    {"NEW", Takes::nothing, Kind::none},  // \Recent is never stored (RFC 9051 dropped it)
    {"RECENT", Takes::nothing, Kind::none},
    {"OLD", Takes::nothing, Kind::all},
    {"ANSWERED", Takes::flag, Kind::flag, "\\Answered"},
    {"DELETED", Takes::flag, Kind::flag, "\\Deleted"},
    {"DRAFT", Takes::flag, Kind::flag, "\\Draft"},
    {"FLAGGED", Takes::flag, Kind::flag, "\\Flagged"},
    {"SEEN", Takes::flag, Kind::flag, "\\Seen"},
    {"UNANSWERED", Takes::not_flag, Kind::flag, "\\Answered"},
    {"UNDELETED", Takes::not_flag, Kind::flag, "\\Deleted"},
    {"UNDRAFT", Takes::not_flag, Kind::flag, "\\Draft"},
    {"UNFLAGGED", Takes::not_flag, Kind::flag, "\\Flagged"},
    {"UNSEEN", Takes::not_flag, Kind::flag, "\\Seen"},
    {"FROM", Takes::text, Kind::header, "from"},
    {"TO", Takes::text, Kind::header, "to"},
    {"CC", Takes::text, Kind::header, "cc"},
    {"BCC", Takes::text, Kind::header, "bcc"},
    {"SUBJECT", Takes::text, Kind::header, "subject"},
    {"BODY", Takes::text, Kind::body},
    {"TEXT", Takes::text, Kind::text},
    {"BEFORE", Takes::date, Kind::before},
    {"ON", Takes::date, Kind::on},
    {"SINCE", Takes::date, Kind::since},
    {"SENTBEFORE", Takes::date, Kind::sent_before},
    {"SENTON", Takes::date, Kind::sent_on},
    {"SENTSINCE", Takes::date, Kind::sent_since},
    {"LARGER", Takes::size, Kind::larger},
    {"SMALLER", Takes::size, Kind::smaller},
    {"OLDER", Takes::interval, Kind::older},
    {"YOUNGER", Takes::interval, Kind::younger},
};

SearchTerm negate(SearchTerm term) {
    SearchTerm out;
    out.kind = Kind::not_;
    out.children.push_back(std::move(term));
    return out;
}

class Parser {
public:
    Parser(SearchRequest& request, Limits const& limits) : request_(request), limits_(limits) {}

    // RFC 9051 §6.4.4: several keys in a row are a conjunction.
    Result<SearchTerm> conjunction(std::vector<Argument> const& items, std::size_t from, std::size_t depth) {
        SearchTerm out;
        out.kind = Kind::and_;
        std::size_t at = from;
        while (at < items.size()) {
            MALLARD_TRY_ASSIGN(SearchTerm term, key(items, at, depth));
            out.children.push_back(std::move(term));
        }
        if (out.children.empty()) return fail(ErrorKind::invalid, "Not enough arguments provided");
        if (out.children.size() == 1) {
            SearchTerm only = std::move(out.children.front());
            return only;
        }
        return out;
    }

private:
    Result<SearchTerm> key(std::vector<Argument> const& items, std::size_t& at, std::size_t depth) {
        if (depth > limits_.search_depth_max) return fail(ErrorKind::invalid, "Too much nesting in IMAP string");
        if (at >= items.size()) return fail(ErrorKind::invalid, "Not enough arguments provided");
        Argument const& argument = items[at++];
        if (argument.is_list()) return conjunction(argument.items, 0, depth + 1);
        if (!argument.is_atom() || argument.text.empty()) return fail(ErrorKind::invalid, "Invalid search term");
        std::string const name = to_upper(argument.text);
        if ((name[0] >= '0' && name[0] <= '9') || name[0] == '*') return set(Kind::sequence, argument, "sequence set");
        if (name == "NOT") {
            MALLARD_TRY_ASSIGN(SearchTerm term, key(items, at, depth + 1));
            return negate(std::move(term));
        }
        if (name == "OR") {
            SearchTerm out;
            out.kind = Kind::or_;
            for (int i = 0; i < 2; ++i) {
                MALLARD_TRY_ASSIGN(SearchTerm term, key(items, at, depth + 1));
                out.children.push_back(std::move(term));
            }
            return out;
        }
        if (name == "UID") {
            if (at >= items.size()) return fail(ErrorKind::invalid, "Not enough arguments provided");
            return set(Kind::uid, items[at++], "UID");
        }
        if (name == "KEYWORD" || name == "UNKEYWORD") return keyword(items, at, name);
        if (name == "HEADER") return header(items, at);
        if (name == "MODSEQ") return modseq(items, at);
        for (Word const& word : words)
            if (name == word.name) return plain(word, items, at);
        return fail(ErrorKind::invalid, "Unknown search term " + printable(name));
    }

    static Result<SearchTerm> set(Kind kind, Argument const& argument, std::string_view what) {
        auto parsed = argument.is_atom() ? parse_sequence_set(argument.text) : fail(ErrorKind::invalid, "");
        if (!parsed) return fail(ErrorKind::invalid, fmt::format("Invalid sequence set for {}", what));
        SearchTerm out;
        out.kind = kind;
        out.set = std::move(*parsed);
        return out;
    }

    static Result<std::string> text(std::vector<Argument> const& items, std::size_t& at, std::string_view name) {
        if (at >= items.size()) return fail(ErrorKind::invalid, "Not enough arguments provided");
        auto const value = items[at++].string_value();
        if (!value) return fail(ErrorKind::invalid, fmt::format("Invalid argument for {}", name));
        return std::string(*value);
    }

    static Result<SearchTerm> keyword(std::vector<Argument> const& items, std::size_t& at, std::string const& name) {
        SearchTerm out;
        out.kind = Kind::keyword;
        MALLARD_TRY_ASSIGN(out.text, text(items, at, name));
        if (name == "UNKEYWORD") return negate(std::move(out));
        return out;
    }

    static Result<SearchTerm> header(std::vector<Argument> const& items, std::size_t& at) {
        SearchTerm out;
        out.kind = Kind::header;
        MALLARD_TRY_ASSIGN(std::string const field, text(items, at, "HEADER"));
        out.field = to_lower(field);
        MALLARD_TRY_ASSIGN(out.text, text(items, at, "HEADER"));
        return out;
    }

    // RFC 7162 §3.1.5: MODSEQ [entry-name entry-type] n. Entry and type are for ANNOTATE; here they mean nothing.
    Result<SearchTerm> modseq(std::vector<Argument> const& items, std::size_t& at) {
        if (at + 2 < items.size() && items[at].kind == Argument::Kind::quoted &&
            (items[at + 1].is_word("priv") || items[at + 1].is_word("shared") || items[at + 1].is_word("all")))
            at += 2;
        auto const n = at < items.size() && items[at].is_atom() ? parse_number(items[at].text, 0x7fff'ffff'ffff'ffffULL)
                                                                : fail(ErrorKind::invalid, "");
        if (!n) return fail(ErrorKind::invalid, "Invalid MODSEQ argument");
        ++at;
        request_.uses_modseq = true;
        SearchTerm out;
        out.kind = Kind::modseq;
        out.number = *n;
        return out;
    }

    Result<SearchTerm> plain(Word const& word, std::vector<Argument> const& items, std::size_t& at) {
        SearchTerm out;
        out.kind = word.kind;
        if (word.takes == Takes::nothing) return out;
        if (word.takes == Takes::flag || word.takes == Takes::not_flag) {
            out.text = word.value;
            if (word.takes == Takes::not_flag) return negate(std::move(out));
            return out;
        }
        MALLARD_TRY_ASSIGN(std::string argument, text(items, at, word.name));
        if (word.takes == Takes::text) {
            out.field = word.value;
            out.text = std::move(argument);
            request_.reads_text = request_.reads_text || word.kind != Kind::header;
            return out;
        }
        if (word.takes == Takes::date) {
            auto const day = parse_date(argument);
            if (!day) return fail(ErrorKind::invalid, fmt::format("Invalid date argument for {}", word.name));
            out.day = *day;
            return out;
        }
        bool const interval = word.takes == Takes::interval;
        auto const n = parse_number(argument, interval ? 0xffff'ffffULL : 0x7fff'ffff'ffff'ffffULL);
        if (!n || (interval && *n == 0))  // RFC 5032 §2: a non-zero number of seconds
            return fail(ErrorKind::invalid, fmt::format("Invalid {} argument for {}", interval ? "interval" : "size",
                                                        interval ? word.name : std::string_view("size")));
        out.number = *n;
        return out;
    }

    SearchRequest& request_;
    Limits const& limits_;
};

}  // namespace

Result<SearchRequest> parse_search(std::vector<Argument> const& arguments, Limits const& limits) {
    SearchRequest out;
    std::size_t from = 0;
    if (arguments.size() > 1 && arguments[0].is_word("CHARSET")) {
        auto const charset = arguments[1].string_value();
        if (!charset) return fail(ErrorKind::invalid, "Invalid argument for CHARSET");
        out.charset = *charset;
        from = 2;
    }
    MALLARD_TRY_ASSIGN(out.term, Parser(out, limits).conjunction(arguments, from, 0));
    return out;
}

}  // namespace mallard::imap_proto
