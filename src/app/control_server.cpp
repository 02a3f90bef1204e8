#include "app/control_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "app/administration.hpp"
#include "base/log.hpp"

namespace mallard::app {

namespace {

constexpr std::size_t channels_max = 64;

bool may_enter(int fd) {
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

struct ControlServer::Impl {
    Core& core;
    std::string path;  // ours to remove; empty: another's
    int listener = -1;
    int stop = -1;  // eventfd: readable once we end
    std::thread acceptor;

    struct Session {
        int fd;
        std::thread thread;
        bool done = false;
    };
    std::mutex mutex;
    std::list<Session> sessions;

    explicit Impl(Core& c) : core(c) {}

    void serve(Session& session) {
        {
            Channel channel(::dup(session.fd));
            serve_channel(core, channel);
        }
        std::lock_guard const lock(mutex);
        ::shutdown(session.fd, SHUT_RDWR);
        session.done = true;
    }

    void join_finished() {  // with the mutex held
        for (auto it = sessions.begin(); it != sessions.end();) {
            if (it->done) {
                it->thread.join();
                ::close(it->fd);
                it = sessions.erase(it);
            } else {
                ++it;
            }
        }
    }

    void accept_all() {
        for (;;) {
            pollfd waiting[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
            if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
            if (waiting[1].revents != 0) return;
            int const fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            std::lock_guard const lock(mutex);
            join_finished();
            if (!may_enter(fd) || sessions.size() >= channels_max) {
                ::close(fd);
                continue;
            }
            Session& session = sessions.emplace_back(Session{.fd = fd, .thread = {}});
            session.thread = std::thread([this, &session] { serve(session); });
        }
    }
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<int> open_control_socket(std::string const& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(
            ErrorKind::invalid,
            fmt::format("{} is too long for a socket's name ({} characters at most): choose a shorter data directory",
                        path, sizeof address.sun_path - 1));
    std::memcpy(address.sun_path, path.data(), path.size());
    int const listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ::unlink(path.c_str());
    mode_t const before = ::umask(0177);
    bool const bound = ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::umask(before);
    if (bound && ::listen(listener, 16) == 0) return listener;
    int const number = errno;
    ::close(listener);
    return fail(ErrorKind::io, fmt::format("cannot listen on {}: {}", path, std::strerror(number)));
}

std::unique_ptr<ControlServer> ControlServer::start(Core& core, int socket, std::string const& path) {
    auto impl = std::make_unique<Impl>(core);
    impl->path = path;
    impl->listener = socket;
    impl->stop = ::eventfd(0, EFD_CLOEXEC);
    impl->acceptor = std::thread([raw = impl.get()] { raw->accept_all(); });
    return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

void ControlServer::stop_accepting() { ::eventfd_write(impl_->stop, 1); }

ControlServer::~ControlServer() {
    stop_accepting();
    impl_->acceptor.join();
    {
        std::lock_guard const lock(impl_->mutex);
        for (auto& session : impl_->sessions) ::shutdown(session.fd, SHUT_RD);  // a command in flight may still answer
    }
    for (auto& session : impl_->sessions) {
        session.thread.join();
        ::close(session.fd);
    }
    ::close(impl_->listener);
    ::close(impl_->stop);
    if (!impl_->path.empty()) ::unlink(impl_->path.c_str());
}

}  // namespace mallard::app
