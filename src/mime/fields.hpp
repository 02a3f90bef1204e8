#pragma once
// The fields of a message that ENVELOPE and summaries show, collected in one pass (storage.md §9.6): addresses of
// several fields of one name are joined, of other fields the last is taken, of Subject the last that is not blank.

#include <string_view>
#include <vector>

#include "mime/header.hpp"
#include "mime/message.hpp"

namespace mallard::mime {

struct CommonFields {
    std::string_view date, subject, in_reply_to, message_id;  // raw
    std::string_view references, thread_index, list_id, list_unsubscribe;
    std::vector<Address> from, sender, reply_to, to, cc, bcc;
};

CommonFields common_fields(Entity const& message);

}  // namespace mallard::mime
