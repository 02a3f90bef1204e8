#pragma once
// What lists and previews show of a message (storage.md §11.2): decoded subject, addresses, text, html, intro,
// attachments. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mime/header.hpp"
#include "mime/message.hpp"

namespace mallard::mime {

struct Attachment {
    std::string id;  // "ATT00001", in tree order
    std::string filename, content_type, disposition, transfer_encoding;
    std::string content_id;          // with <>; empty: none
    bool related = false;            // inside multipart/related
    std::uint64_t size = 0;          // encoded octets
    std::size_t begin = 0, end = 0;  // the encoded body in the source
};

struct Summary {
    std::string subject;     // decoded, whitespace collapsed
    std::string message_id;  // with <>, empty: none
    std::string in_reply_to;
    std::vector<std::string> references;
    std::string date;  // raw Date: value
    std::vector<Address> from, sender, reply_to, to, cc, bcc;
    std::string list_id, list_unsubscribe;
    std::string intro;  // at most 128 characters and an ellipsis
    std::vector<Attachment> attachments;
    bool has_attachments = false;  // at least one outside multipart/related
    std::string content_type;      // "multipart/mixed"
};

// cheap: does not decode bodies beyond what the intro needs (at most 64 KiB).
Summary summarize(Entity const& message, std::string_view source);

// The bodies a reader shows: plain text (LF line ends) and HTML parts, decoded, each bounded by `bytes_max` in total.
struct Texts {
    std::string text;
    std::vector<std::string> html;
};
Texts texts(Entity const& message, std::string_view source, std::size_t bytes_max = 1024 * 1024);

// storage.md §11.4
std::vector<std::string> thread_refs(Entity const& message, std::string_view source);  // hashed, at most 10
std::string thread_subject(std::string_view subject);

}  // namespace mallard::mime
