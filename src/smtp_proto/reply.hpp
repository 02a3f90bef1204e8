#pragma once
// Replies on the SMTP wire (RFC 5321 §4.2, RFC 2034, RFC 3463), and which one an Error becomes. Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::smtp {

struct Reply {
    int code = 250;
    std::string status;  // enhanced status code, "2.1.0"; empty for greetings, LHLO/EHLO and 354 (RFC 2034 §4)
    std::string text;    // lines are split by \n
    bool operator==(Reply const&) const = default;
    bool is_error() const { return code >= 400; }
};

// "250-2.1.0 first\r\n250 2.1.0 last\r\n". Control characters in the text become '?'.
std::string render(Reply const& reply);

// What an error of recipients and messages becomes, in the one place for SMTP and LMTP.
Reply reply_for(Error const& error);

}  // namespace mallard::smtp
