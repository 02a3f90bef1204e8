// A public key that is accepted says the same whenever it is read, and can be encrypted to: mail for it is never stuck.

#include <cstdint>
#include <string>
#include <string_view>

#include "check.hpp"
#include "encryption/pgp_key.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace mallard;
    std::string_view const text(reinterpret_cast<char const*>(data), size);
    auto const key = encryption::read_public_key(text);
    if (!key) return 0;
    MALLARD_FUZZ_CHECK(key->fingerprint.size() == 40);
    auto const again = encryption::read_public_key(text);
    MALLARD_FUZZ_CHECK(again && again->fingerprint == key->fingerprint && again->address == key->address);
    std::string armored;
    auto const done = encryption::encrypt(text, "mail", [&](std::string_view piece) -> Result<void> {
        armored += piece;
        return {};
    });
    MALLARD_FUZZ_CHECK(done && armored.starts_with("-----BEGIN PGP MESSAGE-----"));
    return 0;
}
