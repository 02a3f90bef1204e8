#pragma once
// The OpenAPI 3.0 document of a table of operations.

#include <string>
#include <vector>

#include "http/json.hpp"
#include "http/operation.hpp"

namespace mallard::http {

struct ApiInfo {
    std::string title, version, description;
};

OrderedJson openapi_document(ApiInfo const& info, std::vector<Operation const*> const& operations);

}  // namespace mallard::http
