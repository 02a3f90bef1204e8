#pragma once
// RedisSocket: a connection to a Redis over TCP, TLS or a Unix socket, with a deadline on every wait. Belongs to one
// thread at a time.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::store::cluster {

struct RedisAddress {
    std::string host;
    std::uint16_t port = 0;
    std::string unix_socket;  // instead of host and port
    bool operator==(RedisAddress const&) const = default;
};

struct RedisTls {
    bool enabled = false;
    bool verify = true;   // the server's certificate and its name
    std::string ca_file;  // empty: the system's
    bool operator==(RedisTls const&) const = default;
};

class RedisSocket {
public:
    static Result<std::unique_ptr<RedisSocket>> open(RedisAddress const& address, RedisTls const& tls,
                                                     std::chrono::milliseconds timeout);
    ~RedisSocket();
    RedisSocket(RedisSocket const&) = delete;

    Result<void> write(std::string_view bytes, std::chrono::milliseconds timeout);
    // Appends what is there, waiting for it; timeout when nothing comes, unavailable when the connection is lost.
    Result<void> read(std::string& out, std::chrono::milliseconds timeout);

private:
    struct Tls;
    RedisSocket();
    int fd_ = -1;
    std::unique_ptr<Tls> tls_;
};

}  // namespace mallard::store::cluster
