#include "net/socket_stream.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/tls_session.hpp"

namespace mallard::net {

namespace {

namespace asio = boost::asio;
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;

constexpr auto as_result = asio::as_tuple(asio::deferred);

std::unexpected<Error> closed(char const* what = "") {
    return fail(ErrorKind::closed, "the peer has closed the connection", what);
}

bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK; }

class TcpStream final : public SocketStream, private TimerWheel::Timer {
public:
    TcpStream(IoThread& thread, int socket, Address const& peer)
        : thread_(thread), socket_(thread.context().get_executor()), peer_(peer) {
        socket_.assign(asio::ip::tcp::v6(), socket);
    }

    ~TcpStream() override {
        if (tls_ && !closed_) tls_->say_goodbye();
    }

    Result<std::size_t> try_read(char* out, std::size_t max) override {
        MALLARD_TRY(check());
        if (tls_) {
            auto const n = tls_->read(out, max);
            read_waits_for_write_ = tls_->wants_write();
            return n;
        }
        return receive(out, max, MSG_DONTWAIT);
    }

    Async<Result<void>> wait_readable() override {
        return wait(read_waits_for_write_ ? Socket::wait_write : Socket::wait_read);
    }

    Async<Result<std::size_t>> read_some(char* out, std::size_t max) override {
        for (;;) {
            auto const n = try_read(out, max);
            if (!n || *n > 0) co_return n;
            if (auto waited = co_await wait_readable(); !waited) co_return std::unexpected(waited.error());
        }
    }

    Async<Result<void>> write(std::string_view bytes) override {
        while (!bytes.empty()) {
            auto const n = try_write(bytes);
            if (!n) co_return std::unexpected(n.error());
            bytes.remove_prefix(*n);
            if (*n > 0) continue;
            if (auto waited = co_await wait(write_waits_for_read_ ? Socket::wait_read : Socket::wait_write); !waited)
                co_return std::unexpected(waited.error());
        }
        co_return Result<void>();
    }

    Async<Result<void>> start_tls(TlsContext const& context) override {
        if (auto usable = check(); !usable) co_return usable;
        tls_ = std::make_unique<TlsSession>(context, fd());
        for (;;) {
            auto const done = tls_->handshake();
            if (!done) co_return std::unexpected(done.error());
            if (*done) break;
            if (auto waited = co_await wait(tls_->wants_write() ? Socket::wait_write : Socket::wait_read); !waited)
                co_return waited;
        }
        co_return Result<void>();
    }

    TlsInfo tls() const override { return tls_ ? tls_->info() : TlsInfo(); }

    void expires_after(std::chrono::milliseconds from_now) override {
        expired_ = false;
        thread_.schedule(*this, from_now);
    }

    void interrupt() override {
        if (waiting_) cancel();
    }

    void close() override {
        if (closed_) return;
        if (tls_) tls_->say_goodbye();
        closed_ = true;
        ::shutdown(fd(), SHUT_RDWR);
        if (waiting_) cancel();
    }

    bool finish_writing() override {
        if (closed_) return false;
        if (tls_) tls_->say_goodbye();
        ::shutdown(fd(), SHUT_WR);
        tls_.reset();  // what still comes is only read to be dropped
        int waiting = 0;
        return ::ioctl(fd(), FIONREAD, &waiting) == 0 && waiting > 0;
    }

    Result<std::size_t> peek(char* out, std::size_t max) override {
        MALLARD_TRY(check());
        return receive(out, max, MSG_DONTWAIT | MSG_PEEK);
    }

    void set_addresses(Address const& peer, std::optional<Address> const& local) override {
        peer_ = peer;
        if (local) proxied_local_ = std::make_unique<Address>(*local);
    }

    Address const& peer() const override { return peer_; }
    std::string peer_address() const override { return peer_.to_string(); }
    std::uint16_t peer_port() const override { return peer_.port; }
    std::string local_address() const override { return local().to_string(); }
    std::uint16_t local_port() const override { return local().port; }

private:
    int fd() const { return const_cast<Socket&>(socket_).native_handle(); }

    Result<void> check() const {
        if (closed_) return fail(ErrorKind::closed, "the connection has been closed");
        if (expired_) return fail(ErrorKind::timeout, "the peer took too long");
        return {};
    }

    Result<std::size_t> receive(char* out, std::size_t max, int flags) {
        ssize_t n;
        do n = ::recv(fd(), out, max, flags);
        while (n < 0 && errno == EINTR);
        if (n > 0) return static_cast<std::size_t>(n);
        if (n == 0) return closed();
        if (would_block(errno)) return 0;
        return closed(std::strerror(errno));
    }

    Result<std::size_t> try_write(std::string_view bytes) {
        MALLARD_TRY(check());
        if (tls_) {
            auto const n = tls_->write(bytes);
            write_waits_for_read_ = n && *n == 0 && !tls_->wants_write();
            return n;
        }
        ssize_t n;
        do n = ::send(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (would_block(errno)) return 0;
        return closed(std::strerror(errno));
    }

    Async<Result<void>> wait(Socket::wait_type direction) {
        if (auto usable = check(); !usable) co_return usable;
        waiting_ = true;
        co_await socket_.async_wait(direction, as_result);
        waiting_ = false;
        co_return check();
    }

    void cancel() {
        boost::system::error_code ignored;
        socket_.cancel(ignored);
    }

    void on_expired() override {
        expired_ = true;
        if (waiting_) cancel();
    }

    Address local() const {
        if (proxied_local_) return *proxied_local_;
        sockaddr_storage storage{};
        socklen_t size = sizeof storage;
        ::getsockname(fd(), reinterpret_cast<sockaddr*>(&storage), &size);
        return address_of(storage);
    }

    IoThread& thread_;
    Socket socket_;
    std::unique_ptr<TlsSession> tls_;
    std::unique_ptr<Address> proxied_local_;
    Address peer_;
    bool closed_ = false;
    bool expired_ = false;
    bool waiting_ = false;
    bool read_waits_for_write_ = false;
    bool write_waits_for_read_ = false;
};

}  // namespace

std::unique_ptr<SocketStream> make_socket_stream(IoThread& thread, int socket, Address const& peer) {
    return std::make_unique<TcpStream>(thread, socket, peer);
}

}  // namespace mallard::net
