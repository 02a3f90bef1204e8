#pragma once
// What a user's S/MIME certificates say of themselves. Nothing is encrypted here. Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::encryption {

struct Certificate {
    std::string subject, serial, fingerprint;  // SHA-256, colon-separated
};
// invalid: damaged, or of a key that mail is not encrypted to (RSA 2048 to 4096 and P-256, P-384, P-521 are).
Result<Certificate> read_certificate(std::string_view pem);

}  // namespace mallard::encryption
