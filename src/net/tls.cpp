#include "net/tls.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "net/tls_session.hpp"

namespace mallard::net {

namespace {

// Forward secrecy and AEAD, then CBC with forward secrecy for mail clients of the 2010s. TLS 1.3 has its own list.
constexpr char const* default_ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!MD5:!PSK";

std::string openssl_error() {
    unsigned long const code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "no reason given";
    char const* const reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "error " + std::to_string(code);
}

// OpenSSL's own message for a file that is not there is hard to read: look first.
Result<void> check_readable(std::string const& what, std::string const& path) {
    if (path.empty()) return fail(ErrorKind::invalid, "no " + what + " file is configured");
    int const fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ::close(fd);
        return {};
    }
    if (errno == ENOENT) return fail(ErrorKind::not_found, "the " + what + " file " + path + " does not exist");
    if (errno == EACCES)
        return fail(ErrorKind::denied, "the " + what + " file " + path + " is not readable by this user");
    return fail(ErrorKind::io, "the " + what + " file " + path + " cannot be opened: " + std::strerror(errno));
}

int no_passphrase(char*, int, int, void*) { return 0; }

int version_number(std::string const& name) {
    if (name.empty() || name == "TLSv1.2") return TLS1_2_VERSION;
    if (name == "TLSv1.3") return TLS1_3_VERSION;
    return 0;
}

}  // namespace

struct TlsContext::Impl {
    SSL_CTX* context = nullptr;

    ~Impl() { SSL_CTX_free(context); }
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext const>> load_tls(TlsConfig const& config) {
    MALLARD_TRY(check_readable("certificate", config.certificate_file));
    MALLARD_TRY(check_readable("key", config.key_file));
    int const minimum = version_number(config.minimum);
    if (minimum == 0)
        return fail(ErrorKind::invalid, "TLS version '" + config.minimum + "' is not one of TLSv1.2, TLSv1.3");

    ERR_clear_error();
    auto impl = std::make_unique<TlsContext::Impl>();
    SSL_CTX* const context = impl->context = SSL_CTX_new(TLS_server_method());
    if (context == nullptr) return fail(ErrorKind::internal, "cannot set up TLS: " + openssl_error());
    SSL_CTX_set_min_proto_version(context, minimum);
    // A peer that goes without close_notify has simply gone: every protocol here says itself where its data ends.
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // resumption is by tickets: no memory here
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_dh_auto(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_set_cipher_list(context, config.ciphers.empty() ? default_ciphers : config.ciphers.c_str()) != 1)
        return fail(ErrorKind::invalid, "no usable cipher in '" + config.ciphers + "': " + openssl_error());
    if (SSL_CTX_use_certificate_chain_file(context, config.certificate_file.c_str()) != 1)
        return fail(ErrorKind::invalid, "the certificate file " + config.certificate_file +
                                            " holds no certificate in PEM form: " + openssl_error());
    if (SSL_CTX_use_PrivateKey_file(context, config.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
            ERR_clear_error();
            return fail(ErrorKind::invalid, "the key in " + config.key_file +
                                                " does not belong to the certificate in " + config.certificate_file);
        }
        return fail(ErrorKind::invalid, "the key file " + config.key_file +
                                            " holds no private key in PEM form without passphrase: " + openssl_error());
    }
    if (SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        return fail(ErrorKind::invalid, "the key in " + config.key_file + " does not belong to the certificate in " +
                                            config.certificate_file);
    }
    return std::make_shared<TlsContext const>(std::move(impl));
}

TlsSession::TlsSession(TlsContext const& context, int socket) : ssl_(SSL_new(context.impl().context)) {
    if (ssl_ == nullptr) throw std::bad_alloc();
    SSL_set_fd(ssl_, socket);
    SSL_set_accept_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

// 0: the socket is not ready; an error ends the session.
Result<std::size_t> TlsSession::outcome(int returned, char const* what) {
    int const code = SSL_get_error(ssl_, returned);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        wants_write_ = code == SSL_ERROR_WANT_WRITE;
        return 0;
    }
    broken_ = true;
    if (code == SSL_ERROR_ZERO_RETURN) return fail(ErrorKind::closed, "the peer has closed the connection");
    int const number = errno;
    if (code == SSL_ERROR_SYSCALL) {
        ERR_clear_error();
        return fail(ErrorKind::closed, "the connection is lost",
                    std::string(what) + ": " + (number != 0 ? std::strerror(number) : "end of file"));
    }
    return fail(ErrorKind::closed, "TLS failed", std::string(what) + ": " + openssl_error());
}

Result<bool> TlsSession::handshake() {
    ERR_clear_error();
    errno = 0;
    int const n = SSL_do_handshake(ssl_);
    if (n == 1) return true;
    MALLARD_TRY_ASSIGN([[maybe_unused]] auto const zero, outcome(n, "TLS handshake"));
    return false;
}

Result<std::size_t> TlsSession::read(char* out, std::size_t max) {
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    int const returned = SSL_read_ex(ssl_, out, max, &n);
    if (returned == 1) return n;
    return outcome(returned, "TLS read");
}

Result<std::size_t> TlsSession::write(std::string_view bytes) {
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    int const returned = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &n);
    if (returned == 1) return n;
    return outcome(returned, "TLS write");
}

bool TlsSession::has_pending() const { return SSL_pending(ssl_) > 0; }

void TlsSession::say_goodbye() {
    if (broken_ || SSL_in_init(ssl_) != 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
    broken_ = true;
}

TlsInfo TlsSession::info() const {
    TlsInfo info{.active = true, .version = SSL_get_version(ssl_), .cipher = SSL_get_cipher_name(ssl_)};
    if (char const* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name)) info.server_name = name;
    return info;
}

}  // namespace mallard::net
