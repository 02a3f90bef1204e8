#pragma once
// LeafPins: keeps a shared leaf from being freed between the moment an append finds it there and its commit.
// - An append pins a leaf before it looks; the sweep frees only what it could mark, and never marks a pinned leaf.
// - Who pins a marked leaf waits until the sweep is done with it (it never waits itself, so nobody waits in a circle).
// Thread-safe.

#include <condition_variable>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace mallard::store::embedded {

class LeafPins {
public:
    // Holds pins of one append; let go by destruction.
    class Hold {
    public:
        explicit Hold(LeafPins& pins) : pins_(&pins) {}
        Hold(Hold&& other) noexcept : pins_(other.pins_), hashes_(std::move(other.hashes_)) { other.hashes_.clear(); }
        Hold(Hold const&) = delete;
        Hold& operator=(Hold const&) = delete;
        ~Hold();
        void pin(std::string const& hash);
        void stored();  // the append is committed: these leaves are there

    private:
        LeafPins* pins_;
        std::vector<std::string> hashes_;
    };

    bool known_stored(std::string const& hash) const;  // only while pinned

    bool mark(std::string const& hash);    // false: pinned
    void unmark(std::string const& hash);  // freed, or left alone

private:
    struct State {
        unsigned pins = 0;
        bool marked = false;
    };
    static constexpr std::size_t stored_max = 65'536;  // remembered; then forgotten all at once

    mutable std::mutex mutex_;
    std::condition_variable unmarked_;
    std::unordered_map<std::string, State> states_;
    std::unordered_set<std::string> stored_;
};

}  // namespace mallard::store::embedded
