#pragma once
// One FETCH response: "* n FETCH (...)" from a row, its record and its octets.

#include <string>
#include <string_view>
#include <vector>

#include "imap/sections.hpp"
#include "imap_proto/fetch.hpp"
#include "mime/imap_structure.hpp"
#include "store/index.hpp"
#include "store/mail_store.hpp"

namespace mallard::imap {

struct Target {
    std::uint32_t number;   // sequence number
    store::Row const* row;  // of the newest snapshot
};

// What a record gave, kept until the octets are there. Empty where not asked for.
struct Known {
    bool found = false;
    std::string envelope, body, body_structure;
    mime::Part parts;
};

// Which record fields the items need (store::RecordField bits), and whether they need octets.
struct Needs {
    unsigned record = 0;
    std::size_t contents = 0;  // items that carry octets
};
Needs needs_of(std::vector<imap_proto::FetchItem> const& items);

// All items but contents, from the record at hand.
void append_item(std::string& out, imap_proto::FetchItem const& item, store::MailboxIndex const& index,
                 store::Row const& row, std::string_view envelope, std::string_view body,
                 std::string_view body_structure);

// The whole response of a message whose octets are at hand (or that needs none).
void append_response(std::string& out, std::vector<imap_proto::FetchItem> const& items,
                     store::MailboxIndex const& index, Target target, Known const& known, std::string_view octets);

void append_response_begin(std::string& out, std::uint32_t number);

}  // namespace mallard::imap
