#pragma once
// Events: "something of this user changed", from whoever changed it to whoever shows it. An event says where to look,
// never what changed: the reader asks the store (so a lost or doubled event does no harm).
// Threads: publish from any thread; callbacks come on the publisher's thread or one of the engine's, must be quick and
// must not call back in.

#include <functional>
#include <memory>
#include <string>

#include "base/ids.hpp"

namespace mallard::store {

struct Event {
    enum class Kind {
        mailbox_changed,  // messages or flags of `mailbox`
        mailbox_created,
        mailbox_renamed,
        mailbox_deleted,  // sessions that have it selected say BYE
        logout,           // every session of the user says BYE with `reason`
    };
    Kind kind = Kind::mailbox_changed;
    UserId user;
    MailboxId mailbox;   // nil for logout, and where it is not known which: any of the user's
    std::string reason;  // logout only
};

class Subscription {  // ends with its destruction; after that no callback runs any more
public:
    virtual ~Subscription() = default;
};

class Events {
public:
    virtual ~Events() = default;
    virtual std::unique_ptr<Subscription> subscribe(UserId user, std::function<void(Event const&)> callback) = 0;
    virtual void publish(Event const& event) = 0;
};

}  // namespace mallard::store
