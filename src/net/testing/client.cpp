#include "net/testing/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace mallard::net::testing {

namespace {

// A machine that stops the process for a moment ends waits that have a time limit.
auto uninterrupted(auto const& call) {
    for (;;) {
        errno = 0;
        auto const result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

}  // namespace

struct Client::Impl {
    int fd = -1;
    SSL_CTX* context = nullptr;
    SSL* ssl = nullptr;
    std::string buffer;

    ~Impl() {
        SSL_free(ssl);
        SSL_CTX_free(context);
        if (fd >= 0) ::close(fd);
    }

    bool fill() {
        char piece[16384];
        auto const n = uninterrupted([&]() -> ssize_t {
            return ssl != nullptr ? SSL_read(ssl, piece, sizeof piece) : ::recv(fd, piece, sizeof piece, 0);
        });
        if (n <= 0) return false;
        buffer.append(piece, static_cast<std::size_t>(n));
        return true;
    }
};

Client::Client(std::uint16_t port) : impl_(std::make_unique<Impl>()) {
    impl_->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    timeval const patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(impl_->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(impl_->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(impl_->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
}

Client::~Client() = default;
Client::Client(Client&& other) noexcept = default;

void Client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        auto const n = uninterrupted([&]() -> ssize_t {
            return impl_->ssl != nullptr ? SSL_write(impl_->ssl, bytes.data(), static_cast<int>(bytes.size()))
                                         : ::send(impl_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        });
        if (n <= 0) return;  // the server has closed: the test sees it when it reads
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::string Client::read_line() {
    for (;;) {
        std::size_t const end = impl_->buffer.find('\n');
        if (end != std::string::npos) {
            std::string line = impl_->buffer.substr(0, end + 1);
            impl_->buffer.erase(0, end + 1);
            return line;
        }
        if (!impl_->fill()) return std::exchange(impl_->buffer, {});
    }
}

std::string Client::read_exactly(std::size_t count) {
    while (impl_->buffer.size() < count && impl_->fill());
    std::string bytes = impl_->buffer.substr(0, count);
    impl_->buffer.erase(0, count);
    return bytes;
}

std::string Client::read_to_end() {
    while (impl_->fill());
    return std::exchange(impl_->buffer, {});
}

std::string Client::start_tls(std::string const& server_name, std::string const& ca_file) {
    impl_->context = SSL_CTX_new(TLS_client_method());
    if (!ca_file.empty()) {
        SSL_CTX_load_verify_locations(impl_->context, ca_file.c_str(), nullptr);
        SSL_CTX_set_verify(impl_->context, SSL_VERIFY_PEER, nullptr);
    }
    impl_->ssl = SSL_new(impl_->context);
    if (!server_name.empty()) {
        SSL_set_tlsext_host_name(impl_->ssl, server_name.c_str());
        SSL_set1_host(impl_->ssl, server_name.c_str());
    }
    SSL_set_fd(impl_->ssl, impl_->fd);
    if (uninterrupted([&] { return SSL_connect(impl_->ssl); }) == 1) return {};
    unsigned long const code = ERR_get_error();
    return code == 0 ? "connection lost" : ERR_error_string(code, nullptr);
}

std::string Client::peer_certificate_fingerprint() const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509* const certificate = SSL_get1_peer_certificate(impl_->ssl);
    X509_digest(certificate, EVP_sha256(), digest, &size);
    X509_free(certificate);
    return {reinterpret_cast<char*>(digest), size};
}

void Client::half_close() { ::shutdown(impl_->fd, SHUT_WR); }

}  // namespace mallard::net::testing
