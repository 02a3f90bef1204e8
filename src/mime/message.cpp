#include "mime/message.hpp"

#include <algorithm>
#include <cstring>

#include "base/encoding.hpp"
#include "mime/header.hpp"
#include "mime/parameters.hpp"

namespace mallard::mime {

namespace {

// A place in the source, and how many line ends lie before it.
struct Position {
    std::size_t offset = 0;
    std::uint32_t line_ends = 0;
};

Position later(Position a, Position b) { return a.offset >= b.offset ? a : b; }

// An entity whose end has not been seen. All but the innermost are containers.
struct Open {
    Entity* entity;
    Position body;
    std::string boundary;  // empty: no multipart, or its close-delimiter has been seen
};

bool is_identity_encoding(std::string_view encoding) {
    return encoding == "7bit" || encoding == "8bit" || encoding == "binary";
}

bool is_token(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
}

// The keyword in front, lower case; empty when it is none.
std::string first_word(std::string_view text) {
    std::string_view const word = text.substr(0, text.find_first_of(" \t;("));
    return is_token(word) ? to_lower(word) : std::string();
}

// RFC 2045 §5.1. A type that is none gives application/octet-stream (protocols.md §1.12), an empty one text/plain.
// Returns the boundary.
std::string interpret_type(Entity& entity, std::string_view raw) {
    std::string const unfolded = unfold(raw);
    Parameterised field = parse_parameterised(unfolded);
    entity.has_content_type = true;
    entity.parameters = std::move(field.parameters);
    std::string const value = first_word(field.value);
    std::size_t const slash = value.find('/');
    entity.type = value.substr(0, slash);
    entity.subtype = slash == std::string::npos ? std::string() : value.substr(slash + 1);
    if (field.value.empty() || (entity.type == "text" && entity.subtype.empty())) {
        entity.type = "text";
        entity.subtype = "plain";
    } else if (entity.type.empty() || entity.subtype.empty()) {
        entity.type = "application";
        entity.subtype = "octet-stream";
    }
    return std::move(field.boundary);
}

void interpret_disposition(Entity& entity, std::string_view raw) {
    std::string const unfolded = unfold(raw);
    Parameterised field = parse_parameterised(unfolded);
    entity.disposition = first_word(field.value);
    entity.disposition_parameters = std::move(field.parameters);
    if (entity.disposition.empty() && !entity.disposition_parameters.empty())
        entity.disposition = "attachment";  // RFC 2183 §2.8: an unknown disposition is an attachment
}

void interpret_languages(Entity& entity, std::string_view raw) {  // RFC 3282 §2
    std::string const unfolded = unfold(raw);
    std::string_view rest = unfolded;
    while (!rest.empty() && entity.languages.size() < 100) {
        std::size_t const comma = rest.find(',');
        std::string_view const tag = trim(rest.substr(0, comma));
        if (!tag.empty()) entity.languages.emplace_back(tag);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
}

class Parser {
public:
    Parser(std::string_view source, Limits const& limits) : source_(source), limits_(limits) {}

    Entity run() {
        Entity root;
        open(root, {});
        while (here_.offset < source_.size()) {
            if (!in_header_ && delimiters_ == 0) {  // nothing can begin or end any more
                auto const rest = source_.substr(here_.offset);
                here_.line_ends += static_cast<std::uint32_t>(std::count(rest.begin(), rest.end(), '\n'));
                here_.offset = source_.size();
                break;
            }
            read_line();
        }
        close_down_to(0, here_);
        return root;
    }

private:
    void open(Entity& entity, Position at) {
        entity.header_begin = at.offset;
        stack_.push_back({&entity, {}, {}});
        in_header_ = true;
        field_open_ = false;
        ++parts_;
    }

    bool may_open() const { return parts_ < limits_.parts_max; }

    void read_line() {
        char const* const begin = source_.data() + here_.offset;
        std::size_t const left = source_.size() - here_.offset;
        auto const* const line_feed = static_cast<char const*>(std::memchr(begin, '\n', left));
        std::size_t const length = line_feed ? static_cast<std::size_t>(line_feed - begin) : left;
        std::string_view line(begin, length);
        if (line_feed && line.ends_with('\r')) line.remove_suffix(1);
        Position const next{here_.offset + length + (line_feed ? 1 : 0), here_.line_ends + (line_feed ? 1u : 0u)};
        if (!(line.starts_with("--") && read_delimiter(line.substr(2), next)) && in_header_)
            read_header_line(line, next);
        here_ = next;
    }

    // RFC 2046 §5.1.1, §5.1.2: a delimiter of any multipart around ends everything inside that one.
    bool read_delimiter(std::string_view line, Position next) {
        if (delimiters_ == 0 || !may_open()) return false;
        while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
        for (std::size_t level = stack_.size(); level-- > 0;) {
            std::string const& boundary = stack_[level].boundary;
            if (boundary.empty() || !line.starts_with(boundary)) continue;
            std::string_view const tail = line.substr(boundary.size());
            if (!tail.empty() && tail != "--") continue;
            close_down_to(level + 1, before_line_break());
            if (tail.empty()) {
                open(stack_[level].entity->children.emplace_back(), next);
            } else {
                stack_[level].boundary.clear();
                --delimiters_;
            }
            return true;
        }
        return false;
    }

    // The line break before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    Position before_line_break() const {
        Position at = here_;
        if (at.offset > 0 && source_[at.offset - 1] == '\n') {
            --at.offset;
            --at.line_ends;
            if (at.offset > 0 && source_[at.offset - 1] == '\r') --at.offset;
        }
        return at;
    }

    // Ends the entities from the innermost to stack_[keep]. A part never ends before its body begins, nor before what
    // lies in it ends.
    void close_down_to(std::size_t keep, Position end) {
        Position inner;
        while (stack_.size() > keep) {
            if (in_header_) {
                end_header(here_);
                continue;  // an embedded message may have been opened
            }
            Open const top = std::move(stack_.back());
            stack_.pop_back();
            inner = later(later(end, top.body), inner);
            Entity& entity = *top.entity;
            entity.end = inner.offset;
            entity.lines = inner.line_ends - top.body.line_ends;
            if (!top.boundary.empty()) --delimiters_;
            if (entity.is_multipart && entity.children.empty()) make_opaque(entity);
        }
    }

    void read_header_line(std::string_view line, Position next) {
        if (line.empty()) return end_header(next);
        Entity& entity = *stack_.back().entity;
        if (line.front() == ' ' || line.front() == '\t') {  // RFC 5322 §2.2.3
            if (field_open_) {
                std::string_view& value = entity.fields.back().value;
                value = {value.data(), static_cast<std::size_t>(line.data() + line.size() - value.data())};
            }
            return;
        }
        field_open_ = false;
        std::size_t const colon = line.find(':');
        if (colon == std::string_view::npos || entity.fields.size() >= limits_.fields_max) return;
        std::string_view name = line.substr(0, colon);
        while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);  // RFC 5322 §4.5.8
        if (name.empty() || !is_token(name)) return;
        entity.fields.push_back({name, line.substr(colon + 1)});
        field_open_ = true;
    }

