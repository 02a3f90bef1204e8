#include "encryption/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/encoding.hpp"

namespace mallard::encryption {

namespace {

template <auto Free>
struct Freeing {
    void operator()(auto* p) const { Free(p); }
};
using Bio = std::unique_ptr<BIO, Freeing<BIO_free>>;
using X509Holder = std::unique_ptr<X509, Freeing<X509_free>>;

std::string colon_hex(std::string_view bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        out.append(i ? ":" : "").append(to_upper(hex_encode(bytes.substr(i, 1))));
    return out;
}

bool is_fit(EVP_PKEY* key) {
    if (key == nullptr) return false;
    if (EVP_PKEY_is_a(key, "RSA")) {
        int const bits = EVP_PKEY_get_bits(key);
        return bits >= 2048 && bits <= 4096;
    }
    std::array<char, 32> group{};
    std::size_t length = 0;
    if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, group.data(), group.size(), &length)) return false;
    std::string_view const name(group.data(), length);
    return name == "prime256v1" || name == "secp384r1" || name == "secp521r1";
}

}  // namespace

Result<Certificate> read_certificate(std::string_view pem) {
    auto const refused = [](std::string_view why) {
        return fail(ErrorKind::invalid, "This certificate can not be used: " + std::string(why));
    };
    Bio const input(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    X509Holder const certificate(PEM_read_bio_X509(input.get(), nullptr, nullptr, nullptr));
    if (!certificate) return refused("it is damaged");
    if (!is_fit(X509_get0_pubkey(certificate.get())))
        return refused("its key is neither RSA of 2048 to 4096 bits nor P-256, P-384 or P-521");
    Certificate info;
    Bio const output(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(output.get(), X509_get_subject_name(certificate.get()), 0,
                       XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
    char* text = nullptr;
    auto const length = BIO_get_mem_data(output.get(), &text);
    info.subject.assign(text, static_cast<std::size_t>(std::max(0L, length)));
    std::unique_ptr<BIGNUM, Freeing<BN_free>> const serial(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
    std::string bytes(static_cast<std::size_t>(serial ? BN_num_bytes(serial.get()) : 0), '\0');
    if (serial) BN_bn2bin(serial.get(), reinterpret_cast<unsigned char*>(bytes.data()));
    info.serial = to_upper(hex_encode(bytes));
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size);
    info.fingerprint = colon_hex({reinterpret_cast<char const*>(digest.data()), size});
    return info;
}

}  // namespace mallard::encryption
