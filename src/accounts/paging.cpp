#include "accounts/paging.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "store/document_keys.hpp"

namespace mallard::accounts {

namespace {

constexpr std::size_t batch_documents = 500;
constexpr std::size_t page_documents_max = 1000;

// A cursor is 'n' or 'p' (which way) and the hex of a little document that holds the key to go on from.
std::string cursor_to(char way, bson::Document const& document, std::string_view key) {
    auto const* value = document.find(key);
    return way + hex_encode(bson::Document{{"k", value == nullptr ? bson::Value() : *value}}.encode());
}

struct Start {
    bool backward = false;
    std::optional<bson::Value> key;  // exclusive
};

Result<Start> start_of(std::string const& cursor) {
    if (cursor.empty()) return Start{};
    auto const bytes = hex_decode(std::string_view(cursor).substr(1));
    auto const document = bytes ? bson::Document::decode(*bytes) : fail(ErrorKind::invalid, "");
    if (!document || document->find("k") == nullptr || (cursor[0] != 'n' && cursor[0] != 'p'))
        return fail(ErrorKind::invalid, "Invalid paging cursor");
    return Start{cursor[0] == 'p', *document->find("k")};
}

// Visits the documents behind `key` (all without one) in batches until visit() says false.
template <class F>
Result<void> walk(store::Documents& documents, store::Collection const& collection, PageOrder const& order,
                  std::optional<bson::Value> key, bool descending, std::size_t batch_size, F&& visit) {
    for (;;) {
        store::Query query{.index = order.index, .equals = order.equals, .descending = descending, .limit = batch_size};
        (descending ? query.to : query.from) = key;
        MALLARD_TRY_ASSIGN(auto const batch, documents.find(collection, query));
        for (auto const& document : batch) {
            auto const* value = document.find(order.key);
            if (value == nullptr || (key && *value == *key)) continue;  // `from` is inclusive
            if (!visit(document)) return {};
        }
        if (batch.size() < batch_size) return {};
        auto const* last = batch.back().find(order.key);
        key = last == nullptr ? bson::Value() : *last;
    }
}

bool contains_tag(bson::Array const* tags, std::string const& tag) {
    if (tags == nullptr) return false;
    return std::ranges::any_of(*tags, [&](auto const& value) {
        auto const* text = value.template as<std::string>();
        return text != nullptr && *text == to_lower(tag);
    });
}

}  // namespace

Result<void> for_each(store::Documents& documents, store::Collection const& collection, PageOrder const& order,
                      std::function<Result<void>(bson::Document const&)> const& visit) {
    Result<void> visited;
    MALLARD_TRY(
        walk(documents, collection, order, std::nullopt, false, batch_documents, [&](bson::Document const& document) {
            visited = visit(document);
            return visited.has_value();
        }));
    return visited;
}

bool has_tags(bson::Document const& document, ListRequest const& request) {
    auto const* tags = document.array("tagsview");
    auto const has = [&](std::string const& tag) { return contains_tag(tags, tag); };
    if (!std::ranges::all_of(request.required_tags, has)) return false;
    return request.tags.empty() || std::ranges::any_of(request.tags, has);
}

bool forwards_there(bson::Document const& document, ListRequest const& request) {
    if (request.forward.empty()) return true;
    auto const* targets = document.array("targets");
    if (targets == nullptr) return false;
    auto const wanted = to_lower(request.forward);
    return std::ranges::any_of(*targets, [&](auto const& value) {
        auto const* target = value.template as<bson::Document>();
        return target != nullptr && to_lower(target->text("value")).contains(wanted);
    });
}

Result<Page<bson::Document>> read_page(store::Documents& documents, store::Collection const& collection,
                                       PageOrder const& order, ListRequest const& request,
                                       std::function<bool(bson::Document const&)> const& matches) {
    MALLARD_TRY_ASSIGN(auto const start, start_of(request.cursor));
    std::size_t const limit = std::clamp<std::size_t>(request.limit, 1, page_documents_max);
    Page<bson::Document> page;
    // One more than asked for tells whether there is more that way; the one that the cursor names may come first.
    std::size_t const batch = matches ? batch_documents : limit + 2;
    MALLARD_TRY(walk(documents, collection, order, start.key, request.descending != start.backward, batch,
                     [&](bson::Document const& document) {
                         if (!matches || matches(document)) page.results.push_back(document);
                         return page.results.size() <= limit;
                     }));
    bool const more = page.results.size() > limit;
    if (more) page.results.pop_back();
    if (start.backward) std::ranges::reverse(page.results);
    if (!page.results.empty()) {
        bool const before = start.backward ? more : start.key.has_value();
        bool const behind = start.backward || more;
        if (before) page.previous = cursor_to('p', page.results.front(), order.key);
        if (behind) page.next = cursor_to('n', page.results.back(), order.key);
    }
    if (matches) {
        MALLARD_TRY(walk(documents, collection, order, std::nullopt, false, batch_documents,
                         [&](bson::Document const& document) {
                             page.total += matches(document);
                             return true;
                         }));
    } else {
        bool const whole = order.equals.empty();  // engines know that count without looking
        MALLARD_TRY_ASSIGN(page.total, documents.count(collection, whole ? store::Query{}
                                                                         : store::Query{.index = order.index,
                                                                                        .equals = order.equals}));
    }
    return page;
}

Result<Page<bson::Document>> page_of(std::vector<bson::Document> documents, PageOrder const& order,
                                     ListRequest const& request) {
    MALLARD_TRY_ASSIGN(auto const start, start_of(request.cursor));
    auto const key = [&](bson::Document const& document) {
        auto const* value = document.find(order.key);
        return store::key_of(value == nullptr ? bson::Value() : *value);
    };
    std::ranges::sort(documents, {}, key);
    Page<bson::Document> page;
    page.total = documents.size();
    std::size_t first = 0, last = documents.size();
    if (start.key) {
        auto const wanted = store::key_of(*start.key);
        auto const place = std::ranges::lower_bound(documents, wanted, {}, key);
        first = static_cast<std::size_t>(place - documents.begin());
        if (start.backward) {
            last = first;
            first = 0;
        } else if (place != documents.end() && key(*place) == wanted) {
            ++first;
        }
    }
    std::size_t const limit = std::clamp<std::size_t>(request.limit, 1, page_documents_max);
    if (last - first > limit) start.backward ? void(first = last - limit) : void(last = first + limit);
    for (std::size_t i = first; i < last; ++i) page.results.push_back(std::move(documents[i]));
    if (page.results.empty()) return page;
    if (first > 0) page.previous = cursor_to('p', page.results.front(), order.key);
    if (last < documents.size()) page.next = cursor_to('n', page.results.back(), order.key);
    return page;
}

}  // namespace mallard::accounts
