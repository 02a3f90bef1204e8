#pragma once
// How a message's record and a mailbox's settings lie on disk. The record's sections are length-prefixed up front, so
// that reading some copies only those. Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

std::string encode_record(MessageRecord const& record);
// Fills `record` (and reuses its memory); sections that are not wanted become empty. corrupt.
Result<void> decode_record(std::string_view bytes, unsigned fields, MessageRecord& record);

std::string encode_mailbox(MailboxInfo const& info);
Result<MailboxInfo> decode_mailbox(MailboxId id, std::string_view bytes);  // corrupt

}  // namespace mallard::store::embedded
