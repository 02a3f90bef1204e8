#include "encryption/pgp_key.hpp"

#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/encoding.hpp"

namespace mallard::encryption {

namespace {

constexpr std::string_view armor_begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
constexpr std::string_view armor_end = "-----END PGP PUBLIC KEY BLOCK-----";
constexpr std::uint32_t rsa_bits_min = 2048;

std::unexpected<Error> unusable(std::string_view why) {
    return fail(ErrorKind::invalid, "This public key can not be used: " + std::string(why));
}

// RFC 4880 §6.2. The blank line between header fields and data may be missing (api.md §9).
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

template <auto Destroy>
struct Destroying {
    void operator()(auto* object) const { static_cast<void>(Destroy(object)); }
};
template <class Handle, auto Destroy>
using Holder = std::unique_ptr<std::remove_pointer_t<Handle>, Destroying<Destroy>>;
using Ffi = Holder<rnp_ffi_t, rnp_ffi_destroy>;
using Input = Holder<rnp_input_t, rnp_input_destroy>;
using Output = Holder<rnp_output_t, rnp_output_destroy>;
using Key = Holder<rnp_key_handle_t, rnp_key_handle_destroy>;
using Names = Holder<rnp_identifier_iterator_t, rnp_identifier_iterator_destroy>;
using Encryption = Holder<rnp_op_encrypt_t, rnp_op_encrypt_destroy>;
using Text = std::unique_ptr<char, Destroying<[](char* text) { rnp_buffer_destroy(text); }>>;

// What `make(&handle, arguments...)` makes; null when it fails.
template <class Holder>
Holder made(auto make, auto... arguments) {
    typename Holder::pointer handle = nullptr;
    if (make(&handle, arguments...) != RNP_SUCCESS) return nullptr;
    return Holder(handle);
}

// What `get(key, &text)` says; empty when it fails.
std::string text_of(auto get, rnp_key_handle_t key) {
    char* text = nullptr;
    if (get(key, &text) != RNP_SUCCESS || text == nullptr) return {};
    return Text(text).get();
}

Input input_of(std::string_view octets) {
    return made<Input>(rnp_input_from_memory, reinterpret_cast<std::uint8_t const*>(octets.data()), octets.size(),
                       false);
}

// A key ring with one key in it, whose encrypting part is `encrypting` (the key itself or a subkey).
struct Ring {
    Ffi ffi;
    Key primary, encrypting;
};

Key find_primary(rnp_ffi_t ffi) {
    auto const names = made<Names>(
        [&](rnp_identifier_iterator_t* it) { return rnp_identifier_iterator_create(ffi, it, "fingerprint"); });
    char const* fingerprint = nullptr;
    while (names && rnp_identifier_iterator_next(names.get(), &fingerprint) == RNP_SUCCESS && fingerprint) {
        auto key = made<Key>(
            [&](rnp_key_handle_t* handle) { return rnp_locate_key(ffi, "fingerprint", fingerprint, handle); });
        bool is_primary = false;
        if (key && rnp_key_is_primary(key.get(), &is_primary) == RNP_SUCCESS && is_primary) return key;
    }
    return nullptr;
}

Result<Ring> open_ring(std::string_view armored) {
    if (armored.size() > key_bytes_max) return unusable("it is too long");
    auto const data = remove_armor(armored);
    if (!data || data->empty()) return unusable("its text is damaged");
    Ring ring{.ffi = made<Ffi>(rnp_ffi_create, "GPG", "GPG"), .primary = nullptr, .encrypting = nullptr};
    auto const input = input_of(*data);
    if (!ring.ffi || !input) return fail(ErrorKind::internal, "OpenPGP does not start");
    auto const flags = RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SINGLE;
    if (rnp_import_keys(ring.ffi.get(), input.get(), flags, nullptr) != RNP_SUCCESS)
        return unusable("its text is damaged");
    ring.primary = find_primary(ring.ffi.get());
    if (!ring.primary) return unusable("there is no key in it");
    ring.encrypting = made<Key>(
        [&](rnp_key_handle_t* handle) { return rnp_key_get_default_key(ring.primary.get(), "encrypt", 0, handle); });
    std::uint32_t bits = 0;
    if (!ring.encrypting || rnp_key_get_bits(ring.encrypting.get(), &bits) != RNP_SUCCESS)
        return unusable("mail can not be encrypted to it (is it expired, revoked, or for signing alone?)");
    if (text_of(rnp_key_get_alg, ring.encrypting.get()) == "RSA" && bits < rsa_bits_min)
        return unusable("RSA needs 2048 bits or more");
    return ring;
}

void read_user_id(std::string_view text, PublicKey& key) {
    if (!is_valid_utf8(text)) return;
    auto const open = text.rfind('<'), close = text.rfind('>');
    if (open == text.npos || close == text.npos || close < open) {
        (text.contains('@') ? key.address : key.name) = trim(text);
        return;
    }
    key.address = trim(text.substr(open + 1, close - open - 1));
    key.name = trim(text.substr(0, open));
}

// Where RNP writes: the lines of its armor end in LF or CRLF, mail's in CRLF.
struct Sink {
    std::function<Result<void>(std::string_view)> const& give;
    Result<void> outcome;
    bool after_cr = false;

