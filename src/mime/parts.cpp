// The tree's offsets as a few bytes per part. Version 1:
//   part = flags, varint header_begin - parent's body_begin, varint header length, varint body length,
//          encoding, [charset when text], [varint count, children when there are any]
// encoding = a byte: 0..4 a well-known name, 5 + length and the name; charset = length byte and the name.
#include <algorithm>
#include <array>
#include <limits>

#include "base/encoding.hpp"
#include "mime/imap_structure.hpp"

namespace mallard::mime {

namespace {

constexpr char version = 1;
constexpr std::size_t depth_max = 256;         // of what is decoded; parse() stays far below
constexpr std::size_t children_max = 100'000;  // in the whole tree
constexpr std::size_t name_max = 100;
constexpr std::array<std::string_view, 5> encodings{"7bit", "8bit", "binary", "quoted-printable", "base64"};

enum Flag : unsigned char { multipart = 1, message = 2, text = 4 };

void append_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
}

void append_name(std::string& out, std::string_view name, std::size_t base) {
    name = name.substr(0, name_max);
    out.push_back(static_cast<char>(base + name.size()));
    out += name;
}

void append_part(std::string& out, Entity const& part, std::size_t parent_body) {
    out.push_back(static_cast<char>((part.is_multipart ? multipart : 0) | (part.is_message ? message : 0) |
                                    (part.type == "text" ? text : 0)));
    append_varint(out, part.header_begin - parent_body);
    append_varint(out, part.body_begin - part.header_begin);
    append_varint(out, part.end - part.body_begin);
    auto const known = std::ranges::find(encodings, part.encoding);
    if (known != encodings.end())
        out.push_back(static_cast<char>(known - encodings.begin()));
    else
        append_name(out, part.encoding, encodings.size());
    if (part.type == "text") {
        std::string const* const charset = part.parameter("charset");
        append_name(out, charset ? to_lower(*charset) : std::string(), 0);
    }
    if (!part.is_multipart && !part.is_message) return;
    append_varint(out, part.children.size());
    for (Entity const& child : part.children) append_part(out, child, part.body_begin);
}

class Decoder {
public:
    explicit Decoder(std::string_view bytes) : bytes_(bytes) {}

    std::optional<Part> run() {
        if (bytes_.empty() || bytes_[0] != version) return std::nullopt;
        at_ = 1;
        Part root;
        if (!read(root, 0, std::numeric_limits<std::int64_t>::max(), 0) || at_ != bytes_.size()) return std::nullopt;
        return root;
    }

private:
    bool read_byte(unsigned char& out) {
        if (at_ >= bytes_.size()) return false;
        out = static_cast<unsigned char>(bytes_[at_++]);
        return true;
    }

    bool read_varint(std::uint64_t& out) {
        out = 0;
        for (int shift = 0; shift < 63; shift += 7) {
            unsigned char byte = 0;
            if (!read_byte(byte)) return false;
            out |= std::uint64_t{byte & 0x7Fu} << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }

    bool read_name(std::string& out, std::size_t length) {
        if (bytes_.size() - at_ < length) return false;
        out = bytes_.substr(at_, length);
        at_ += length;
        return true;
    }

    // Every part lies within [begin, end): its parent's body.
    bool read(Part& part, std::uint64_t begin, std::uint64_t end, std::size_t depth) {
        unsigned char flags = 0, encoding = 0;
        std::uint64_t offset = 0, header = 0, body = 0;
        if (depth > depth_max || ++parts_ > children_max) return false;
        if (!read_byte(flags) || !read_varint(offset) || !read_varint(header) || !read_varint(body)) return false;
        if (offset > end - begin || header > end - begin - offset || body > end - begin - offset - header) return false;
        part.header_begin = begin + offset;
        part.body_begin = part.header_begin + header;
        part.end = part.body_begin + body;
        part.is_multipart = flags & multipart;
        part.is_message = flags & message;
        part.is_text = flags & text;
        if (!read_byte(encoding)) return false;
        if (encoding < encodings.size())
            part.encoding = encodings[encoding];
        else if (!read_name(part.encoding, encoding - encodings.size()))
            return false;
        if (part.is_text) {
            unsigned char length = 0;
            if (!read_byte(length) || !read_name(part.charset, length)) return false;
        }
        if (!part.is_multipart && !part.is_message) return true;
        std::uint64_t count = 0;
        if (!read_varint(count) || count > bytes_.size() - at_) return false;  // a part has several bytes
        for (std::uint64_t i = 0; i < count; ++i)
            if (!read(part.children.emplace_back(), part.body_begin, part.end, depth + 1)) return false;
        return !part.is_message || count == 1;
    }

    std::string_view bytes_;
    std::size_t at_ = 0;
    std::size_t parts_ = 0;
};

}  // namespace

std::string encode_parts(Entity const& message) {
    std::string out(1, version);
    append_part(out, message, message.header_begin);
    return out;
}

Part decode_parts(std::string_view encoded) {
    if (auto part = Decoder(encoded).run()) return std::move(*part);
    Part opaque;
    opaque.end = std::numeric_limits<std::int64_t>::max();  // readers stop at the end of the message
    opaque.encoding = "7bit";
    return opaque;
}

}  // namespace mallard::mime
