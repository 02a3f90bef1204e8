#include "api/paging.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::api {
namespace {

std::string to_url_alphabet(std::string text) {
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

std::string from_url_alphabet(std::string text) {
    std::ranges::replace(text, '-', '+');
    std::ranges::replace(text, '_', '/');
    return text;
}

}  // namespace

PageRequest page_request(Call const& call) {
    PageRequest request;
    request.limit = static_cast<std::size_t>(call.integer("limit", 20));
    auto cursor = call.text("next");
    request.backward = cursor.empty() && call.has("previous");
    if (cursor.empty()) cursor = call.text("previous");
    auto const decoded = base64_decode(from_url_alphabet(cursor));
    if (cursor.empty() || !decoded) return request;
    auto const wrapper = http::parse_json(*decoded);
    bool const is_wrapper = wrapper && wrapper->is_array() && wrapper->size() == 2 && (*wrapper)[0].is_string();
    if (!is_wrapper) {  // some other text: the first page
        request.backward = false;
        return request;
    }
    request.where = (*wrapper)[0].get<std::string>();
    if ((*wrapper)[1].is_number_integer()) request.page = std::max<std::int64_t>((*wrapper)[1].get<std::int64_t>(), 1);
    return request;
}

std::string make_cursor(std::string const& where, std::int64_t page) {
    Json const wrapper = Json::array({where, page});
    return to_url_alphabet(base64_encode(wrapper.dump(-1, ' ', false, Json::error_handler_t::replace), false));
}

void add_page(OrderedJson& reply, PageRequest const& request, PageEdges const& edges, OrderedJson results) {
    std::int64_t const page = edges.previous ? std::max<std::int64_t>(request.page, 1) : 1;
    reply["total"] = edges.total;
    reply["page"] = page;
    if (edges.previous) {
        reply["previousCursor"] = make_cursor(*edges.previous, std::max<std::int64_t>(page - 1, 1));
    } else {
        reply["previousCursor"] = false;
    }
    if (edges.next) {
        reply["nextCursor"] = make_cursor(*edges.next, page + 1);
    } else {
        reply["nextCursor"] = false;
    }
    reply["results"] = std::move(results);
}

Failure invalid_cursor() { return {500, "InternalDatabaseError", "Database error: Invalid paging cursor"}; }

std::vector<http::Field> paging_fields() {
    return {http::optional("limit", http::limit().empty_is_absent(), "How many to return"),
            http::optional("next", http::cursor(), "nextCursor of an earlier reply"),
            http::optional("previous", http::cursor(), "previousCursor of an earlier reply")};
}

http::Schema page_of(http::Schema item, std::vector<http::Field> more) {
    auto const cursor = http::alternatives({http::text(), http::boolean()});
    for (auto& field :
         std::vector<http::Field>{http::required("total", http::number(), "How many there are in all"),
                                  http::required("page", http::number()),
                                  http::required("previousCursor", cursor, "false: this is the first page"),
                                  http::required("nextCursor", cursor, "false: this is the last page"),
                                  http::required("results", http::array(std::move(item)))}) {
        more.push_back(std::move(field));
    }
    return success_with(std::move(more));
}

std::vector<std::string> comma_list(std::string_view text) {
    std::vector<std::string> list;
    while (!text.empty()) {
        auto const comma = text.find(',');
        if (auto const item = trim(text.substr(0, comma)); !item.empty()) list.emplace_back(item);
        text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    }
    return list;
}

}  // namespace mallard::api
