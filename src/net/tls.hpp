#pragma once
// TLS for servers: a context from PEM files, and the self-signed certificate of a first start.

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace mallard::net {

struct TlsConfig {
    std::string certificate_file;  // PEM, chain included
    std::string key_file;
    std::string ciphers;  // OpenSSL's list; empty: the default
    std::string minimum = "TLSv1.2";
};

class TlsContext {  // immutable; shared by all connections
public:
    struct Impl;
    explicit TlsContext(std::unique_ptr<Impl> impl);
    ~TlsContext();
    Impl const& impl() const { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

Result<std::shared_ptr<TlsContext const>> load_tls(TlsConfig const& config);
// Writes a self-signed pair (ECDSA P-256, ten years) for these names, key mode 0600.
Result<void> make_self_signed(std::string const& certificate_file, std::string const& key_file,
                              std::vector<std::string> const& names);

}  // namespace mallard::net
