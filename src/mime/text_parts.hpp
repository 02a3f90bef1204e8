#pragma once
// Which parts of a message are shown as its text, and which are attachments (storage.md §10.1, §11.2).

#include <functional>
#include <string>
#include <string_view>

#include "mime/message.hpp"

namespace mallard::mime {

struct Visit {
    Entity const& part;  // not multipart, not empty
    bool inline_text;    // shown as text; else an attachment
    bool alternative;    // inside multipart/alternative
    bool related;        // inside multipart/related
};

// In tree order; the parts of an embedded message after the part that carries it. `visit` returns false to stop.
void visit_leaves(Entity const& message, std::function<bool(Visit const&)> const& visit);

bool is_html(Entity const& part);

// Decoded to UTF-8, format=flowed (RFC 3676 §4) unwrapped, LF line ends; reads at most `encoded_max` octets.
std::string decode_text(Entity const& part, std::string_view source, std::size_t encoded_max);

}  // namespace mallard::mime
