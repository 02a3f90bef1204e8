#pragma once
// For tests: a proxy that reads MongoDB's wire and breaks the connection at the n-th request, before the server has
// seen it or after the server has answered. What the driver does on its own (hello, ping, …) does not count.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace mallard::store::cluster {

inline std::uint16_t port_of_url(std::string const& url) {
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

// The same database through the proxy. Asked directly: a replica set would name its own port.
inline std::string proxied(std::string const& url, std::uint16_t port, std::string const& options) {
    auto const colon = url.rfind(':'), slash = url.find('/', colon), question = url.find('?', colon);
    return url.substr(0, colon + 1) + std::to_string(port) + url.substr(slash, question - slash) +
           "?directConnection=true" + options;
}

class BreakingProxy {
public:
    enum class Point { before_request, before_reply };

    explicit BreakingProxy(std::uint16_t target) : target_(target), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        EXPECT_EQ(0, bind(listener_, reinterpret_cast<sockaddr*>(&address), size));
        EXPECT_EQ(0, listen(listener_, 64));
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::jthread([this] { accept_all(); });
    }
    ~BreakingProxy() {
        shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        close(listener_);
        cut_all();
        pairs_.clear();
    }
    BreakingProxy(BreakingProxy const&) = delete;

    std::uint16_t port() const { return port_; }

    // The n-th request from now (1: the next) ends its connection; for_good: and nothing passes any more. `meanwhile`
    // is called when the server has answered and the client does not know it yet.
    void arm(unsigned n, Point point, bool for_good, std::function<void()> meanwhile = {}) {
        std::lock_guard const lock(mutex_);
        meanwhile_ = std::move(meanwhile);
        left_ = n;
        point_ = point;
        for_good_ = for_good;
        requests_ = 0;
        fired_ = false;
    }
    // Whether it came to that.
    bool disarm() {
        std::lock_guard const lock(mutex_);
        left_ = 0;
        closed_ = false;
        return fired_;
    }
    unsigned requests() const {
        std::lock_guard const lock(mutex_);
        return requests_;
    }

private:
    struct Pair {
        Pair(int client, int server) : client(client), server(server) {}
        ~Pair() {
            cut();
            if (up.joinable()) up.join();
            if (down.joinable()) down.join();
            close(client);
            close(server);
        }
        void cut() const {
            shutdown(client, SHUT_RDWR);
            shutdown(server, SHUT_RDWR);
        }
        int client, server;
        std::atomic<bool> break_at_reply = false;
        std::thread up, down;
    };

    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        return address;
    }

    void accept_all() {
        while (true) {
            int const client = accept(listener_, nullptr, nullptr);
            if (client < 0) return;
            int const server = socket(AF_INET, SOCK_STREAM, 0);
            sockaddr_in const address = loopback(target_);
            int const yes = 1;
            for (int const end : {client, server}) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            std::lock_guard const lock(mutex_);
            if (closed_ || connect(server, reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0) {
                close(client);
                close(server);
                continue;
            }
            auto& pair = *pairs_.emplace_back(std::make_unique<Pair>(client, server));
            pair.up = std::thread([this, &pair] { requests(pair); });
            pair.down = std::thread([this, &pair] { replies(pair); });
        }
    }

    void cut_all() {
        std::lock_guard const lock(mutex_);
        for (auto const& pair : pairs_) pair->cut();
    }

    static bool read_all(int end, char* to, std::size_t size) {
        while (size > 0) {
            auto const got = recv(end, to, size, 0);
            if (got <= 0) return false;
            to += got;
            size -= static_cast<std::size_t>(got);
        }
        return true;
    }
    static bool write_all(int end, std::string_view bytes) {
        while (!bytes.empty()) {
            auto const sent = send(end, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    static bool read_message(int end, std::string& message) {
        std::uint32_t length = 0;
        message.resize(sizeof length);
        if (!read_all(end, message.data(), sizeof length)) return false;
        std::memcpy(&length, message.data(), sizeof length);  // little-endian, as this machine
        if (length < 16 || length > 64U << 20) return false;
        message.resize(length);
        return read_all(end, message.data() + sizeof length, length - sizeof length);
    }
    // OP_MSG: header 16, flags 4, section kind 1, document length 4, type 1, the command's name.
    static bool counts(std::string_view message) {
        constexpr std::size_t name_at = 26;
        constexpr std::int32_t op_msg = 2013;
        std::int32_t operation = 0;
        std::memcpy(&operation, message.data() + 12, sizeof operation);
        if (operation != op_msg || message.size() <= name_at) return false;
        std::string_view const name = message.substr(name_at, message.find('\0', name_at) - name_at);
        for (std::string_view const own : {"hello", "isMaster", "ismaster", "ping", "endSessions"})
            if (name == own) return false;
        return true;
    }

    void requests(Pair& pair) {
        std::string message;
        while (read_message(pair.client, message)) {
            if (counts(message)) {
                std::lock_guard const lock(mutex_);
                ++requests_;
                if (left_ > 0 && --left_ == 0) {
                    fired_ = true;
                    closed_ = for_good_;
                    if (point_ == Point::before_reply) pair.break_at_reply = true;
                    for (auto const& other : pairs_)
                        if (other.get() != &pair ? for_good_ : point_ == Point::before_request) other->cut();
                    if (point_ == Point::before_request) break;
                }
            }
            if (!write_all(pair.server, message)) break;
        }
        pair.cut();
    }

    void replies(Pair& pair) {
        std::string message;
        while (read_message(pair.server, message)) {
            if (pair.break_at_reply) {
                if (meanwhile_) meanwhile_();
                std::lock_guard const lock(mutex_);  // what it did is seen by who calls disarm()
                break;
            }
            if (!write_all(pair.client, message)) break;
        }
        pair.cut();
    }

    std::uint16_t target_, port_ = 0;
    int listener_;
    mutable std::mutex mutex_;
    std::list<std::unique_ptr<Pair>> pairs_;
    std::function<void()> meanwhile_;
    unsigned left_ = 0, requests_ = 0;
    Point point_ = Point::before_request;
    bool for_good_ = false, fired_ = false, closed_ = false;
    std::jthread acceptor_;
};

}  // namespace mallard::store::cluster
