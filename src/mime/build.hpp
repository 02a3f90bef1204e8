#pragma once
// Building messages from fields and parts (REST upload and submit). The result has CRLF line ends.

#include <string>
#include <utility>
#include <vector>

namespace mallard::mime {

struct NewAttachment {
    std::string filename, content_type, content_id,
        disposition;      // disposition empty: attachment (inline with a content id)
    std::string content;  // decoded bytes
};

struct NewMail {
    std::vector<std::pair<std::string, std::string>> fields;  // UTF-8 values; encoded and folded here
    std::string text, html;                                   // UTF-8; both: multipart/alternative
    std::vector<NewAttachment> attachments;
};

std::string build(NewMail const& mail);  // adds MIME-Version, and Date and Message-ID where missing

}  // namespace mallard::mime
