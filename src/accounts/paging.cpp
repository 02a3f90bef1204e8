#include "accounts/paging.hpp"

#include <algorithm>
#include <map>
#include <span>

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

namespace {

// Visits what an index finds under `equals`, in batches, until visit() says false.
template <class F>
Result<void> walk_index(store::Documents& documents, store::Collection const& collection, Found const& found,
                        F&& visit) {
    store::Query query{.index = found.index, .equals = found.equals, .limit = batch_documents};
    for (;;) {
        MALLARD_TRY_ASSIGN(auto const batch, documents.find(collection, query));
        for (auto const& document : batch)
            if (!visit(document)) return {};
        if (batch.size() < batch_documents) return {};
        query.after_id = batch.back().id("_id");
    }
}

// Of all that are shown to it, in any order, the documents of one page; it holds no more than those.
class PageKeeper {
public:
    PageKeeper(PageOrder const& order, ListRequest const& request, Start start)
        : order_(order),
          limit_(std::clamp<std::size_t>(request.limit, 1, page_documents_max)),
          backward_(start.backward),
          upward_(request.descending == start.backward) {
        if (start.key) after_ = store::key_of(*start.key);
    }

    void show(bson::Document const& document) {
        ++total_;
        auto const* value = document.find(order_.key);
        std::string key = store::key_of(value == nullptr ? bson::Value() : *value);
        if (after_ && (upward_ ? key <= *after_ : key >= *after_)) {
            passed_ = true;
            return;
        }
        if (kept_.size() > limit_ && (upward_ ? key > kept_.rbegin()->first : key < kept_.begin()->first)) return;
        kept_.insert_or_assign(std::move(key), document);
        // One more than asked for tells whether there is more that way.
        if (kept_.size() > limit_ + 1) kept_.erase(upward_ ? std::prev(kept_.end()) : kept_.begin());
    }

    Page<bson::Document> page() {
        bool const more = kept_.size() > limit_;
        if (more) kept_.erase(upward_ ? std::prev(kept_.end()) : kept_.begin());
        Page<bson::Document> page{.results = {}, .total = total_, .next = {}, .previous = {}};
        for (auto& [key, document] : kept_) page.results.push_back(std::move(document));
        if (upward_ == backward_) std::ranges::reverse(page.results);
        if (page.results.empty()) return page;
        if (backward_ ? more : passed_) page.previous = cursor_to('p', page.results.front(), order_.key);
        if (backward_ ? passed_ : more) page.next = cursor_to('n', page.results.back(), order_.key);
        return page;
    }

private:
    PageOrder const& order_;
    std::size_t limit_;
    bool backward_, upward_, passed_ = false;
    std::optional<std::string> after_;
    std::uint64_t total_ = 0;
    std::map<std::string, bson::Document> kept_;
};

bool has_one_of(bson::Document const& document, std::span<std::string const> tags) {
    return std::ranges::any_of(tags, [&](auto const& tag) { return contains_tag(document.array("tagsview"), tag); });
}

Result<Page<bson::Document>> page_of_matches(store::Documents& documents, store::Collection const& collection,
                                             PageOrder const& order, ListRequest const& request,
                                             Narrowing const& narrowing) {
    MALLARD_TRY_ASSIGN(auto const start, start_of(request.cursor));
    PageKeeper keeper(order, request, start);
    auto const show = [&](bson::Document const& document) {
        if (narrowing.matches(document)) keeper.show(document);
        return true;
    };
    auto const of_tag = [&](std::string const& tag) { return Found{narrowing.tags_index, {to_lower(tag)}}; };
    if (narrowing.found) {
        MALLARD_TRY(walk_index(documents, collection, *narrowing.found, show));
    } else if (!request.required_tags.empty()) {
        MALLARD_TRY(walk_index(documents, collection, of_tag(request.required_tags.front()), show));
    } else if (!request.tags.empty()) {
        std::span<std::string const> const tags = request.tags;
        for (std::size_t i = 0; i < tags.size(); ++i)
            MALLARD_TRY(walk_index(documents, collection, of_tag(tags[i]), [&](bson::Document const& document) {
                return has_one_of(document, tags.first(i)) || show(document);  // one by one, each document once
            }));
    } else {
        MALLARD_TRY(walk(documents, collection, order, std::nullopt, false, batch_documents, show));
    }
    return keeper.page();
}

Result<Page<bson::Document>> page_of_all(store::Documents& documents, store::Collection const& collection,
                                         PageOrder const& order, ListRequest const& request) {
    MALLARD_TRY_ASSIGN(auto const start, start_of(request.cursor));
    std::size_t const limit = std::clamp<std::size_t>(request.limit, 1, page_documents_max);
    Page<bson::Document> page;
    // One more than asked for tells whether there is more that way; the one that the cursor names may come first.
    MALLARD_TRY(walk(documents, collection, order, start.key, request.descending != start.backward, limit + 2,
                     [&](bson::Document const& document) {
                         page.results.push_back(document);
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
    bool const whole = order.equals.empty();  // engines know that count without looking
    MALLARD_TRY_ASSIGN(page.total,
                       documents.count(collection, whole ? store::Query{}
                                                         : store::Query{.index = order.index, .equals = order.equals}));
    return page;
}

}  // namespace

Result<Page<bson::Document>> read_page(store::Documents& documents, store::Collection const& collection,
                                       PageOrder const& order, ListRequest const& request, Narrowing const& narrowing) {
    if (!narrowing.matches) return page_of_all(documents, collection, order, request);
    constexpr int tries_max = 5;
    for (int attempt = 1;; ++attempt) {
        auto page = page_of_matches(documents, collection, order, request, narrowing);
        // A document that a batch ended with was deleted before the next one: from the start.
        if (page || page.error().kind != ErrorKind::not_found || attempt == tries_max) return page;
    }
}

}  // namespace mallard::accounts
