#include "api/message_source.hpp"

#include <stdexcept>

#include "api/message_view.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "mime/imap_structure.hpp"
#include "mime/message.hpp"

namespace mallard::api {
namespace {

using namespace http;

constexpr std::uint64_t chunk_bytes = 192 * 1024;
constexpr std::size_t line_bytes_max = 64 * 1024;

std::string read_piece(store::BodyReader& reader, std::uint64_t at, std::uint64_t length) {
    std::string piece;
    if (auto const read = reader.read(at, length, piece); !read) throw std::runtime_error(read.error().message);
    return piece;
}

bool is_base64_char(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
           c == '=';
}

// How much of `text` can be decoded without what follows: whole groups of four, or whole lines.
std::size_t decodable(std::string_view text, bool base64) {
    if (base64) return text.size() / 4 * 4;
    auto const line_end = text.rfind('\n');
    if (line_end != text.npos) return line_end + 1;
    if (text.size() < line_bytes_max) return 0;
    auto const escape = text.rfind('=');
    return escape != text.npos && text.size() - escape < 3 ? escape : text.size();
}

// Undoes a transfer encoding piece by piece.
class Decoder {
public:
    explicit Decoder(std::string encoding) : encoding_(std::move(encoding)), base64_(iequals(encoding_, "base64")) {}

    std::string add(std::string_view piece, bool last) {
        if (base64_) {
            for (char const c : piece) {
                if (is_base64_char(c)) pending_ += c;
            }
        } else {
            pending_ += piece;
        }
        auto const ready = last ? pending_.size() : decodable(pending_, base64_);
        std::string decoded = mime::decode_transfer(std::string_view(pending_).substr(0, ready), encoding_);
        pending_.erase(0, ready);
        return decoded;
    }

private:
    std::string encoding_, pending_;
    bool base64_;
};

// The part whose body begins there.
mime::Part const* find_part(mime::Part const& part, std::uint64_t body_begin) {
    if (part.body_begin == body_begin && part.children.empty()) return &part;
    for (auto const& child : part.children) {
        if (auto const* found = find_part(child, body_begin)) return found;
    }
    return nullptr;
}

bson::Document const* find_attachment(bson::Document const& info, std::string_view id) {
    auto const* list = info.array("attachments");
    if (!list) return nullptr;
    for (auto const& value : *list) {
        auto const* entry = value.as<bson::Document>();
        if (entry && iequals(entry->text("id"), id)) return entry;
    }
    return nullptr;
}

// A header value that cannot begin another header.
std::string safe_header(std::string_view value) {
    std::string out;
    for (char const c : value) {
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\t') out += c;
    }
    return out;
}

}  // namespace

net::Reply stream_bytes(std::unique_ptr<store::BodyReader> reader, std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t at = begin; at < end; at += chunk_bytes) {
        co_yield read_piece(*reader, at, std::min(chunk_bytes, end - at));
    }
}

net::Reply stream_decoded(std::unique_ptr<store::BodyReader> reader, std::uint64_t begin, std::uint64_t end,
                          std::string encoding) {
    Decoder decoder(encoding);
    for (std::uint64_t at = begin; at < end; at += chunk_bytes) {
        std::string const piece = read_piece(*reader, at, std::min(chunk_bytes, end - at));
        std::string decoded = decoder.add(piece, at + chunk_bytes >= end);
        if (!decoded.empty()) co_yield std::move(decoded);
    }
}

std::string sha256_decoded(std::string_view encoded, std::string const& encoding) {
    Decoder decoder(encoding);
    Sha256 digest;
    for (std::size_t at = 0; at < encoded.size(); at += chunk_bytes) {
        digest.update(decoder.add(encoded.substr(at, chunk_bytes), at + chunk_bytes >= encoded.size()));
    }
    return digest.finish();
}

Answer get_source(Call& call) {
    auto const message = find_message(call);
    if (!message) return std::unexpected(message.error());
    auto reader = call.services.mailboxes.store().body(message->mailbox().id, *message->row);
    if (!reader) return std::unexpected(failure_of(reader.error(), Subject::message));
    Response response;
    response.headers.add("Content-Type", "message/rfc822");
    auto const size = (*reader)->size();
    response.stream = stream_bytes(std::move(*reader), 0, size);
    response.stream_length = size;
    return response;
}

Answer get_attachment(Call& call) {
    auto const message = find_message(call);
    if (!message) return std::unexpected(message.error());
    auto const record = record_of(call, *message);
    if (!record) return std::unexpected(record.error());
    auto const documents = documents_of(*record);
    auto const* attachment = find_attachment(documents.info, call.text("attachment"));
    if (!attachment) return std::unexpected(Failure{404, "AttachmentNotFound", "This attachment does not exist"});
    auto reader = call.services.mailboxes.store().body(message->mailbox().id, *message->row);
    if (!reader) return std::unexpected(failure_of(reader.error(), Subject::message));

    auto const begin = static_cast<std::uint64_t>(attachment->integer("begin"));
    auto const end = static_cast<std::uint64_t>(attachment->integer("end"));
    auto const parts = mime::decode_parts(record->parts);
    auto const* part = find_part(parts, begin);
    Response response;
    auto const type = safe_header(attachment->text("contentType"));
    response.headers.add("Content-Type", type.empty() ? "application/octet-stream" : type);
    response.headers.add("X-Content-Type-Options", "nosniff");
    if (part) {
        std::string header;
        auto const read = (*reader)->read(part->header_begin, part->body_begin - part->header_begin, header);
        if (!read) return std::unexpected(failure_of(read.error(), Subject::attachment));
        auto const entity = mime::parse(header);
        if (auto const value = entity.field("Content-Disposition")) {
            response.headers.add("Content-Disposition", safe_header(mime::unfold(*value)));
        }
    }
    std::string const encoding = to_lower(attachment->text("transferEncoding"));
    bool const encoded = encoding == "base64" || encoding == "quoted-printable";
    bool const other_charset =
        part && part->is_text && !part->charset.empty() && part->charset != "utf-8" && part->charset != "us-ascii";
    if (call.flag("sendAsString") && !encoded && other_charset) {
        std::string raw;
        if (auto const read = (*reader)->read(begin, end - begin, raw); !read) {
            return std::unexpected(failure_of(read.error(), Subject::attachment));
        }
        response.body = mime::to_utf8(raw, part->charset);
        return response;
    }
    if (encoded) {
        response.stream = stream_decoded(std::move(*reader), begin, end, encoding);
    } else {
        response.stream = stream_bytes(std::move(*reader), begin, end);
        response.stream_length = end - begin;
    }
    return response;
}

}  // namespace mallard::api
