#pragma once
// A user's S/MIME certificates: whose they are, and encryption to them (RFC 5652, RFC 5083). Their dates and issuers
// are not looked at. Threads: any.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::encryption {

struct Certificate {
    std::string subject, serial, fingerprint;  // SHA-256, colon-separated
};
// invalid: damaged, or of a key that mail is not encrypted to (RSA 2048 to 4096 and P-256, P-384, P-521 are).
Result<Certificate> read_certificate(std::string_view pem);

// How the user wants it (storage.md §3.1: smimeCipher, smimeKeyTransport).
struct EnvelopeForm {
    bool gcm = false;   // AES-256-GCM (authEnveloped-data), else AES-256-CBC (enveloped-data)
    bool oaep = false;  // for RSA keys, with SHA-256; else PKCS#1 v1.5
};

// The octets as a CMS structure that the owner of any of the certificates can open, given to `sink` in pieces; an error
// of the sink ends it. invalid: none of them can be used.
Result<void> envelop(std::span<std::string const> certificates, EnvelopeForm form, std::string_view octets,
                     std::function<Result<void>(std::string_view)> const& sink);

}  // namespace mallard::encryption
