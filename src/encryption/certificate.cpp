#include "encryption/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
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

Result<X509Holder> open_certificate(std::string_view pem) {
    auto const refused = [](std::string_view why) {
        return fail(ErrorKind::invalid, "This certificate can not be used: " + std::string(why));
    };
    Bio const input(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    X509Holder certificate(PEM_read_bio_X509(input.get(), nullptr, nullptr, nullptr));
    if (!certificate) return refused("it is damaged");
    if (!is_fit(X509_get0_pubkey(certificate.get())))
        return refused("its key is neither RSA of 2048 to 4096 bits nor P-256, P-384 or P-521");
    return certificate;
}

using Cms = std::unique_ptr<CMS_ContentInfo, Freeing<CMS_ContentInfo_free>>;
using Method = std::unique_ptr<BIO_METHOD, Freeing<BIO_meth_free>>;

// delivery.md §6: the key is wrapped by RSA, or agreed upon by ECDH with the X9.63 derivation of SHA-256.
bool add_recipient(CMS_ContentInfo* cms, X509* certificate, bool oaep) {
    auto* const recipient = CMS_add1_recipient_cert(cms, certificate, CMS_KEY_PARAM);
    auto* const context = recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : nullptr;
    if (context == nullptr) return false;
    if (EVP_PKEY_is_a(X509_get0_pubkey(certificate), "EC"))
        return EVP_PKEY_CTX_set_ecdh_kdf_md(context, EVP_sha256()) > 0;
    return !oaep || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) > 0 &&
                     EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) > 0 &&
                     EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) > 0);
}

// Where OpenSSL writes.
struct Sink {
    std::function<Result<void>(std::string_view)> const& give;
    Result<void> outcome;
};

int write_to_sink(BIO* bio, char const* octets, std::size_t size, std::size_t* written) {
    auto& sink = *static_cast<Sink*>(BIO_get_data(bio));
    if (sink.outcome) sink.outcome = sink.give({octets, size});
    *written = size;
    return sink.outcome ? 1 : -1;
}

long control_sink(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

Method const& sink_method() {
    static Method const method = [] {
        Method made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sink"));
        BIO_meth_set_write_ex(made.get(), write_to_sink);
        BIO_meth_set_ctrl(made.get(), control_sink);
        return made;
    }();
    return method;
}

}  // namespace

Result<void> envelop(std::span<std::string const> certificates, EnvelopeForm form, std::string_view octets,
                     std::function<Result<void>(std::string_view)> const& give) {
    auto const failed = [] { return fail(ErrorKind::invalid, "Encrypting to the S/MIME certificates failed"); };
    unsigned const flags = CMS_BINARY | CMS_PARTIAL | CMS_STREAM;
    Cms const cms(CMS_encrypt(nullptr, nullptr, form.gcm ? EVP_aes_256_gcm() : EVP_aes_256_cbc(), flags));
    bool has_recipient = false;
    for (auto const& pem : certificates) {
        auto const certificate = open_certificate(pem);
        if (!certificate) continue;
        if (!cms || !add_recipient(cms.get(), certificate->get(), form.oaep)) return failed();
        has_recipient = true;
    }
    if (!has_recipient) return fail(ErrorKind::invalid, "None of the S/MIME certificates can be used");
    Sink sink{.give = give, .outcome = {}};
    Bio const input(BIO_new_mem_buf(octets.data(), static_cast<int>(octets.size())));
    Bio const output(BIO_new(sink_method().get()));
    if (!input || !output) return failed();
    BIO_set_data(output.get(), &sink);
    BIO_set_init(output.get(), 1);
    bool const done = i2d_CMS_bio_stream(output.get(), cms.get(), input.get(), static_cast<int>(flags)) == 1;
    MALLARD_TRY(sink.outcome);
    if (!done) return failed();
    return {};
}

Result<Certificate> read_certificate(std::string_view pem) {
    MALLARD_TRY_ASSIGN(auto const certificate, open_certificate(pem));
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
