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
    static Result<std::unique_ptr<ControlServer>> start(Core& core, std::string const& socket_path);
    ~ControlServer();  // ends all channels, waits for commands in flight

private:
    struct Impl;
    explicit ControlServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

inline constexpr std::string_view control_socket_name = "control.sock";

}  // namespace mallard::app
