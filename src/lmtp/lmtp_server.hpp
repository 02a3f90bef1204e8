#pragma once
// LMTP (RFC 2033): where a mail transfer agent hands mail over. The handler serves one connection: it reads lines and
// data, asks the session, and writes what the session says, in one write for everything that came in one.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.hpp"
#include "delivery/delivery.hpp"
#include "net/server.hpp"

namespace mallard::lmtp {

struct LmtpConfig {
    std::string name;                                       // lmtp.name; empty: this machine's
    std::string banner = "Mallard";                         // lmtp.banner
    bool starttls = true;                                   // not lmtp.disableSTARTTLS; needs a certificate too
    std::uint64_t message_bytes_max = 64ull * 1024 * 1024;  // lmtp.maxMB: announced as SIZE
    std::size_t recipients_max = 1000;                      // per transaction (RFC 5321 §4.5.3.1.8 asks for 100)
    std::size_t bad_commands_max = 10;                      // unknown commands; the last one closes
    std::chrono::milliseconds idle_timeout{60'000};         // between commands
    std::chrono::milliseconds data_timeout{5 * 60'000};     // in DATA, for each 256 KiB (RFC 5321 §4.5.3.2.7)
};

// Everything that is passed in must outlive the server.
net::Handler make_lmtp_handler(LmtpConfig config, delivery::Delivery& delivery, net::Server& server);

}  // namespace mallard::lmtp
