#pragma once
// MailboxCache: the open mailboxes, each once. The least used that nobody holds go when there are too many.
// Thread-safe.

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "store/embedded/mailbox_open.hpp"

namespace mallard::store::embedded {

class MailboxCache {
public:
    MailboxCache(kv::Engine& engine, std::int64_t rows_max, std::size_t mailboxes_max)
        : engine_(engine), rows_max_(rows_max), mailboxes_max_(mailboxes_max) {}

    std::shared_ptr<OpenMailbox> open(MailboxId id);         // not loaded yet: its first use does that
    std::shared_ptr<OpenMailbox> find(MailboxId id);         // only if it is open
    void drop(std::shared_ptr<OpenMailbox> const& mailbox);  // the next to open it gets a new one
    std::vector<std::shared_ptr<OpenMailbox>> all();

private:
    struct Entry {
        std::shared_ptr<OpenMailbox> mailbox;
        std::list<MailboxId>::iterator place;
    };
    void evict();

    kv::Engine& engine_;
    std::int64_t const rows_max_;
    std::size_t const mailboxes_max_;
    std::atomic<std::int64_t> rows_open_ = 0;
    std::mutex mutex_;
    std::unordered_map<MailboxId, Entry> entries_;
    std::list<MailboxId> order_;  // the last used first
};

}  // namespace mallard::store::embedded
