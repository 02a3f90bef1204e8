#include "http/http.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::http {

namespace {

void append_json_string(std::string& out, std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    out += '"';
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

}  // namespace

Headers::Field const* Headers::find(std::string_view name) const {
    auto const it = std::ranges::find_if(fields_, [&](Field const& field) { return iequals(field.name, name); });
    return it == fields_.end() ? nullptr : &*it;
}

void Headers::set(std::string_view name, std::string value) {
    remove(name);
    add(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_, [&](Field const& field) { return iequals(field.name, name); });
}

std::string_view Headers::get(std::string_view name) const {
    Field const* const field = find(name);
    return field == nullptr ? std::string_view() : std::string_view(field->value);
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (Field const& field : fields_)
        if (iequals(field.name, name)) values.push_back(field.value);
    return values;
}

Response framework_error(unsigned status, std::string_view code, std::string_view message) {
    Response response;
    response.status = status;
    response.headers.add("Content-Type", "application/json");
    response.body = "{\n  \"code\": ";
    append_json_string(response.body, code);
    response.body += ",\n  \"message\": ";
    append_json_string(response.body, message);
    response.body += "\n}\n";
    return response;
}

std::string_view reason_phrase(unsigned status) {
    switch (status) {
        case 100: return "Continue";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        default: return {};
    }
}

}  // namespace mallard::http
