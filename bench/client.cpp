#include "client.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace bench {

namespace {

SSL_CTX* tls_context() {
    static SSL_CTX* const context = [] {
        SSL_CTX* c = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
        SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
        return c;
    }();
    return context;
}

[[noreturn]] void broken(std::string const& what) { throw std::runtime_error(what); }

// "{123}" or "{123+}" at the end of a line: how many octets follow.
bool literal_size(std::string_view line, std::uint64_t& size) {
    if (line.empty() || line.back() != '}') return false;
    auto const open = line.rfind('{');
    if (open == std::string_view::npos) return false;
    auto const [end, error] = std::from_chars(line.data() + open + 1, line.data() + line.size(), size);
    return error == std::errc() && end == line.data() + line.size() - 1;
}

}  // namespace

Client::Client(Target const& target) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target.port);
    if (!target.source.empty()) {
        sockaddr_in source{};
        source.sin_family = AF_INET;
        if (inet_pton(AF_INET, target.source.c_str(), &source.sin_addr) != 1 ||
            ::bind(fd_, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0)
            broken("cannot connect from " + target.source);
    }
    if (inet_pton(AF_INET, target.host.c_str(), &address.sin_addr) != 1) broken("not an IPv4 address: " + target.host);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        broken(fmt::format("connect {}:{}: {}", target.host, target.port, std::strerror(errno)));
    int const one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (target.tls) {
        ssl_ = SSL_new(tls_context());
        SSL_set_fd(ssl_, fd_);
        if (SSL_connect(ssl_) != 1) broken("TLS handshake failed");
    }
}

Client::~Client() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
}

void Client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t n = 0;
        if (ssl_ != nullptr)
            n = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1u << 30)));
        else
            n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) {
            if (n < 0 && errno == EINTR) continue;
            broken("the server closed the connection while we were sending");
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::size_t Client::fill() {
    constexpr std::size_t block = 256 * 1024;
    if (begin_ == end_) begin_ = end_ = 0;
    if (begin_ > 0 && end_ == buffer_.size()) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < 4096) buffer_.resize(buffer_.empty() ? 8192 : std::max(buffer_.size() * 2, block));
    ssize_t n = 0;
    do {
        n = ssl_ != nullptr ? SSL_read(ssl_, buffer_.data() + end_, static_cast<int>(buffer_.size() - end_))
                            : ::recv(fd_, buffer_.data() + end_, buffer_.size() - end_, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) broken("the server closed the connection");
    end_ += static_cast<std::size_t>(n);
    received_ += static_cast<std::uint64_t>(n);
    return static_cast<std::size_t>(n);
}

std::string_view Client::line() {
    std::size_t scanned = 0;
    for (;;) {
        auto const* from = buffer_.data() + begin_ + scanned;
        auto const* lf = static_cast<char const*>(std::memchr(from, '\n', end_ - begin_ - scanned));
        if (lf != nullptr) {
            std::string_view text(buffer_.data() + begin_, static_cast<std::size_t>(lf - buffer_.data()) - begin_);
            begin_ = static_cast<std::size_t>(lf - buffer_.data()) + 1;
            if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
            return text;
        }
        scanned = end_ - begin_;
        fill();
    }
}

void Client::skip(std::uint64_t bytes) {
    while (bytes > 0) {
        if (begin_ == end_) fill();
        std::uint64_t const here = std::min<std::uint64_t>(bytes, end_ - begin_);
        begin_ += here;
        bytes -= here;
    }
}

void Client::reply(char expected) {
    for (;;) {
        auto const text = line();
        if (text.size() < 4 || text[0] != expected) broken("unexpected reply: " + std::string(text));
        if (text[3] == ' ') return;
    }
}

std::string Client::next_tag() { return fmt::format("t{}", ++tag_); }

std::uint64_t Client::finish(std::string_view tag) {
    std::uint64_t untagged = 0;
    for (;;) {
        auto text = line();
        std::uint64_t size = 0;
        if (text.starts_with("* ")) {
            ++untagged;
            if (text.size() < 400) last_untagged_.assign(text);
        } else if (text.starts_with(tag) && text.size() > tag.size() && text[tag.size()] == ' ') {
            if (text.substr(tag.size() + 1, 2) != "OK") broken("the server refused: " + std::string(text));
            return untagged;
        }
        if (literal_size(text, size)) skip(size);
    }
}

std::uint64_t Client::command(std::string_view text) {
    auto const tag = next_tag();
    send(fmt::format("{} {}\r\n", tag, text));
    return finish(tag);
}

void Client::login(std::string const& user, std::string const& password) {
    command(fmt::format("LOGIN {} {}", user, password));
}

void Client::append(std::string_view mailbox, std::string_view message, bool literal_plus) {
    auto const tag = next_tag();
    auto head = fmt::format("{} APPEND {} {{{}{}}}\r\n", tag, mailbox, message.size(), literal_plus ? "+" : "");
    if (literal_plus) {
        head.append(message).append("\r\n");
        send(head);
    } else {
        send(head);
        if (!line().starts_with("+")) broken("no continuation for APPEND");
        send(std::string(message) + "\r\n");
    }
    finish(tag);
}

}  // namespace bench