    void end_header(Position body) {
        in_header_ = false;
        Open& top = stack_.back();
        Entity& entity = *top.entity;
        entity.body_begin = body.offset;
        top.body = body;
        if (stack_.size() > 1) {
            Entity const& parent = *stack_[stack_.size() - 2].entity;
            if (parent.is_multipart && parent.subtype == "digest") {  // RFC 2046 §5.1.5
                entity.type = "message";
                entity.subtype = "rfc822";
            }
        }
        std::string boundary = interpret(entity);
        bool const deep = stack_.size() > limits_.depth_max;
        if (entity.type == "multipart") {
            while (boundary.ends_with(' ')) boundary.pop_back();  // as its lines lose theirs
            if (deep || boundary.empty()) return make_opaque(entity);
            entity.is_multipart = true;
            top.boundary = std::move(boundary);
            ++delimiters_;
        } else if (entity.type == "message" && (entity.subtype == "rfc822" || entity.subtype == "global")) {
            if (deep || !may_open() || !is_identity_encoding(entity.encoding)) return;
            entity.is_message = true;
            open(entity.children.emplace_back(), body);
        }
    }

    // Reads the Content-* fields, each from its last occurrence (storage.md §9.5); returns the boundary.
    std::string interpret(Entity& entity) const {
        std::string_view type, disposition, encoding, languages;
        bool has_type = false;
        for (Field const& field : entity.fields) {
            if (field.name.size() < 10 || !iequals(field.name.substr(0, 8), "content-")) continue;
            std::string_view const rest = field.name.substr(8);
            std::string_view const value = field.value.substr(0, limits_.header_bytes_max);
            if (iequals(rest, "type")) {
                type = value;
                has_type = true;
            } else if (iequals(rest, "disposition")) {
                disposition = value;
            } else if (iequals(rest, "transfer-encoding")) {
                encoding = value;
            } else if (iequals(rest, "language")) {
                languages = value;
            } else if (iequals(rest, "id")) {
                entity.id = unfold(value);
            } else if (iequals(rest, "description")) {
                entity.description = unfold(value);
            } else if (iequals(rest, "md5")) {
                entity.md5 = unfold(value);
            } else if (iequals(rest, "location")) {
                entity.location = unfold(value);
            }
        }
        if (!encoding.empty()) {
            std::string const unfolded = unfold(encoding);
            if (std::string word = first_word(unfolded); !word.empty()) entity.encoding = std::move(word);
        }
        if (!disposition.empty()) interpret_disposition(entity, disposition);
        if (!languages.empty()) interpret_languages(entity, languages);
        return has_type ? interpret_type(entity, type) : std::string();
    }

