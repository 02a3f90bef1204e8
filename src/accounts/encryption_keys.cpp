#include "accounts/encryption_keys.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/encoding.hpp"

namespace mallard::accounts {

namespace {

constexpr std::string_view armor_begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
constexpr std::string_view armor_end = "-----END PGP PUBLIC KEY BLOCK-----";
constexpr std::size_t key_bits_min = 2048;

std::unexpected<Error> unusable(std::string_view why) {
    return fail(ErrorKind::invalid, "This public key can not be used: " + std::string(why));
}

// RFC 4880 §6.2. The blank line between header fields and data may be missing.
std::optional<std::string> remove_armor(std::string_view text) {
    auto const begin = text.find(armor_begin), end = text.find(armor_end);
    if (begin == text.npos || end == text.npos || end < begin) return std::nullopt;
    text = text.substr(begin + armor_begin.size(), end - begin - armor_begin.size());
    std::string data;
    while (!text.empty()) {
        auto const line = trim(text.substr(0, text.find('\n')));
        text.remove_prefix(std::min(text.size(), text.find('\n') == text.npos ? text.size() : text.find('\n') + 1));
        if (line.empty() || line.contains(": ")) continue;
        if (line.starts_with('=')) break;  // the checksum
        data += line;
    }
    return base64_decode(data);
}

struct Packet {
    unsigned tag = 0;
    std::string_view body;
};

// RFC 4880 §4.2; nothing at the end and at what is damaged.
std::optional<Packet> next_packet(std::string_view& rest) {
    auto const byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(rest[i])); };
    if (rest.size() < 2 || !(byte(0) & 0x80)) return std::nullopt;
    Packet packet;
    std::size_t head = 0, length = 0;
    auto const big_endian = [&](std::size_t at, std::size_t n) {
        head = at + n;
        if (rest.size() < head) return false;
        for (std::size_t i = 0; i < n; ++i) length = length << 8 | byte(at + i);
        return true;
    };
    if (byte(0) & 0x40) {  // new format
        packet.tag = static_cast<unsigned>(byte(0) & 0x3f);
        if (byte(1) < 192) {
            if (!big_endian(1, 1)) return std::nullopt;
        } else if (byte(1) < 224) {
            if (rest.size() < 3) return std::nullopt;
            length = ((byte(1) - 192) << 8) + byte(2) + 192;
            head = 3;
        } else if (byte(1) != 255 || !big_endian(2, 4)) {
            return std::nullopt;  // lengths in parts are for data alone
        }
    } else {
        packet.tag = static_cast<unsigned>(byte(0) >> 2 & 0x0f);
        auto const kind = byte(0) & 3;
        if (kind == 3 || !big_endian(1, std::size_t{1} << kind)) return std::nullopt;
    }
    if (length > rest.size() - head) return std::nullopt;
    packet.body = rest.substr(head, length);
    rest.remove_prefix(head + length);
    return packet;
}

// RFC 4880 §9.1: RSA (general, encryption), Elgamal, ECDH; RSA counts from 2048 bits.
bool encrypts(std::string_view key) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(key[i])); };
    unsigned const algorithm = byte(5);
    if (algorithm == 1 || algorithm == 2) return (byte(6) << 8 | byte(7)) >= key_bits_min;
    return algorithm == 16 || algorithm == 18;
}

void read_user_id(std::string_view text, PgpKey& key) {
    auto const open = text.rfind('<'), close = text.rfind('>');
    if (open == text.npos || close == text.npos || close < open) {
        (text.contains('@') ? key.address : key.name) = trim(text);
        return;
    }
    key.address = trim(text.substr(open + 1, close - open - 1));
    key.name = trim(text.substr(0, open));
}

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

Result<PgpKey> read_pgp_key(std::string_view armored) {
    auto const data = remove_armor(armored);
    if (!data || data->empty()) return unusable("its text is damaged");
    std::string_view rest = *data;
    PgpKey key;
    bool usable = false, has_user_id = false;
    while (auto const packet = next_packet(rest)) {
        bool const is_primary = packet->tag == 6;
        if (is_primary || packet->tag == 14) {
            if (packet->body.size() < 8 || packet->body[0] != 4) return unusable("only version 4 keys are known");
            if (is_primary && !key.fingerprint.empty()) break;  // the next key of a ring
            if (is_primary) {
                std::string hashed{'\x99', static_cast<char>(packet->body.size() >> 8),
                                   static_cast<char>(packet->body.size() & 0xff)};
                key.fingerprint = hex_encode(sha1(hashed.append(packet->body)));  // RFC 4880 §12.2
            }
            usable = usable || encrypts(packet->body);
        } else if (packet->tag == 13 && !has_user_id) {
            has_user_id = true;
            read_user_id(packet->body, key);
        }
    }
    if (key.fingerprint.empty()) return unusable("there is no key in it");
    if (!usable) return unusable("mail can not be encrypted to it (RSA needs 2048 bits or more)");
    if (!is_valid_utf8(key.name) || !is_valid_utf8(key.address)) key.name.clear(), key.address.clear();
    return key;
}

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

}  // namespace mallard::accounts
