#pragma once
// Delivery: one message to its recipients (delivery.md §4, protocols.md §3). Threads: any.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "mailboxes/mailboxes.hpp"

namespace mallard::delivery {

struct Envelope {
    std::string sender;             // empty: the null reverse-path
    std::string transaction;        // id for logs and meta
    std::string client_name;        // LHLO
    std::string client_address;     // IP
    std::string client_host;        // reverse name or "[ip]"
    std::string protocol = "LMTP";  // LMTP, LMTPS, LMTPA...: RFC 3848
    std::string server_name;        // who received it, for Received:
};

struct Recipient {
    std::string address;  // as given
    UserId user;
    std::string main_address;
};

// What became of one recipient's copy.
struct Outcome {
    Result<store::Appended> stored;
    std::string mailbox_path;
};

class Delivery {
public:
    Delivery(accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes, Clock const& clock);

    // RCPT TO: not_found (550 5.1.1), denied (disabled or suspended), over_quota (552 5.2.2) before any data is sent.
    Result<Recipient> recipient(std::string_view address) const;
    // One outcome per recipient, in order: INBOX with Return-Path, Delivered-To and Received in front.
    std::vector<Outcome> deliver(Envelope const& envelope, std::vector<Recipient> const& recipients,
                                 std::string_view message);

private:
    accounts::Accounts& accounts_;
    mailboxes::Mailboxes& mailboxes_;
    Clock const& clock_;
};

}  // namespace mallard::delivery