    static void make_opaque(Entity& entity) {
        entity.is_multipart = false;
        entity.type = "text";
        entity.subtype = "plain";
        entity.parameters.clear();
    }

    std::string_view source_;
    Limits const& limits_;
    std::vector<Open> stack_;     // pointers stay valid: only the innermost list of children grows
    Position here_;               // the line that is read
    std::size_t delimiters_ = 0;  // entries of stack_ with a boundary
    std::size_t parts_ = 0;       // entities opened so far
    bool in_header_ = false;      // of the innermost entity
    bool field_open_ = false;     // a continuation line belongs to the last field
};

std::optional<std::string_view> value_of(Field const& field) { return field.value; }

}  // namespace

std::optional<std::string_view> Entity::field(std::string_view name) const {
    auto const found = std::ranges::find_if(fields, [&](Field const& f) { return iequals(f.name, name); });
    return found == fields.end() ? std::nullopt : value_of(*found);
}

std::optional<std::string_view> Entity::last_field(std::string_view name) const {
    auto const found =
        std::find_if(fields.rbegin(), fields.rend(), [&](Field const& f) { return iequals(f.name, name); });
    return found == fields.rend() ? std::nullopt : value_of(*found);
}

std::string const* Entity::parameter(std::string_view name) const {
    auto const found = std::ranges::find(parameters, name, &Parameter::name);
    return found == parameters.end() ? nullptr : &found->value;
}

std::string Entity::filename() const {
    auto const given = std::ranges::find(disposition_parameters, "filename", &Parameter::name);
    std::string const* const name =
        given != disposition_parameters.end() && !given->value.empty() ? &given->value : parameter("name");
    if (!name) return {};
    std::string out(trim(*name));
    std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
    return out;
}

Entity parse(std::string_view source, Limits const& limits) { return Parser(source, limits).run(); }

}  // namespace mallard::mime
