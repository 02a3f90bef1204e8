#include "app/control_protocol.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace mallard::app {

namespace {

constexpr std::size_t header_bytes = 5;

struct Header {
    Frame::Kind kind;
    std::size_t length;
};

Result<Header> parse_header(std::string_view bytes) {
    Header header{static_cast<Frame::Kind>(bytes[4]), 0};
    for (int i = 0; i < 4; ++i) header.length = header.length << 8 | static_cast<unsigned char>(bytes[i]);
    bool const is_json = header.kind == Frame::Kind::json;
    if ((!is_json && header.kind != Frame::Kind::bytes) || header.length > (is_json ? json_frame_max : bytes_frame_max))
        return fail(ErrorKind::invalid, "a frame of the control protocol is malformed");
    return header;
}

// Names and paths are UTF-8 by their modules' rules; what slips through must not end the conversation.
std::string text_of(Json const& object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string encode_frame(Frame::Kind kind, std::string_view payload) {
    std::string frame(header_bytes, '\0');
    for (int i = 0; i < 4; ++i) frame[i] = static_cast<char>(payload.size() >> (24 - 8 * i));
    frame[4] = static_cast<char>(kind);
    frame += payload;
    return frame;
}

std::string encode_frame(Json const& object) { return encode_frame(Frame::Kind::json, text_of(object)); }

Result<std::optional<Frame>> take_frame(std::string& input) {
    if (input.size() < header_bytes) return std::nullopt;
    MALLARD_TRY_ASSIGN(Header const header, parse_header(input));
    if (input.size() - header_bytes < header.length) return std::nullopt;
    Frame frame{header.kind, input.substr(header_bytes, header.length)};
    input.erase(0, header_bytes + header.length);
    return frame;
}

Result<Json> json_of(Frame const& frame) {
    Json object = frame.kind == Frame::Kind::json ? Json::parse(frame.payload, nullptr, false) : Json();
    if (!object.is_object()) return fail(ErrorKind::invalid, "a frame of the control protocol holds no object");
    return object;
}

Channel::Channel(Channel&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Channel::~Channel() {
    if (fd_ >= 0) ::close(fd_);
}

Result<void> Channel::send_frame(Frame::Kind kind, std::string_view payload) {
    std::string const frame = encode_frame(kind, payload);
    std::string_view rest = frame;
    while (!rest.empty()) {
        ssize_t const n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(ErrorKind::closed, "the other side of the control socket is gone", std::strerror(errno));
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> Channel::send(Json const& object) { return send_frame(Frame::Kind::json, text_of(object)); }

Result<void> Channel::send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
        MALLARD_TRY(send_frame(Frame::Kind::bytes, bytes.substr(0, bytes_frame_max)));
        bytes.remove_prefix(std::min(bytes.size(), bytes_frame_max));
    }
    return {};
}

Result<void> Channel::read_all(char* out, std::size_t count) {
    while (count > 0) {
        ssize_t const n = ::recv(fd_, out, count, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(ErrorKind::closed, "the other side of the control socket is gone");
        out += n;
        count -= static_cast<std::size_t>(n);
    }
    return {};
}

Result<Frame> Channel::receive() {
    std::array<char, header_bytes> bytes;
    MALLARD_TRY(read_all(bytes.data(), bytes.size()));
    MALLARD_TRY_ASSIGN(Header const header, parse_header({bytes.data(), bytes.size()}));
    Frame frame{header.kind, std::string(header.length, '\0')};
    MALLARD_TRY(read_all(frame.payload.data(), header.length));
    return frame;
}

Result<Json> Channel::receive_json() {
    MALLARD_TRY_ASSIGN(Frame const frame, receive());
    return json_of(frame);
}

Result<void> Channel::receive_bytes(std::uint64_t count, Spool& into) {
    while (count > 0) {
        MALLARD_TRY_ASSIGN(Frame const frame, receive());
        if (frame.kind != Frame::Kind::bytes || frame.payload.size() > count)
            return fail(ErrorKind::invalid, "a message on the control socket is not as long as was said");
        MALLARD_TRY(into.append(frame.payload));
        count -= frame.payload.size();
    }
    return into.finish();
}

Json error_to_json(Error const& error) {
    return {{"kind", static_cast<int>(error.kind)}, {"message", error.message}, {"context", error.context}};
}

Error error_from_json(Json const& object) {
    int const kind = object.value("kind", static_cast<int>(ErrorKind::internal));
    bool const known = kind >= 0 && kind <= static_cast<int>(ErrorKind::internal);
    return {known ? static_cast<ErrorKind>(kind) : ErrorKind::internal, object.value("message", ""),
            object.value("context", "")};
}

}  // namespace mallard::app
