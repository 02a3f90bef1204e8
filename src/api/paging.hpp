#pragma once
// Cursors (api.md §6): base64url of ["<where>", page]. `where` is the listing's own business.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "api/endpoint.hpp"

namespace mallard::api {

struct PageRequest {
    std::string where;  // of the cursor; empty: from the start
    bool backward = false;
    std::int64_t page = 1;
    std::size_t limit = 20;
};

PageRequest page_request(Call const& call);
std::string make_cursor(std::string const& where, std::int64_t page);

// What a listing found beside its results.
struct PageEdges {
    std::uint64_t total = 0;
    std::optional<std::string> previous, next;  // `where` of the neighbours
};
// Adds total, page, previousCursor, nextCursor and results.
void add_page(OrderedJson& reply, PageRequest const& request, PageEdges const& edges, OrderedJson results);

Failure invalid_cursor();

std::vector<http::Field> paging_fields();
// The schema of such a reply.
http::Schema page_of(http::Schema item, std::vector<http::Field> more = {});

// A comma list: trimmed, without empty ones.
std::vector<std::string> comma_list(std::string_view text);

}  // namespace mallard::api
