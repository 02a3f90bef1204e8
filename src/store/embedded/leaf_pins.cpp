#include "store/embedded/leaf_pins.hpp"

namespace mallard::store::embedded {

LeafPins::Hold::~Hold() {
    if (hashes_.empty()) return;
    std::lock_guard const lock(pins_->mutex_);
    for (auto const& hash : hashes_) {
        auto const it = pins_->states_.find(hash);
        if (--it->second.pins == 0) pins_->states_.erase(it);
    }
}

void LeafPins::Hold::pin(std::string const& hash) {
    hashes_.reserve(hashes_.size() + 1);
    std::unique_lock lock(pins_->mutex_);
    pins_->unmarked_.wait(lock, [&] {
        auto const it = pins_->states_.find(hash);
        return it == pins_->states_.end() || !it->second.marked;
    });
    ++pins_->states_[hash].pins;
    hashes_.push_back(hash);
}

void LeafPins::Hold::stored() {
    if (hashes_.empty()) return;
    std::lock_guard const lock(pins_->mutex_);
    if (pins_->stored_.size() + hashes_.size() > stored_max) pins_->stored_.clear();
    pins_->stored_.insert(hashes_.begin(), hashes_.end());
}

bool LeafPins::known_stored(std::string const& hash) const {
    std::lock_guard const lock(mutex_);
    return stored_.contains(hash);
}

bool LeafPins::mark(std::string const& hash) {
    std::lock_guard const lock(mutex_);
    State& state = states_[hash];
    if (state.pins > 0 || state.marked) return false;
    state.marked = true;
    stored_.erase(hash);
    return true;
}

void LeafPins::unmark(std::string const& hash) {
    {
        std::lock_guard const lock(mutex_);
        states_.erase(hash);
    }
    unmarked_.notify_all();
}

}  // namespace mallard::store::embedded
