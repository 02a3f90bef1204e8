#pragma once
// The page of messages a listing shows: which rows, in which order (api.md §6, §15.1).

#include <expected>
#include <vector>

#include "api/paging.hpp"
#include "store/index.hpp"

namespace mallard::api {

struct MessagePage {
    std::vector<store::Row const*> rows;
    PageEdges edges;
};

// `rows` are all that match, in any order; they are ordered by internal date, then id.
std::expected<MessagePage, Failure> page_of_rows(std::vector<store::Row const*> rows, PageRequest const& request,
                                                 bool ascending);

Answer get_messages(Call& call);

}  // namespace mallard::api
