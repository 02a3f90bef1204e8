#pragma once
// Router: from method and path to an operation. Strict (api.md §1): case counts, a final '/' is another path, a segment
// of more than 196 characters matches nothing, HEAD is not GET. A fixed segment wins over a parameter.
// Immutable after construction; the operations must outlive it.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/operation.hpp"

namespace mallard::http {

struct Route {
    enum class Outcome { found, no_such_path, method_not_allowed };
    Outcome outcome = Outcome::no_such_path;
    std::size_t operation = 0;                                    // index, when found
    std::vector<std::pair<std::string, std::string>> parameters;  // decoded
    std::vector<std::string> allowed;                             // methods of this path, when method_not_allowed
};

class Router {
public:
    explicit Router(std::vector<Operation const*> operations);
    Route find(std::string_view method, std::string_view path) const;

private:
    struct Entry {
        std::size_t operation;
        std::string method;
        std::vector<std::string> segments;  // "{user}" for a parameter
    };
    std::vector<Entry> entries_;
};

}  // namespace mallard::http
