#pragma once
// Watch: what the event bus has told one session since it last looked. Written by any thread, read by the session.

#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "store/events.hpp"

namespace mallard::imap {

class Watch {
public:
    explicit Watch(std::function<void()> wake) : wake_(std::move(wake)) {}

    void notify(store::Event const& event);  // quick; never calls back into the bus

    void select(MailboxId mailbox);  // nil: none
    void set_idling(bool idling);    // only an idling session is woken for changes of its mailbox
    std::string farewell() const;    // why the session must say BYE; empty: it need not

private:
    std::function<void()> wake_;
    mutable std::mutex mutex_;
    MailboxId selected_;
    bool idling_ = false;
    std::string farewell_;
};

}  // namespace mallard::imap
