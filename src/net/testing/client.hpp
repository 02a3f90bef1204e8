#pragma once
// Blocking clients on loopback, plain and TLS, for the tests of servers: every wait ends after ten seconds.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mallard::net::testing {

class Client {
public:
    explicit Client(std::uint16_t port);  // 127.0.0.1; throws if it cannot connect
    ~Client();
    Client(Client&& other) noexcept;

    void send(std::string_view bytes);
    std::string read_line();                      // with its end; what there is if the server closes
    std::string read_exactly(std::size_t count);  // less if the server closes
    std::string read_to_end();
    // TLS from here on; `ca_file`: verify the certificate, and that it is for `server_name`. Empty string: worked.
    std::string start_tls(std::string const& server_name = {}, std::string const& ca_file = {});
    std::string peer_certificate_fingerprint() const;
    void half_close();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::net::testing
