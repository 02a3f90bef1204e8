#include "mime/fields.hpp"

#include <algorithm>
#include <iterator>

#include "base/encoding.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t field_bytes_max = 1024 * 1024;  // as Limits::header_bytes_max

void add_addresses(std::vector<Address>& list, std::string_view raw) {
    std::vector<Address> more = parse_addresses(unfold(raw));
    if (list.empty())
        list = std::move(more);
    else
        std::ranges::move(more, std::back_inserter(list));
}

// Where a field of that name goes, found by its length first: most fields are none of these.
std::vector<Address>* address_field(CommonFields& out, std::string_view name) {
    switch (name.size()) {
        case 2: return iequals(name, "to") ? &out.to : iequals(name, "cc") ? &out.cc : nullptr;
        case 3: return iequals(name, "bcc") ? &out.bcc : nullptr;
        case 4: return iequals(name, "from") ? &out.from : nullptr;
        case 6: return iequals(name, "sender") ? &out.sender : nullptr;
        case 8: return iequals(name, "reply-to") ? &out.reply_to : nullptr;
        default: return nullptr;
    }
}

std::string_view* single_field(CommonFields& out, std::string_view name) {
    switch (name.size()) {
        case 4: return iequals(name, "date") ? &out.date : nullptr;
        case 7: return iequals(name, "subject") ? &out.subject : iequals(name, "list-id") ? &out.list_id : nullptr;
        case 10:
            return iequals(name, "message-id")   ? &out.message_id
                   : iequals(name, "references") ? &out.references
                                                 : nullptr;
        case 11: return iequals(name, "in-reply-to") ? &out.in_reply_to : nullptr;
        case 12: return iequals(name, "thread-index") ? &out.thread_index : nullptr;
        case 16: return iequals(name, "list-unsubscribe") ? &out.list_unsubscribe : nullptr;
        default: return nullptr;
    }
}

}  // namespace

CommonFields common_fields(Entity const& message) {
    CommonFields out;
    for (Field const& field : message.fields) {
        std::string_view const value = field.value.substr(0, field_bytes_max);
        if (std::vector<Address>* const list = address_field(out, field.name)) {
            add_addresses(*list, value);
        } else if (std::string_view* const single = single_field(out, field.name)) {
            if (single != &out.subject || !trim(value).empty()) *single = value;
        }
    }
    return out;
}

}  // namespace mallard::mime
