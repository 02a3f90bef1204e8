#pragma once
// Listens on DIR/control.sock (mode 0600) and serves commands, a thread per channel. Only root and the server's own
// user are let in.

#include <memory>
#include <string>

#include "app/core.hpp"
#include "base/error.hpp"

namespace mallard::app {

class ControlServer {
public:
    // Takes the listening socket over. `path` is removed at the end; empty: it is another's (a supervisor's).
    static std::unique_ptr<ControlServer> start(Core& core, int socket, std::string const& path);
    void stop_accepting();  // another process has the socket too
    ~ControlServer();       // ends all channels, waits for commands in flight

private:
    struct Impl;
    explicit ControlServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

inline constexpr std::string_view control_socket_name = "control.sock";

// A listening socket there, non-blocking, mode 0600; one that is left over is removed: we hold the directory's lock.
Result<int> open_control_socket(std::string const& path);

}  // namespace mallard::app
