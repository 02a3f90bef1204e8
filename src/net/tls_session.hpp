#pragma once
// TlsSession: one TLS connection on a non-blocking socket. Inside net only; OpenSSL stays in tls.cpp.
// While waiting it holds no record buffers (SSL_MODE_RELEASE_BUFFERS).

#include <cstddef>
#include <string_view>

#include "base/error.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"

struct ssl_st;

namespace mallard::net {

class TlsSession {
public:
    TlsSession(TlsContext const& context, int socket);  // as the server
    ~TlsSession();
    TlsSession(TlsSession const&) = delete;
    TlsSession& operator=(TlsSession const&) = delete;

    Result<bool> handshake();                              // false: not finished, wait
    Result<std::size_t> read(char* out, std::size_t max);  // 0: wait
    Result<std::size_t> write(std::string_view bytes);     // 0: wait; else how much of it was taken
    bool wants_write() const { return wants_write_; }      // what the last 0 or false waits for; else readable
    bool has_pending() const;                              // decrypted bytes lie ready
    void say_goodbye();                                    // close_notify, if the socket takes it
    TlsInfo info() const;

private:
    Result<std::size_t> outcome(int returned, char const* what);

    ssl_st* ssl_;
    bool wants_write_ = false;
    bool broken_ = false;
};

}  // namespace mallard::net
