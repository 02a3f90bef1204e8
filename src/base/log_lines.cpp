#include "base/log_lines.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/encoding.hpp"

namespace mallard {

namespace {

constexpr std::size_t gelf_chunks_max = 128;
constexpr std::size_t gelf_chunk_header = 12;

// WildDuck logs these as JSON numbers; everything else is text.
constexpr std::array<std::string_view, 20> numeric_fields = {"size",
                                                             "uid",
                                                             "uid_validity",
                                                             "modseq",
                                                             "message_count",
                                                             "message_size",
                                                             "row_count",
                                                             "total_bytes",
                                                             "query_time",
                                                             "copied_messages",
                                                             "storage_used",
                                                             "inc",
                                                             "limit",
                                                             "message_uid",
                                                             "message_transferred_size",
                                                             "total_sent_bytes",
                                                             "port",
                                                             "literal_expecting",
                                                             "literal_allowed",
                                                             "ratelimit_ttl"};

bool is_number(LogField const& field) {
    return std::find(numeric_fields.begin(), numeric_fields.end(), field.key) != numeric_fields.end() &&
           !field.value.empty() && field.value.size() <= 15 &&
           field.value.find_first_not_of("0123456789") == std::string::npos &&
           (field.value.size() == 1 || field.value[0] != '0');
}

// The length of the valid UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
    for (std::size_t n = 1; n <= 4 && n <= text.size(); ++n)
        if (is_valid_utf8(text.substr(0, n))) return n;
    return 0;
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        char const c = text.front();
        std::size_t length = 1;
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else if (static_cast<unsigned char>(c) < 0x80) {
            out += c;
        } else if ((length = utf8_length(text)) > 0) {
            out += text.substr(0, length);
        } else {
            out += "\xEF\xBF\xBD";  // U+FFFD
            length = 1;
        }
        text.remove_prefix(length);
    }
    out += '"';
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
    if (value.empty()) return;
    if (out.size() > 1) out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
}

void append_field(std::string& out, LogField const& field) {
    std::string const key = "_" + std::string(field.key);
    if (!is_number(field)) return append_member(out, key, field.value);
    if (out.size() > 1) out += ',';
    append_json_string(out, key);
    out += ':';
    out += field.value;
}

bool has_field(LogLine const& line, std::string_view key) {
    return std::any_of(line.fields.begin(), line.fields.end(), [&](LogField const& f) { return f.key == key; });
}

// The context's members, unless the line's own fields say more.
void append_context(std::string& out, LogLine const& line) {
    if (!has_field(line, "sess")) append_member(out, "_sess", line.who.session);
    if (!has_field(line, "user")) append_member(out, "_user", line.who.user);
    if (!has_field(line, "ip")) append_member(out, "_ip", line.who.address);
    if (!has_field(line, "worker")) append_member(out, "_worker", line.worker);
}

void append_text_escaped(std::string& out, std::string_view text) {
    for (char const c : text) {
        if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            out += c;
    }
}

void append_text_value(std::string& out, std::string_view key, std::string_view value) {
    if (value.empty()) return;
    out += ' ';
    out += key;
    out += '=';
    if (value.find_first_of(" \t\"=") == std::string_view::npos) return append_text_escaped(out, value);
    out += '"';
    for (char const c : value) {
        if (c == '"' || c == '\\') out += '\\';
        append_text_escaped(out, {&c, 1});
    }
    out += '"';
}

std::string iso_time(TimeMs time) {
    auto const seconds = static_cast<std::time_t>(time / 1000);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), time % 1000);
}

int syslog_level(LogLevel level) {
    switch (level) {
        case LogLevel::trace:
        case LogLevel::debug: return 7;
        case LogLevel::info: return 6;
        case LogLevel::warning: return 4;
        case LogLevel::error:
        case LogLevel::off: return 3;
    }
    return 6;
}

}  // namespace

std::string_view name_of(LogLevel level) {
    switch (level) {
        case LogLevel::trace: return "trace";
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warning: return "warning";
        case LogLevel::error: return "error";
        case LogLevel::off: return "off";
    }
    return "off";
}

std::string text_line(LogLine const& line) {
    std::string out = fmt::format("{} {:<7} {} ", iso_time(line.time), name_of(line.level), line.who.component);
    append_text_escaped(out, line.message);
    if (!has_field(line, "sess")) append_text_value(out, "sess", line.who.session);
    if (!has_field(line, "user")) append_text_value(out, "user", line.who.user);
    if (!has_field(line, "ip")) append_text_value(out, "ip", line.who.address);
    if (!has_field(line, "worker")) append_text_value(out, "worker", line.worker);
    for (LogField const& field : line.fields) append_text_value(out, field.key, field.value);
    return out;
}

std::string json_line(LogLine const& line) {
    std::string out = "{";
    append_member(out, "time", iso_time(line.time));
    append_member(out, "level", name_of(line.level));
    append_member(out, "component", line.who.component);
    append_member(out, "message", line.message);
    append_context(out, line);
    for (LogField const& field : line.fields) append_field(out, field);
    return out + "}";
}

std::string gelf_message(LogLine const& line, std::string_view host, std::string_view facility) {
    std::string out = "{";
    append_member(out, "version", "1.0");
    append_member(out, "host", host);
    append_member(out, "short_message", to_upper(facility) + " " + std::string(line.message));
    append_member(out, "facility", facility);
    append_member(out, "_component", facility);
    append_member(out, "_service", has_field(line, "service") ? std::string_view() : line.who.component);
    out += fmt::format(",\"timestamp\":{}.{:03},\"level\":{}", line.time / 1000, line.time % 1000,
                       syslog_level(line.level));
    append_context(out, line);
    bool const has_stack = has_field(line, "full_message");
    for (LogField const& field : line.fields) {
        if (field.value.empty() || field.value == "0" || field.value == "false") continue;  // as WildDuck: falsy
        if (field.key == "full_message")
            append_member(out, "full_message", field.value);
        else if (field.key == "error" && !has_stack)
            append_member(out, "_failure_msg", field.value);
        else
            append_field(out, field);
    }
    return out + "}";
}

std::string zlib_compress(std::string_view bytes) {
    uLongf size = compressBound(bytes.size());
    std::string out(size, '\0');
    // Z_BUF_ERROR and Z_MEM_ERROR are the only failures; the bound excludes the one, bad_alloc stands for the other.
    if (compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<Bytef const*>(bytes.data()),
                 bytes.size()) != Z_OK)
        throw std::bad_alloc();
    out.resize(size);
    return out;
}

std::vector<std::string> gelf_datagrams(std::string_view message, std::string_view eight_byte_id,
                                        std::size_t chunk_bytes) {
    if (message.size() <= chunk_bytes) return {std::string(message)};
    std::size_t const payload = chunk_bytes - gelf_chunk_header;
    std::size_t const count = (message.size() + payload - 1) / payload;
    std::vector<std::string> out;
    if (count > gelf_chunks_max) return out;
    for (std::size_t i = 0; i < count; ++i) {
        std::string datagram = "\x1e\x0f";
        datagram += eight_byte_id.substr(0, 8);
        datagram += static_cast<char>(i);
        datagram += static_cast<char>(count);
        datagram += message.substr(i * payload, payload);
        out.push_back(std::move(datagram));
    }
    return out;
}

}  // namespace mallard
