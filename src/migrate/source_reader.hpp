#pragma once
// Messages out of a store, in portions that fit into memory.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/spool.hpp"
#include "store/mail_store.hpp"

namespace mallard::migrate {

// One message's record and bytes.
class ReadMessage {
public:
    store::Row const* row = nullptr;
    store::MessageRecord record;
    std::string_view source() const { return spool_ ? spool_->view() : std::string_view(text_); }

private:
    friend Result<std::vector<ReadMessage>> read_messages(store::MailStore&, MailboxId,
                                                          std::span<store::Row const* const>);
    std::string text_;
    std::optional<Spool> spool_;  // large ones
};

// Those that are still stored, in order.
Result<std::vector<ReadMessage>> read_messages(store::MailStore& mail, MailboxId mailbox,
                                               std::span<store::Row const* const> rows);

// Cuts rows into portions of bounded size; visits each.
Result<void> in_portions(std::span<store::Row const* const> rows,
                         std::function<Result<void>(std::span<store::Row const* const>)> const& visit);

}  // namespace mallard::migrate
