#include "http/body.hpp"

#include <openssl/evp.h>
#include <zlib.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/encoding.hpp"
#include "http/query.hpp"

namespace mallard::http {
namespace {

std::string media_type(std::string_view content_type) {
    return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

// The value of a parameter of a header field: name=value or name="value".
std::string parameter(std::string_view field, std::string_view name) {
    while (true) {
        auto const semicolon = field.find(';');
        if (semicolon == field.npos) return {};
        field.remove_prefix(semicolon + 1);
        auto const equals = field.find('=');
        if (equals == field.npos) return {};
        auto const key = trim(field.substr(0, equals));
        auto rest = trim(field.substr(equals + 1));
        std::string value;
        if (rest.starts_with('"')) {
            std::size_t i = 1;
            for (; i < rest.size() && rest[i] != '"'; ++i) {
                if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
                value += rest[i];
            }
            rest.remove_prefix(std::min(i + 1, rest.size()));
        } else {
            value = trim(rest.substr(0, rest.find(';')));
        }
        if (iequals(key, name)) return value;
        field = rest;
    }
}

// RFC 1952. too_large: more than `max` octets came out of it.
Result<Spool> inflate_gzip(std::string_view packed, std::uint64_t max) {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return fail(ErrorKind::internal, "zlib could not start");
    std::unique_ptr<z_stream, int (*)(z_stream*)> const guard(&stream, inflateEnd);
    Spool out;
    auto const buffer = std::make_unique<std::array<char, 64 * 1024>>();
    std::size_t given = 0;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        auto const piece = std::min<std::size_t>(packed.size() - given, 1u << 30);
        stream.next_in =
            reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + given));  // zlib does not write there
        stream.avail_in = static_cast<uInt>(piece);
        stream.next_out = reinterpret_cast<Bytef*>(buffer->data());
        stream.avail_out = static_cast<uInt>(buffer->size());
        state = inflate(&stream, Z_NO_FLUSH);
        given += piece - stream.avail_in;
        auto const made = buffer->size() - stream.avail_out;
        if (state != Z_OK && state != Z_STREAM_END) return fail(ErrorKind::invalid, "The body is not valid gzip");
        if (out.size() + made > max) return fail(ErrorKind::too_large, "The body is too large when unpacked");
        MALLARD_TRY(out.append({buffer->data(), made}));
        if (state == Z_OK && made == 0 && given == packed.size())
            return fail(ErrorKind::invalid, "The gzip body is cut");
    }
    MALLARD_TRY(out.finish());
    return out;
}

std::expected<void, Response> undo_encoding(Request& request, BodyLimits const& limits) {
    auto const encoding = to_lower(trim(request.headers.get("Content-Encoding")));
    if (encoding.empty() || encoding == "identity") return {};
    if (encoding != "gzip") {
        return std::unexpected(framework_error(415, "UnsupportedMediaType",
                                               "Content-Encoding " + encoding + " is not supported; use gzip"));
    }
    auto inflated = inflate_gzip(request.body.view(), limits.inflated_max);
    if (inflated) {
        request.body = std::move(*inflated);
        return {};
    }
    Error const& error = inflated.error();
    if (error.kind == ErrorKind::too_large)
        return std::unexpected(framework_error(413, "RequestEntityTooLarge", error.message));
    if (error.kind == ErrorKind::invalid) return std::unexpected(framework_error(400, "InvalidContent", error.message));
    return std::unexpected(framework_error(500, "InternalServer", "The body could not be kept: " + error.message));
}

bool md5_matches(std::string_view bytes, std::string_view expected) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_md5(), nullptr) != 1) return false;
    return base64_encode({reinterpret_cast<char const*>(digest), size}) == trim(expected);
}

// RFC 7578. Fields and files alike become parameters under their name; a name that comes twice makes an array.
void read_multipart(std::string_view body, std::string const& boundary, std::size_t fields_max, Json& values) {
    std::string const mark = "\r\n--" + boundary;
    std::string_view const first(mark.data() + 2, mark.size() - 2);
    std::size_t at = body.starts_with(first) ? first.size() : body.find(mark);
    if (at == body.npos) return;
    if (at != first.size()) at += mark.size();
    for (std::size_t n = 0; n < fields_max; ++n) {
        if (body.substr(at, 2) == "--") return;
        auto const line_end = body.find("\r\n", at);
        if (line_end == body.npos) return;
        auto const end = body.find(mark, line_end);
        if (end == body.npos) return;
        auto const part = body.substr(line_end + 2, end > line_end + 2 ? end - line_end - 2 : 0);
        at = end + mark.size();
        auto const blank = part.find("\r\n\r\n");
        if (blank == part.npos) continue;
        std::string name;
        for (auto head = part.substr(0, blank + 2); !head.empty();) {
            auto const eol = head.find("\r\n");
            auto const line = head.substr(0, eol);
            if (auto const colon = line.find(':');
                colon != line.npos && iequals(line.substr(0, colon), "Content-Disposition")) {
                name = parameter(line, "name");
            }
            head.remove_prefix(eol + 2);
        }
        if (name.empty()) continue;
        std::string value(part.substr(blank + 4));
        if (!values.contains(name)) {
            values[name] = std::move(value);
        } else if (values[name].is_array()) {
            values[name].push_back(std::move(value));
        } else {
            values[name] = Json::array({std::move(values[name]), std::move(value)});
        }
    }
}

}  // namespace

std::expected<BodyKind, Response> read_body(Request& request, BodyLimits const& limits, Json& values) {
    if (request.method == "GET" || request.method == "HEAD" || request.body.size() == 0) return BodyKind::none;
    if (auto undone = undo_encoding(request, limits); !undone) return std::unexpected(std::move(undone.error()));
    std::string_view const body = request.body.view();
    if (auto const md5 = request.headers.get("Content-MD5"); !md5.empty() && !md5_matches(body, md5)) {
        return std::unexpected(framework_error(400, "BadDigest", "Content-MD5 does not match the body"));
    }
    auto const content_type = request.headers.get("Content-Type");
    auto const type = media_type(content_type);
    if (type.empty() || type == "application/octet-stream") return BodyKind::not_read;
    if (type == "application/json" || type.ends_with("+json")) {
        if (trim(body).empty()) return BodyKind::none;
        auto parsed = parse_json(body);
        if (!parsed) return std::unexpected(framework_error(400, "InvalidContent", parsed.error().message));
        if (parsed->is_array()) {
            return std::unexpected(framework_error(500, "InternalServer", "The JSON body must be an object"));
        }
        if (parsed->is_object()) values = std::move(*parsed);
        return BodyKind::fields;
    }
    if (type == "application/x-www-form-urlencoded") {
        values = parse_query(body, false);
        return BodyKind::fields;
    }
    if (type == "multipart/form-data") {
        if (auto const boundary = parameter(content_type, "boundary"); !boundary.empty()) {
            read_multipart(body, boundary, limits.fields_max, values);
        }
        return BodyKind::fields;
    }
    return BodyKind::whole;
}

}  // namespace mallard::http
