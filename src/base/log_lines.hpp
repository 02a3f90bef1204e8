#pragma once
// What a log line looks like: text for people, JSON, GELF (protocols.md §9). Pure; log.cpp owns where lines go.
//
// - One line is one line: control characters of a value are escaped, so no client can forge a line.
// - JSON is valid whatever the bytes: what is not UTF-8 becomes U+FFFD.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"

namespace mallard {

struct LogLine {
    LogLevel level = LogLevel::info;
    TimeMs time = 0;
    LogContext who;
    std::string_view message;
    std::span<LogField const> fields;
    std::string_view worker;  // of the process, where a server has several
};

std::string_view name_of(LogLevel level);

// "2026-01-02T03:04:05.678Z info  imap message sess=… user=… ip=… worker=… key=value"
std::string text_line(LogLine const& line);
// {"time":…,"level":…,"component":…,"message":…,"_sess":…}: the fields are named as in GELF.
std::string json_line(LogLine const& line);
// The GELF document, not compressed. `host` and `facility` name the sender.
std::string gelf_message(LogLine const& line, std::string_view host, std::string_view facility);

// zlib's format (RFC 1950), as GELF over UDP takes it.
std::string zlib_compress(std::string_view bytes);
// The datagrams of one message: itself when it fits, else chunks (magic 1e 0f, 8 bytes of id, number, count). Empty
// when it would take more than 128: GELF cannot carry it.
std::vector<std::string> gelf_datagrams(std::string_view message, std::string_view eight_byte_id,
                                        std::size_t chunk_bytes);

}  // namespace mallard
