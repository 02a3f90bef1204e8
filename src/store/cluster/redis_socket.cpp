#include "store/cluster/redis_socket.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>

namespace mallard::store::cluster {

namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> away(std::string context) {
    return fail(ErrorKind::unavailable, "Redis cannot be reached, try again later", std::move(context));
}

std::string error_text(int error) { return std::generic_category().message(error); }

std::string tls_error() {
    char text[256] = "unknown";
    if (unsigned long const code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return std::string("TLS: ") + text;
}

// False: the time is over.
bool wait_for(int fd, short events, Clock::time_point end) {
    while (true) {
        auto const left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        pollfd one{fd, events, 0};
        int const ready = poll(&one, 1, static_cast<int>(std::max<std::int64_t>(0, left)));
        if (ready > 0) return true;
        if (ready == 0) return false;
        if (errno != EINTR) return true;  // the next call says what it is
    }
}

struct ContextDeleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;

// One for each kind: reading the system's certificates takes its time.
Result<SSL_CTX*> context_of(RedisTls const& tls) {
    static std::mutex mutex;
    static std::map<std::pair<bool, std::string>, Context> contexts;
    std::lock_guard const lock(mutex);
    auto& context = contexts[{tls.verify, tls.ca_file}];
    if (context) return context.get();
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that may be closed
    Context made(SSL_CTX_new(TLS_client_method()));
    if (!made) return fail(ErrorKind::internal, "Internal error", tls_error());
    SSL_CTX_set_min_proto_version(made.get(), TLS1_2_VERSION);
    SSL_CTX_set_mode(made.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(made.get(), tls.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (tls.ca_file.empty())
        SSL_CTX_set_default_verify_paths(made.get());
    else if (SSL_CTX_load_verify_locations(made.get(), tls.ca_file.c_str(), nullptr) != 1)
        return fail(ErrorKind::invalid, "The certificates for Redis cannot be read: " + tls.ca_file, tls_error());
    context = std::move(made);
    return context.get();
}

// A socket that is connected, or -1 and why not.
int connect_to(sockaddr const* address, socklen_t size, int family, Clock::time_point end, std::string& why) {
    int const fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        why = error_text(errno);
        return -1;
    }
    int error = 0;
    if (connect(fd, address, size) != 0) error = errno;
    if (error == EINPROGRESS) {
        socklen_t length = sizeof error;
        if (!wait_for(fd, POLLOUT, end))
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0) return fd;
    why = error_text(error);
    close(fd);
    return -1;
}

int connect_unix(std::string const& path, Clock::time_point end, std::string& why) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        why = "the path of the socket is too long";
        return -1;
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return connect_to(reinterpret_cast<sockaddr const*>(&address), sizeof address, AF_UNIX, end, why);
}

int connect_tcp(RedisAddress const& address, Clock::time_point end, std::string& why) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (int const error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
        why = gai_strerror(error);
        return -1;
    }
    int fd = -1;
    for (auto const* one = found; one != nullptr && fd < 0; one = one->ai_next)
        fd = connect_to(one->ai_addr, one->ai_addrlen, one->ai_family, end, why);
    freeaddrinfo(found);
    if (fd < 0) return fd;
    int const on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return fd;
}

}  // namespace

struct RedisSocket::Tls {
    ~Tls() { SSL_free(ssl); }
    SSL* ssl = nullptr;

    // Calls `step` (an SSL_ function) until it is done. 0: the other side has closed.
    template <class Step>
    Result<int> run(int fd, Clock::time_point end, Step&& step) {
        while (true) {
            ERR_clear_error();
            int const done = step();
            if (done > 0) return done;
            int const why = SSL_get_error(ssl, done);
            if (why == SSL_ERROR_ZERO_RETURN) return 0;
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return away(tls_error());
            if (!wait_for(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, end))
                return fail(ErrorKind::timeout, "Redis does not answer in time");
        }
    }
};

RedisSocket::RedisSocket() = default;

RedisSocket::~RedisSocket() {
    tls_.reset();
    if (fd_ >= 0) close(fd_);
}

Result<std::unique_ptr<RedisSocket>> RedisSocket::open(RedisAddress const& address, RedisTls const& tls,
                                                       std::chrono::milliseconds timeout) {
    auto const end = Clock::now() + timeout;
    std::unique_ptr<RedisSocket> out(new RedisSocket);
    std::string why;
    out->fd_ =
        address.unix_socket.empty() ? connect_tcp(address, end, why) : connect_unix(address.unix_socket, end, why);
    if (out->fd_ < 0) return away(why);
    if (!tls.enabled || !address.unix_socket.empty()) return out;
    MALLARD_TRY_ASSIGN(SSL_CTX* const context, context_of(tls));
    out->tls_ = std::make_unique<Tls>();
    SSL* const ssl = out->tls_->ssl = SSL_new(context);
    if (ssl == nullptr || SSL_set_fd(ssl, out->fd_) != 1)
        return fail(ErrorKind::internal, "Internal error", tls_error());
    in6_addr ignored{};
    bool const is_address = inet_pton(AF_INET, address.host.c_str(), &ignored) == 1 ||
                            inet_pton(AF_INET6, address.host.c_str(), &ignored) == 1;
    if (!is_address) SSL_set_tlsext_host_name(ssl, address.host.c_str());
    if (tls.verify) {
        if (is_address)
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address.host.c_str());
        else
            SSL_set1_host(ssl, address.host.c_str());
    }
    auto const shaken = out->tls_->run(out->fd_, end, [&] { return SSL_connect(ssl); });
    if (!shaken) return std::unexpected(shaken.error());
    if (*shaken == 0) return away("closed during the TLS handshake");
    return out;
}

Result<void> RedisSocket::write(std::string_view bytes, std::chrono::milliseconds timeout) {
    auto const end = Clock::now() + timeout;
    while (!bytes.empty()) {
        if (tls_) {
            auto const count = static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20));
            MALLARD_TRY_ASSIGN(int const sent,
                               tls_->run(fd_, end, [&] { return SSL_write(tls_->ssl, bytes.data(), count); }));
            if (sent == 0) return away("closed by the other side");
            bytes.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        auto const sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0)
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(fd_, POLLOUT, end)) return away("it takes no more data");
        } else if (errno != EINTR)
            return away(error_text(errno));
    }
    return {};
}

Result<void> RedisSocket::read(std::string& out, std::chrono::milliseconds timeout) {
    constexpr std::size_t piece_bytes = 16 * 1024;
    auto const end = Clock::now() + timeout;
    char piece[piece_bytes];
    while (true) {
        if (tls_) {
            MALLARD_TRY_ASSIGN(int const count,
                               tls_->run(fd_, end, [&] { return SSL_read(tls_->ssl, piece, sizeof piece); }));
            if (count == 0) return away("closed by the other side");
            out.append(piece, static_cast<std::size_t>(count));
            return {};
        }
        auto const count = recv(fd_, piece, sizeof piece, 0);
        if (count > 0) {
            out.append(piece, static_cast<std::size_t>(count));
            return {};
        }
        if (count == 0) return away("closed by the other side");
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(fd_, POLLIN, end)) return fail(ErrorKind::timeout, "Redis does not answer in time");
        } else if (errno != EINTR)
            return away(error_text(errno));
    }
}

}  // namespace mallard::store::cluster
