#include "app/control_client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "app/administration.hpp"
#include "app/control_server.hpp"

namespace mallard::app {

namespace {

constexpr auto patience = std::chrono::seconds(10);  // for a server that is just starting, or a command that ends

Result<Channel> connect_socket(std::string const& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, path + " is too long for a socket's name");
    std::memcpy(address.sun_path, path.data(), path.size());
    Channel channel(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(channel.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return fail(errno == EACCES ? ErrorKind::denied : ErrorKind::unavailable,
                    fmt::format("cannot reach the server at {}: {}", path, std::strerror(errno)));
    return channel;
}

}  // namespace

Result<std::unique_ptr<Administration>> Administration::open(config::Settings const& settings, std::string_view role) {
    MALLARD_TRY_ASSIGN(DataDirectory directory, DataDirectory::open(settings.text("dataDir")));
    std::unique_ptr<Administration> self(new Administration(std::move(directory)));
    auto const give_up = std::chrono::steady_clock::now() + patience;
    for (;;) {
        if (auto const channel = connect_socket(self->directory_.file(control_socket_name)); channel)
            return self;
        else if (channel.error().kind == ErrorKind::denied)
            return std::unexpected(channel.error());
        auto lock = self->directory_.lock(role);
        if (lock) {
            self->lock_ = *std::move(lock);
            MALLARD_TRY_ASSIGN(self->core_, open_core(settings, self->directory_));
            return self;
        }
        if (lock.error().kind != ErrorKind::conflict || std::chrono::steady_clock::now() > give_up)
            return std::unexpected(lock.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

Administration::~Administration() {
    for (std::thread& thread : threads_) thread.join();
}

Result<Channel> Administration::connect() {
    if (!core_) return connect_socket(directory_.file(control_socket_name));
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail(ErrorKind::io, "cannot make a socket pair", std::strerror(errno));
    threads_.emplace_back([core = core_.get(), fd = ends[0]] {
        Channel channel(fd);
        serve_channel(*core, channel);
    });
    return Channel(ends[1]);
}

Result<Json> Administration::call(Json const& request, OnProgress const& progress) {
    MALLARD_TRY_ASSIGN(Channel channel, connect());
    MALLARD_TRY(channel.send(request));
    return receive_result(channel, progress);
}

Result<Json> receive_result(Channel& channel, Administration::OnProgress const& progress) {
    for (;;) {
        MALLARD_TRY_ASSIGN(Json reply, channel.receive_json());
        if (auto const it = reply.find("error"); it != reply.end()) return std::unexpected(error_from_json(*it));
        if (auto const it = reply.find("result"); it != reply.end()) return *it;
        if (auto const it = reply.find("progress"); it != reply.end() && progress) progress(it->at(0), it->at(1));
    }
}

}  // namespace mallard::app
