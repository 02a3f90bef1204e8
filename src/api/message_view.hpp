#pragma once
// Messages as JSON: what lists and readers show (api.md §15.1, §15.2), from the info document made at delivery.

#include <expected>
#include <string>
#include <string_view>

#include "api/endpoint.hpp"
#include "base/spool.hpp"
#include "store/bson.hpp"
#include "store/mail_store.hpp"

namespace mallard::api {

// A message found by the path parameters.
struct FoundMessage {
    store::Snapshot index;  // keeps the row alive
    store::Row const* row = nullptr;
    store::MailboxInfo const& mailbox() const { return index->info; }
};

// The mailbox of the path, if it is the user's: UserNotFound, NoSuchMailbox.
std::expected<store::Snapshot, Failure> open_mailbox(Call& call);
// The message of the path: MessageNotFound.
std::expected<FoundMessage, Failure> find_message(Call& call);
std::expected<store::MessageRecord, Failure> record_of(Call& call, FoundMessage const& message);
// All its bytes, in memory or mapped.
std::expected<Spool, Failure> source_of(Call& call, FoundMessage const& message);

// The info and meta documents of a record; empty ones when damaged.
struct Documents {
    bson::Document info, meta;
};
Documents documents_of(store::MessageRecord const& record);

std::string message_id_of(bson::Document const& info, store::Row const& row);  // made up when there is none
OrderedJson sender_of(Documents const& documents);
OrderedJson addresses_of(bson::Document const& info, std::string_view key);  // [] when absent
OrderedJson attachments_of(bson::Document const& info);                      // as listed
void add_flags(store::MailboxIndex const& index, store::Row const& row, OrderedJson& item);
bool has_keyword(store::MailboxIndex const& index, store::Row const& row, std::string_view keyword);

OrderedJson list_item(store::MailboxIndex const& index, store::Row const& row, store::MessageRecord const& record,
                      bool with_meta_data);

http::Schema listed_message();
http::Schema shown_message();

}  // namespace mallard::api
