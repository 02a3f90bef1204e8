#include "imap/watch.hpp"

namespace mallard::imap {

void Watch::notify(store::Event const& event) {
    {
        std::lock_guard const lock(mutex_);
        switch (event.kind) {
            case store::Event::Kind::mailbox_changed:
                if (!idling_ || (event.mailbox != selected_ && !event.mailbox.is_nil())) return;
                break;
            case store::Event::Kind::mailbox_deleted:
                if (event.mailbox != selected_) return;
                farewell_ = "Selected mailbox was deleted, have to disconnect";
                break;
            case store::Event::Kind::logout:
                farewell_ = event.reason.empty() ? "Logout requested" : event.reason;
                break;
            case store::Event::Kind::mailbox_created:
            case store::Event::Kind::mailbox_renamed: return;
        }
    }
    if (wake_) wake_();
}

void Watch::select(MailboxId mailbox) {
    std::lock_guard const lock(mutex_);
    selected_ = mailbox;
}

void Watch::set_idling(bool idling) {
    std::lock_guard const lock(mutex_);
    idling_ = idling;
}

std::string Watch::farewell() const {
    std::lock_guard const lock(mutex_);
    return farewell_;
}

}  // namespace mallard::imap
