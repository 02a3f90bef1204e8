#pragma once
// SocketStream: a Stream over a non-blocking TCP socket, with TLS on it after start_tls. Made by Server.
// Every operation tries the socket first and waits only when it is not ready.

#include <memory>
#include <optional>

#include "net/address.hpp"
#include "net/io_thread.hpp"
#include "net/stream.hpp"

namespace mallard::net {

class SocketStream : public Stream {
public:
    virtual Result<std::size_t> peek(char* out, std::size_t max) = 0;  // as try_read, but leaves it there; before TLS
    virtual void set_addresses(Address const& peer, std::optional<Address> const& local) = 0;  // PROXY
    virtual Address const& peer() const = 0;
    // No more writes; true if the peer has sent what nobody read: closing now would take our last words from it.
    virtual bool finish_writing() = 0;
};

std::unique_ptr<SocketStream> make_socket_stream(IoThread& thread, int socket, Address const& peer);

}  // namespace mallard::net
