#pragma once
// Failure: how an operation refuses (api.md §5): status, code, sentence, and sometimes more keys.

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "http/json.hpp"

namespace mallard::api {

struct Failure {
    unsigned status = 500;
    std::string code;  // empty: a reply without code
    std::string message;
    http::OrderedJson extra = http::OrderedJson::object();  // merged into the body
    std::string cause = {};                                 // for the log only

    http::OrderedJson body() const;
};

// What the failed call was about: decides the code of not_found, already_exists and denied.
enum class Subject { user, address, mailbox, message, attachment };

// The one place where an ErrorKind becomes a status and a code.
Failure failure_of(Error const& error, Subject subject);

Failure user_not_found();
Failure address_not_found();
Failure mailbox_not_found();
Failure message_not_found();
Failure missing_privileges(std::string message = "Not enough privileges");
Failure invalid_input(std::string message);  // InputValidationError without details
Failure not_offered(std::string what);

}  // namespace mallard::api