    bool write(std::string_view piece) {
        while (outcome && !piece.empty()) {
            auto const line = piece.substr(0, piece.find('\n'));
            if (!line.empty()) outcome = give(line), after_cr = line.ends_with('\r');
            piece.remove_prefix(line.size());
            if (piece.empty() || !outcome) break;
            outcome = give(after_cr ? "\n" : "\r\n");
            after_cr = false;
            piece.remove_prefix(1);
        }
        return outcome.has_value();
    }
};

bool write_to_sink(void* sink, void const* octets, std::size_t size) {
    return static_cast<Sink*>(sink)->write({static_cast<char const*>(octets), size});
}

Result<void> encrypt_with(Ring const& ring, std::string_view octets,
                          std::function<Result<void>(std::string_view)> const& give) {
    Sink sink{.give = give, .outcome = {}};
    auto const input = input_of(octets);
    auto const output = made<Output>(rnp_output_to_callback, write_to_sink, nullptr, &sink);
    auto const encryption = made<Encryption>(rnp_op_encrypt_create, ring.ffi.get(), input.get(), output.get());
    auto* const op = encryption.get();
    bool const done = input && output && encryption &&
                      rnp_op_encrypt_add_recipient(op, ring.encrypting.get()) == RNP_SUCCESS &&
                      rnp_op_encrypt_set_cipher(op, RNP_ALGNAME_AES_256) == RNP_SUCCESS &&
                      rnp_op_encrypt_set_armor(op, true) == RNP_SUCCESS && rnp_op_encrypt_execute(op) == RNP_SUCCESS &&
                      rnp_output_finish(output.get()) == RNP_SUCCESS;
    MALLARD_TRY(sink.outcome);
    if (!done) return unusable("encrypting to it failed");
    return {};
}

}  // namespace

Result<PublicKey> read_public_key(std::string_view armored) {
    MALLARD_TRY_ASSIGN(auto const ring, open_ring(armored));
    MALLARD_TRY(encrypt_with(ring, "tried", [](std::string_view) { return Result<void>(); }));
    PublicKey key;
    key.fingerprint = to_lower(text_of(rnp_key_get_fprint, ring.primary.get()));
    read_user_id(text_of(rnp_key_get_primary_uid, ring.primary.get()), key);
    return key;
}

Result<void> encrypt(std::string_view armored, std::string_view octets,
                     std::function<Result<void>(std::string_view)> const& sink) {
    MALLARD_TRY_ASSIGN(auto const ring, open_ring(armored));
    return encrypt_with(ring, octets, sink);
}

}  // namespace mallard::encryption
