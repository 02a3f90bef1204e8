#pragma once
// Stream: bytes to and from one peer. TCP, TLS on it, or memory (tests). Belongs to one network thread.
// Results: closed (the peer is gone), timeout (the deadline passed), io.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::net {

template <class T>
using Async = boost::asio::awaitable<T>;

class TlsContext;

struct TlsInfo {
    bool active = false;
    std::string version;  // "TLSv1.3"
    std::string cipher;
    std::string server_name;  // SNI, empty: none
};

class Stream {
public:
    virtual ~Stream() = default;
    // Reads what is here, at most `max`, without waiting; 0: nothing yet (then wait_readable).
    virtual Result<std::size_t> try_read(char* out, std::size_t max) = 0;
    // After a try_read that gave 0. May return early (interrupt): try_read decides.
    virtual Async<Result<void>> wait_readable() = 0;
    // Waits until bytes can be read without needing a buffer, then reads at most `max`. 0 never: closed instead.
    virtual Async<Result<std::size_t>> read_some(char* out, std::size_t max) = 0;
    virtual void interrupt() = 0;  // makes a wait_readable in flight return early. From the stream's own thread.
    virtual Async<Result<void>> write(std::string_view bytes) = 0;         // all of them
    virtual Async<Result<void>> start_tls(TlsContext const& context) = 0;  // as the server
    virtual TlsInfo tls() const = 0;
    // All following operations fail with timeout once it has passed (up to 100 ms late). Reset by the next call:
    // who wants to say goodbye after a timeout sets a new deadline first.
    virtual void expires_after(std::chrono::milliseconds from_now) = 0;
    // Makes operations in flight fail with closed. From the stream's own thread.
    virtual void close() = 0;
    virtual std::string peer_address() const = 0;  // without port; IPv4-mapped prefix cut
    virtual std::uint16_t peer_port() const = 0;
    virtual std::string local_address() const = 0;
    virtual std::uint16_t local_port() const = 0;
};

}  // namespace mallard::net
