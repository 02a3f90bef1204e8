#pragma once
// The log: lines with fields, as text for people, JSON, or GELF over UDP (protocols.md §9), chosen once at start.
// Passwords and message contents never reach a log. Thread-safe after log_start.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard {

enum class LogLevel { trace, debug, info, warning, error, off };

struct LogField {
    std::string_view key;  // without GELF's leading underscore: "sess", "user", "ip", "mailbox"
    std::string value;
};

// Who a line is about. Every line of a session carries it.
struct LogContext {
    std::string_view component;  // "imap", "lmtp", "api", ...
    std::string_view session;
    std::string_view user;
    std::string_view address;  // the peer's
};

struct LogConfig {
    LogLevel level = LogLevel::info;
    std::string format = "text";  // text | json
    std::string file;             // empty: stderr
    bool gelf_enabled = false;
    std::string gelf_host = "127.0.0.1";
    std::uint16_t gelf_port = 12201;
    std::string gelf_hostname;  // empty: this machine's name
    std::string gelf_component = "mallard";
    std::size_t gelf_chunk_bytes = 8154;  // per datagram; 1420 across the internet
};

Result<void> log_start(LogConfig const& config);  // may be called again (SIGHUP)
bool log_enabled(LogLevel level);
void log(LogLevel level, LogContext const& who, std::string_view message, std::initializer_list<LogField> fields = {});
void log(LogLevel level, LogContext const& who, std::string_view message, std::span<LogField const> fields);

}  // namespace mallard
