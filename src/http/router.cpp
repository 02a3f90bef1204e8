#include "http/router.hpp"

#include <algorithm>

#include "http/query.hpp"

namespace mallard::http {
namespace {

constexpr std::size_t segment_max = 196;

template <class String>
std::vector<String> split(std::string_view path) {
    std::vector<String> segments;
    if (path.starts_with('/')) path.remove_prefix(1);
    while (true) {
        auto const slash = path.find('/');
        segments.emplace_back(path.substr(0, slash));
        if (slash == path.npos) return segments;
        path.remove_prefix(slash + 1);
    }
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

bool matches(std::vector<std::string> const& pattern, std::vector<std::string_view> const& segments) {
    if (pattern.size() != segments.size()) return false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (is_parameter(pattern[i]) ? segments[i].empty() : pattern[i] != segments[i]) return false;
    }
    return true;
}

// The first place where one is fixed and the other is not decides.
bool more_specific(std::vector<std::string> const& a, std::vector<std::string> const& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (is_parameter(a[i]) != is_parameter(b[i])) return is_parameter(b[i]);
    }
    return false;
}

}  // namespace

std::vector<Field const*> Operation::fields() const {
    std::vector<Field const*> all;
    for (auto const* part : {&path_fields, &query_fields, &body_fields}) {
        for (Field const& field : *part) all.push_back(&field);
    }
    return all;
}

Router::Router(std::vector<Operation const*> operations) {
    for (std::size_t i = 0; i < operations.size(); ++i) {
        entries_.push_back({i, operations[i]->method, split<std::string>(operations[i]->path)});
    }
}

Route Router::find(std::string_view method, std::string_view path) const {
    Route route;
    if (!path.starts_with('/')) return route;
    auto const segments = split<std::string_view>(path);
    if (std::ranges::any_of(segments, [](std::string_view s) { return s.size() > segment_max; })) return route;

    Entry const* best = nullptr;
    for (Entry const& entry : entries_) {
        if (!matches(entry.segments, segments)) continue;
        route.allowed.push_back(entry.method);
        if (entry.method == method && (!best || more_specific(entry.segments, best->segments))) best = &entry;
    }
    if (!best) {
        if (!route.allowed.empty()) route.outcome = Route::Outcome::method_not_allowed;
        std::ranges::sort(route.allowed);
        route.allowed.erase(std::ranges::unique(route.allowed).begin(), route.allowed.end());
        return route;
    }
    route.allowed.clear();
    route.outcome = Route::Outcome::found;
    route.operation = best->operation;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (!is_parameter(best->segments[i])) continue;
        auto const& name = best->segments[i];
        route.parameters.emplace_back(name.substr(1, name.size() - 2), percent_decode(segments[i], false));
    }
    return route;
}

}  // namespace mallard::http
