#pragma once
// Delivery: one message to its recipients (delivery.md §4, protocols.md §3).
//
// - Every recipient gets exactly one outcome, in order, whatever happens to the others.
// - The bytes that came are stored as they came, behind the trace headers.
// - A user who is named twice gets one copy; the second name's outcome is that of the first.
// - The message is parsed once for all recipients, and its bytes are never copied: the spool leaves room in front for
//   the one line that differs.
// - At most `large_at_once` large messages are worked on at a time; others wait.
// Threads: any.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "base/spool.hpp"
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
    std::shared_ptr<accounts::User const> account;
};

// What became of one recipient's copy.
struct Outcome {
    Result<store::Appended> stored;
    std::string mailbox_path;
    bool duplicate = false;  // the same user stood before in the list: `stored` is that copy
    bool loop = false;       // `stored` is an error: it has come through too many servers
};

// A message on its way in. `spool` already holds what goes in front; the bytes are appended to it as they come.
struct Incoming {
    Spool spool;
    std::size_t room = 0;     // for "Delivered-To: ...", which differs per recipient
    std::size_t message = 0;  // where the message itself begins
};

inline constexpr std::size_t received_fields_max = 100;           // more: a loop (RFC 5321 §6.3)
inline constexpr std::uint64_t large_bytes = 4ull * 1024 * 1024;  // deliver() these on Pool::long_work
inline constexpr std::ptrdiff_t large_at_once = 4;

class Delivery {
public:
    Delivery(accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes, Clock const& clock);
    ~Delivery();

    // RCPT TO: not_found (550 5.1.1), denied (disabled or suspended), over_quota (552 5.2.2) before any data is sent;
    // `size` is what MAIL announced, or 0.
    Result<Recipient> recipient(std::string_view address, std::uint64_t size = 0) const;

    // recipient() would answer from memory: it may be called on a network thread.
    bool is_at_hand(std::string_view address) const;

    // The trace headers, and room for the one that differs.
    Incoming begin(Envelope const& envelope, std::vector<Recipient> const& recipients) const;
    // One outcome per recipient, in order: INBOX with Delivered-To, Return-Path and Received in front.
    // Precondition: `incoming` is from begin() with the same arguments, and its spool is finished.
    std::vector<Outcome> deliver(Envelope const& envelope, std::vector<Recipient> const& recipients,
                                 Incoming& incoming);
    // The same for bytes that are at hand (copies them).
    std::vector<Outcome> deliver(Envelope const& envelope, std::vector<Recipient> const& recipients,
                                 std::string_view message);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::delivery
