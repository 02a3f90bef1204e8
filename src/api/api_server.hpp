#pragma once
// The REST API: one http::Handler for all of it. Threads: the handler may run on many worker threads at once.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "http/http.hpp"
#include "mailboxes/mailboxes.hpp"
#include "store/events.hpp"
#include "store/shared_state.hpp"

namespace mallard::api {

struct ApiConfig {                           // names as protocols.md §6.6
    std::string access_token;                // accessToken: a fixed token of role root; empty: none
    bool access_control = true;              // accessControl.enabled: every call needs a token
    bool metrics = true;                     // metrics.enabled: /metrics, open to everyone
    std::vector<std::string> cors = {"*"};   // cors.origins
    std::int64_t token_ttl = 1'209'600;      // accessControl.tokenTTL, seconds
    std::int64_t pop3_max_messages = 250;    // shown as a user's default limit
    std::int64_t imap_max_connections = 15;  // likewise
    std::uint64_t inflated_body_max = 128ull * 1024 * 1024;
};

// What the API works on; all of it outlives the handler.
struct Services {
    accounts::Accounts& accounts;
    mailboxes::Mailboxes& mailboxes;
    store::SharedState& state;
    store::Events& events;
    Clock const& clock;
};

http::Handler make_handler(Services services, ApiConfig config);

// The document that /openapi.json serves.
std::string openapi_json();

}  // namespace mallard::api
