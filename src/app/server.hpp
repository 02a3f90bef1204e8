#pragma once
// The composition root: every object of the server, built once, in the order of the layers, and joined.
//
// - Ports are bound before anything is served; a failure leaves nothing behind.
// - reload() changes what may change in a running server (certificates, log); connections stay.
// - The destructor stops in reverse order: no connection outlives what it uses.

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/control_server.hpp"
#include "app/core.hpp"
#include "app/ports.hpp"
#include "base/log.hpp"
#include "http/server_connection.hpp"
#include "net/server.hpp"
#include "net/workers.hpp"
#include "tasks/upkeep.hpp"

namespace mallard::app {

// What a supervisor gives to its workers. It holds the data directory for them.
struct Inherited {
    std::map<std::string, int, std::less<>> sockets;  // by option: "imap.port"
    int control = -1;                                 // listens on DIR/control.sock
};

class Server {
public:
    static Result<std::unique_ptr<Server>> start(config::Settings settings,
                                                 std::optional<Inherited> inherited = std::nullopt);
    ~Server();

    Result<void> reload(config::Settings const& settings);
    void stop_accepting();  // others have our sockets too
    void drain(std::chrono::milliseconds grace);

    std::vector<Listening> const& listening() const { return listening_; }
    DataDirectory const& directory() const { return directory_; }
    Core& core() { return *core_; }
    config::Settings const& settings() const { return settings_; }

private:
    Server(config::Settings settings, std::optional<Inherited> inherited, DataDirectory directory);
    Result<void> load_certificate(config::Settings const& settings);
    Result<void> make_certificate(std::string const& certificate, std::string const& key);
    Result<void> make_admin_token();
    Result<void> listen_all();
    Result<void> listen_imap();
    Result<void> listen_pop3();
    Result<void> listen_lmtp();
    Result<void> listen_api();
    Result<void> listen(std::string_view port_key, std::string refusal, net::Handler handler);
    Result<void> start_control();

    config::Settings settings_;
    std::optional<Inherited> inherited_;
    DataDirectory directory_;
    std::unique_ptr<DataDirectory::Lock> lock_;
    std::unique_ptr<Core> core_;
    http::Handler api_;
    http::ServerConfig http_;
    std::unique_ptr<net::Workers> workers_;
    std::unique_ptr<net::Server> net_;
    std::unique_ptr<ControlServer> control_;
    std::unique_ptr<tasks::Upkeep> upkeep_;
    std::vector<Listening> listening_;
};

LogConfig log_config(config::Settings const& settings);

}  // namespace mallard::app
