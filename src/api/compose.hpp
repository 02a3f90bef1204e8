#pragma once
// A message made of the structured fields of an upload (api.md §15.6).

#include <expected>
#include <string>
#include <vector>

#include "accounts/user.hpp"
#include "api/endpoint.hpp"
#include "mime/build.hpp"
#include "mime/header.hpp"

namespace mallard::api {

// What a reply or forward takes from the message it refers to.
struct Referenced {
    MailboxId mailbox;
    std::uint32_t uid = 0;
    std::string action;      // reply, replyAll, forward
    std::string message_id;  // with <>
    std::vector<std::string> references;
    std::string subject;            // with Re: or Fwd:
    std::vector<mime::Address> to;  // of a reply
    std::vector<mime::NewAttachment> attachments;
};

// nullopt: none asked for, or the message is not there.
std::expected<std::optional<Referenced>, Failure> referenced_message(Call& call, accounts::User const& user);

struct Composed {
    std::string source;
    std::string from;                     // envelope
    std::vector<std::string> recipients;  // envelope
};
Result<Composed> compose(Call& call, accounts::User const& user, std::optional<Referenced> const& referenced,
                         bool draft);

// Images given as data: URIs in the HTML become inline attachments with a content id.
std::string extract_images(std::string_view html, std::string_view id_domain, std::vector<mime::NewAttachment>& images);

}  // namespace mallard::api
