#pragma once
// What the command line and the server say to each other over DIR/control.sock: frames over a stream socket.
//
//   frame    = length (4 bytes, big-endian, of the payload) kind payload
//   kind     = 'J' a JSON object | 'B' bytes of a message, at most 256 KiB
//   request  = J {"command": …, arguments…} [B…]
//   reply    = [J {"progress": [done, total]} …] [J {"message": …} B…] J {"result": …} | J {"error": {kind, message}}
//
// One request at a time per channel; several channels may be open. Blocking. A channel belongs to one thread.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/spool.hpp"

namespace mallard::app {

using Json = nlohmann::json;

inline constexpr std::size_t json_frame_max = 16 * 1024 * 1024;
inline constexpr std::size_t bytes_frame_max = 256 * 1024;

struct Frame {
    enum class Kind : char { json = 'J', bytes = 'B' };
    Kind kind = Kind::json;
    std::string payload;
};

// The frame as it goes over the wire, and the first whole frame off the front of what came (none: more must come). For
// who cannot block.
std::string encode_frame(Frame::Kind kind, std::string_view payload);
std::string encode_frame(Json const& object);
Result<std::optional<Frame>> take_frame(std::string& input);
Result<Json> json_of(Frame const& frame);

class Channel {
public:
    explicit Channel(int fd) : fd_(fd) {}
    Channel(Channel&& other) noexcept;
    Channel& operator=(Channel&&) = delete;
    ~Channel();

    Result<void> send(Json const& object);
    Result<void> send_bytes(std::string_view bytes);  // in as many frames as it takes; none for no bytes
    Result<Frame> receive();                          // closed: the other side is gone
    Result<Json> receive_json();
    Result<void> receive_bytes(std::uint64_t count, Spool& into);
    int fd() const { return fd_; }

private:
    Result<void> send_frame(Frame::Kind kind, std::string_view payload);
    Result<void> read_all(char* out, std::size_t count);
    int fd_;
};

// Errors on the wire.
Json error_to_json(Error const& error);
Error error_from_json(Json const& object);

}  // namespace mallard::app
