#pragma once
// What can be set of the IMAP server. Names and defaults: protocols.md §6.3, docs/configuration.md.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mallard::imap {

struct ImapConfig {
    std::uint64_t max_mb = 64;            // imap.maxMB: largest APPEND, told as APPENDLIMIT (RFC 7889)
    std::size_t max_line_length = 16384;  // imap.maxLineLength
    bool disable_starttls = false;        // imap.disableSTARTTLS
    bool allow_plaintext = false;         // auth.allow_plaintext: passwords without TLS
    std::string name = "Mallard IMAP Server";
    std::string version = MALLARD_VERSION;
    std::string vendor = "Mallard";
    std::vector<std::string> quotes;  // what LOGOUT says; empty: "Bye"

    std::size_t errors_max = 50;                      // BAD replies per connection
    std::chrono::milliseconds login_timeout{60'000};  // from the first byte to a successful login
    // RFC 9051 §5.4: at least 30 minutes between commands. Deviation from WildDuck, which closes after 5:37.
    std::chrono::milliseconds idle_timeout{30 * 60'000};
    std::chrono::milliseconds command_timeout{120'000};  // within a command that has begun: its next piece
    std::chrono::milliseconds write_timeout{300'000};    // for the peer to take one chunk of a reply
    std::chrono::milliseconds still_here{337'000};       // IDLE: "* OK Still here"
    std::chrono::milliseconds idle_max{30 * 60'000};     // IDLE: longest

    std::uint64_t append_bytes_max() const { return max_mb << 20; }
};

}  // namespace mallard::imap
