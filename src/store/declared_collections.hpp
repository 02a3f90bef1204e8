#pragma once
// DeclaredCollections: what was declared to a Documents, with texts of its own. Thread-safe.

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "store/documents.hpp"

namespace mallard::store {

class DeclaredCollections {
public:
    void note(Collection const& collection);  // a later one of the same name and role takes the place of the earlier
    std::vector<Collection> list() const;     // texts live as long as this object
    bool has(Collection const& collection) const;

private:
    struct Entry {
        Collection collection;
        std::deque<std::string> texts;
        bool outdated = false;
    };
    mutable std::mutex mutex_;
    std::deque<Entry> entries_;
};

}  // namespace mallard::store
