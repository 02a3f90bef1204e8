#pragma once
// ExpirySuite: messages that expire, and their custom metadata, on every engine.

#include <optional>
#include <string>

#include "store/bson.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::conformance {

class ExpirySuite : public MailStoreSuite {
protected:
    std::optional<TimeMs> expiry(MailboxId mailbox, Uid uid) {
        auto const index = snapshot(mailbox);
        auto const n = index->find(uid);
        EXPECT_TRUE(n) << uid;
        if (!n) return std::nullopt;
        auto const when = mail().expiry(mailbox, index->row(*n));
        EXPECT_TRUE(when) << when.error().message;
        return when.value_or(std::nullopt);
    }
    void wait_until(TimeMs time) { backend->clock().advance(time - backend->clock().now()); }
    std::uint64_t remove_all_expired() {
        std::uint64_t removed = 0;
        while (true) {
            auto const some = mail().remove_expired();
            EXPECT_TRUE(some) << some.error().message;
            if (!some || *some == 0) return removed;
            removed += *some;
        }
    }
    void expire_at(MailboxId mailbox, UidSet const& uids, std::optional<TimeMs> when) {
        auto const patched = mail().patch(mailbox, uids, {.custom = {}, .expires = {when}});
        ASSERT_TRUE(patched) << patched.error().message;
        EXPECT_EQ(*patched, uids);
    }
    void retain(MailboxId mailbox, std::int64_t ms) {
        ASSERT_TRUE(mail().update_mailbox(mailbox, {.retention_ms = ms}));
    }
    std::string custom(MailboxId mailbox, Uid uid) {
        auto const index = snapshot(mailbox);
        Row const* row = &index->row(*index->find(uid));
        std::string found;
        EXPECT_TRUE(mail().records(mailbox, {&row, 1}, want_meta, [&](std::size_t, MessageRecord const& record) {
            auto const meta = bson::Document::decode(record.meta);
            if (meta) found = meta->text("custom");
        }));
        return found;
    }
};

}  // namespace mallard::store::conformance
