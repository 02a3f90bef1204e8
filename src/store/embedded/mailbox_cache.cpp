#include "store/embedded/mailbox_cache.hpp"

namespace mallard::store::embedded {

std::shared_ptr<OpenMailbox> MailboxCache::open(MailboxId id) {
    std::lock_guard const lock(mutex_);
    if (auto const it = entries_.find(id); it != entries_.end()) {
        order_.splice(order_.begin(), order_, it->second.place);
        return it->second.mailbox;
    }
    evict();
    auto mailbox = std::make_shared<OpenMailbox>(engine_, id, rows_open_);
    order_.push_front(id);
    entries_[id] = {mailbox, order_.begin()};
    return mailbox;
}

std::shared_ptr<OpenMailbox> MailboxCache::find(MailboxId id) {
    std::lock_guard const lock(mutex_);
    auto const it = entries_.find(id);
    return it == entries_.end() ? nullptr : it->second.mailbox;
}

void MailboxCache::drop(std::shared_ptr<OpenMailbox> const& mailbox) {
    std::lock_guard const lock(mutex_);
    auto const it = entries_.find(mailbox->id());
    if (it == entries_.end() || it->second.mailbox != mailbox) return;
    order_.erase(it->second.place);
    entries_.erase(it);
}

std::vector<std::shared_ptr<OpenMailbox>> MailboxCache::all() {
    std::lock_guard const lock(mutex_);
    std::vector<std::shared_ptr<OpenMailbox>> mailboxes;
    for (auto const& [id, entry] : entries_) mailboxes.push_back(entry.mailbox);
    return mailboxes;
}

// A mailbox is taken from the map only while nobody else holds it; who wants it next waits for the lock we hold.
void MailboxCache::evict() {
    std::size_t looked_at = 0;
    auto place = order_.end();
    while (place != order_.begin() && looked_at++ < 1000 &&
           (entries_.size() >= mailboxes_max_ || rows_open_ > rows_max_)) {
        --place;
        auto const it = entries_.find(*place);
        if (it->second.mailbox.use_count() > 1) continue;
        entries_.erase(it);
        place = order_.erase(place);
    }
}

}  // namespace mallard::store::embedded
