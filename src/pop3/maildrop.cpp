#include "pop3/maildrop.hpp"

#include <algorithm>
#include <charconv>

namespace mallard::pop3 {

namespace {

std::string state_key(UserId user) { return "pxm:" + user.hex(); }  // storage.md §14

store::Uid remembered_uid(store::SharedState const& state, UserId user, MailboxId inbox) {
    auto const hash = state.hash(state_key(user));
    if (!hash) return 0;  // what may be lost is not worth failing a login
    auto const entry = hash->find(inbox.hex());
    store::Uid uid = 0;
    if (entry != hash->end()) std::from_chars(entry->second.data(), entry->second.data() + entry->second.size(), uid);
    return uid;
}

}  // namespace

Result<Maildrop> Maildrop::open(mailboxes::Mailboxes& mailboxes, store::SharedState& state, UserId user,
                                std::size_t messages_max) {
    MALLARD_TRY_ASSIGN(auto inbox, mailboxes.find(user, "INBOX"));
    MALLARD_TRY_ASSIGN(auto snapshot, mailboxes.snapshot(inbox.id));
    Maildrop drop;
    drop.user_ = user;
    drop.inbox_ = inbox.id;
    store::Uid const remembered = remembered_uid(state, user, inbox.id);
    std::uint32_t const size = snapshot->size();
    std::uint32_t first = size - static_cast<std::uint32_t>(std::min<std::size_t>(size, messages_max));
    first = std::max(first, snapshot->lower_bound(remembered));
    drop.messages_.reserve(size - first);
    for (std::uint32_t n = first; n < size; ++n) drop.messages_.push_back({.row = snapshot->row(n)});
    if (!drop.messages_.empty() && drop.messages_.front().row.uid != remembered)
        static_cast<void>(
            state.set_hash(state_key(user), {{inbox.id.hex(), std::to_string(drop.messages_.front().row.uid)}}));
    return drop;
}

std::size_t Maildrop::count() const {
    return static_cast<std::size_t>(std::ranges::count(messages_, false, &Message::deleted));
}

std::uint64_t Maildrop::bytes() const {
    std::uint64_t sum = 0;
    for (auto const& message : messages_)
        if (!message.deleted) sum += message.row.size;
    return sum;
}

void Maildrop::reset() {
    for (auto& message : messages_) message.deleted = false;
}

Result<std::unique_ptr<store::BodyReader>> Maildrop::body(mailboxes::Mailboxes& mailboxes,
                                                          Message const& message) const {
    return mailboxes.store().body(inbox_, message.row);
}

Result<void> Maildrop::update(mailboxes::Mailboxes& mailboxes) const {
    store::UidSet seen, deleted;
    for (auto const& message : messages_) {
        bool const was_seen = (message.row.system & store::seen) != 0;
        if ((message.fetched || message.deleted) && !was_seen) seen.add(message.row.uid);
        if (message.deleted) deleted.add(message.row.uid);
    }
    if (!seen.empty())
        MALLARD_TRY(mailboxes.change_flags(inbox_, seen, {store::FlagMode::add, {.system = store::seen}, {}}));
    if (deleted.empty()) return {};
    auto const trash = mailboxes.find_special(user_, "\\Trash");
    if (trash) {
        MALLARD_TRY(mailboxes.move(user_, inbox_, deleted, trash->id));
    } else if (trash.error().kind == ErrorKind::not_found) {
        MALLARD_TRY(mailboxes.expunge(inbox_, deleted, false));
    } else {
        return std::unexpected(trash.error());
    }
    return {};
}

}  // namespace mallard::pop3
