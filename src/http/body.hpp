#pragma once
// The body of a request as parameters (api.md §1): JSON, urlencoded, multipart/form-data; gzip undone within a bound.

#include <cstdint>
#include <expected>

#include "http/http.hpp"
#include "http/json.hpp"

namespace mallard::http {

struct BodyLimits {
    std::uint64_t inflated_max = 128ull * 1024 * 1024;  // of a gzip body; more: 413
    std::size_t fields_max = 1000;                      // parts of a multipart body
};

enum class BodyKind {
    none,
    fields,    // parsed into values
    whole,     // another type: request.body is it
    not_read,  // application/octet-stream
};

// Undoes Content-Encoding (in request.body), checks Content-MD5, and puts what the body says into `values` (an object).
// The error is the response to send.
std::expected<BodyKind, Response> read_body(Request& request, BodyLimits const& limits, Json& values);

}  // namespace mallard::http
