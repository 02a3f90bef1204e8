#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

#include "net/address.hpp"
#include "net/tls.hpp"

namespace mallard::net {

namespace {

template <auto free_function>
struct Freed {
    template <class T>
    void operator()(T* pointer) const {
        free_function(pointer);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;

constexpr long ten_years_seconds = 3650L * 24 * 3600;

// RFC 5280 §4.2.1.6: dNSName or iPAddress. What would break out of OpenSSL's own syntax is no host name.
std::string alternative_names(std::vector<std::string> const& names) {
    std::set<std::string> entries{"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
    for (std::string const& name : names) {
        if (parse_address(name))
            entries.insert("IP:" + name);
        else if (!name.empty() && name.find_first_of(",\\\r\n: ") == std::string::npos)
            entries.insert("DNS:" + name);
    }
    std::string joined;
    for (std::string const& entry : entries) joined += (joined.empty() ? "" : ",") + entry;
    return joined;
}

bool add_extension(X509* certificate, int nid, std::string const& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) return false;
    bool const added = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

Certificate build(EVP_PKEY* key, std::vector<std::string> const& names) {
    Certificate certificate(X509_new());
    unsigned char serial[16];
    if (!certificate || RAND_bytes(serial, sizeof serial) != 1) return nullptr;
    serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, full length
    std::unique_ptr<BIGNUM, Freed<BN_free>> const number(BN_bin2bn(serial, sizeof serial, nullptr));
    BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
    X509_set_version(certificate.get(), X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -24L * 3600);  // clocks of clients differ
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), ten_years_seconds);
    X509_set_pubkey(certificate.get(), key);
    std::string const common = names.empty() ? "localhost" : names.front().substr(0, 64);  // ub-common-name
    X509_NAME* const subject = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<unsigned char const*>(common.c_str()),
                               static_cast<int>(common.size()), -1, 0);
    X509_set_issuer_name(certificate.get(), subject);
    bool const extended = add_extension(certificate.get(), NID_subject_alt_name, alternative_names(names)) &&
                          add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                          add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature") &&
                          add_extension(certificate.get(), NID_ext_key_usage, "serverAuth") &&
                          add_extension(certificate.get(), NID_subject_key_identifier, "hash");
    if (!extended || X509_sign(certificate.get(), key, EVP_sha256()) == 0) return nullptr;
    return certificate;
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    long const size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

// Whole or not at all: a crash must not leave half a key behind.
Result<void> write_file(std::string const& path, std::string_view bytes, unsigned mode) {
    std::string const temporary = path + ".new";
    ::unlink(temporary.c_str());
    int const fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return fail(ErrorKind::io, "cannot write " + path + ": " + std::strerror(errno));
    bool const written =
        ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) && ::fsync(fd) == 0;
    int const number = errno;
    ::close(fd);
    if (!written || ::rename(temporary.c_str(), path.c_str()) != 0)
        return fail(ErrorKind::io, "cannot write " + path + ": " + std::strerror(written ? errno : number));
    return {};
}

}  // namespace

Result<void> make_self_signed(std::string const& certificate_file, std::string const& key_file,
                              std::vector<std::string> const& names) {
    ERR_clear_error();
    Key const key(EVP_EC_gen("P-256"));
    if (!key) return fail(ErrorKind::internal, "cannot make a key for the self-signed certificate");
    Certificate const certificate = build(key.get(), names);
    if (!certificate) {
        ERR_clear_error();
        return fail(ErrorKind::internal, "cannot make a self-signed certificate for these names");
    }
    Bio const key_text(BIO_new(BIO_s_mem()));
    Bio const certificate_text(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    PEM_write_bio_X509(certificate_text.get(), certificate.get());
    MALLARD_TRY(write_file(key_file, text_of(key_text.get()), 0600));
    return write_file(certificate_file, text_of(certificate_text.get()), 0644);
}

}  // namespace mallard::net
