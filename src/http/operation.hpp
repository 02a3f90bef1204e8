#pragma once
// Operation: one call of the API, declared once. Routing, validation, permission and the OpenAPI document come from it.

#include <string>
#include <vector>

#include "http/schema.hpp"

namespace mallard::http {

struct Permission {
    std::string resource;  // "users"; empty: none is asked for
    std::string action;    // "create" "read" "update" "delete"
    bool own = false;      // a user's token suffices for that user's things
};

struct Operation {
    std::string id;      // "createUser": operationId, and the name in logs
    std::string method;  // "GET"
    std::string path;    // "/users/{user}"
    std::string tag;     // "Users"
    std::string summary;
    std::vector<Field> path_fields;   // in the order of the path
    std::vector<Field> query_fields;  // GET, DELETE
    std::vector<Field> body_fields;   // POST, PUT; may be sent in the query all the same
    Schema reply;                     // of 200: an object, or binary() with reply_type
    std::string reply_type = "application/json";
    Permission permission;
    bool needs_token = true;     // false: open to everyone
    bool validates = true;       // false: parameters are not looked at
    bool allow_unknown = false;  // unknown parameters are ignored
    bool raw_body = false;       // a body of another type is the parameter `raw` (message/rfc822)

    std::vector<Field const*> fields() const;  // all of them
};

}  // namespace mallard::http
