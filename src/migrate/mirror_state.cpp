#include "migrate/mirror_state.hpp"

#include <algorithm>
#include <map>

namespace mallard::migrate {

namespace {

constexpr std::chrono::seconds ttl_slack{5};

bool ttl_differs(store::StateEntry const& a, store::StateEntry const& b) {
    return a.ttl && b.ttl && (*a.ttl > *b.ttl + ttl_slack || *b.ttl > *a.ttl + ttl_slack);
}

Result<void> put(store::SharedState& state, store::StateEntry const& entry) {
    MALLARD_TRY(state.erase(entry.key));
    if (!entry.fields.empty()) MALLARD_TRY(state.set_hash(entry.key, entry.fields, entry.ttl));
    for (auto const& member : entry.members) MALLARD_TRY(state.add_member(entry.key, member));
    return {};
}

}  // namespace

bool same_entry(store::StateEntry const& a, store::StateEntry const& b) {
    return a.key == b.key && a.fields == b.fields && a.members == b.members && a.ttl.has_value() == b.ttl.has_value();
}

Result<std::vector<store::StateEntry>> kept_entries(store::SharedState const& state) {
    std::vector<store::StateEntry> out;
    for (auto const prefix : store::lasting_keys) {
        MALLARD_TRY_ASSIGN(auto entries, state.entries(prefix));
        std::ranges::move(entries, std::back_inserter(out));
    }
    return out;
}

Result<std::uint64_t> mirror_state(Side const& from, Side const& to) {
    MALLARD_TRY_ASSIGN(auto const source, kept_entries(from.state));
    MALLARD_TRY_ASSIGN(auto const there, kept_entries(to.state));
    std::map<std::string_view, store::StateEntry const*> target;
    for (auto const& entry : there) target.emplace(entry.key, &entry);
    std::uint64_t changes = 0;
    for (auto const& entry : source) {
        auto const known = target.find(entry.key);
        if (known == target.end() || !same_entry(entry, *known->second)) {
            ++changes;
            MALLARD_TRY(put(to.state, entry));
        } else if (ttl_differs(entry, *known->second)) {
            MALLARD_TRY(to.state.expire(entry.key, *entry.ttl));
        }
        if (known != target.end()) target.erase(known);
    }
    for (auto const& [key, entry] : target) {
        ++changes;
        MALLARD_TRY(to.state.erase(key));
    }
    return changes;
}

}  // namespace mallard::migrate
