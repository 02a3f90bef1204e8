#pragma once
// mime::parse: a message as a tree of offsets into its bytes. Never fails: what is not well-formed is opaque text.
// Linear in the input, bounded in depth and parts; nothing is copied.
// Line ends: CRLF, and bare LF where the message uses it; a bare CR ends no line.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mallard::mime {

struct Limits {
    std::size_t depth_max = 32;       // multiparts and message/rfc822 inside each other; deeper stays opaque text
    std::size_t parts_max = 10'000;   // leaves and containers; what follows stays in the last part
    std::size_t fields_max = 10'000;  // header fields per entity; later ones are not looked at
    std::size_t header_bytes_max = 1024 * 1024;  // structured fields are decoded up to this many octets
};

struct Field {
    std::string_view name;   // as written, without the colon
    std::string_view value;  // raw, folded, without the final line end
};

// A parameterised field: Content-Type, Content-Disposition. Names lower case; values decoded (RFC 2231, RFC 2047)
// UTF-8.
struct Parameter {
    std::string name;
    std::string value;
};

struct Entity {
    std::size_t header_begin = 0;  // offsets into the source
    std::size_t body_begin = 0;    // after the blank line
    std::size_t end = 0;           // of the body (without the line end that belongs to the next boundary)
    std::uint32_t lines = 0;       // line ends in the body

    std::vector<Field> fields;  // in order; views into the source

    std::string type = "text";  // lower case
    std::string subtype = "plain";
    std::vector<Parameter> parameters;
    bool has_content_type = false;
    std::string encoding = "7bit";  // lower case
    std::string disposition;        // lower case; empty: none
    std::vector<Parameter> disposition_parameters;
    std::string id, description, md5, location;  // raw values, unfolded; empty: none
    std::vector<std::string> languages;

    std::vector<Entity> children;  // of a multipart, or exactly one for message/rfc822 (message/global)
    bool is_multipart = false;     // children are body parts
    bool is_message = false;       // children[0] is the embedded message

    std::string_view header(std::string_view source) const {
        return source.substr(header_begin, body_begin - header_begin);
    }
    std::string_view content(std::string_view source) const { return source.substr(body_begin, end - body_begin); }
    std::optional<std::string_view> field(std::string_view name) const;       // the first, any case, raw value
    std::optional<std::string_view> last_field(std::string_view name) const;  // the last
    std::string const* parameter(std::string_view name) const;
    std::string filename() const;  // disposition filename, else type name; decoded; empty: none
};

// The source must outlive the tree (fields are views into it).
Entity parse(std::string_view source, Limits const& limits = {});

}  // namespace mallard::mime
