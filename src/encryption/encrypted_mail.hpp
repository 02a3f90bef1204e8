#pragma once
// A message as it is stored for who wants encrypted mail (storage.md §11.8). Pure but for random numbers.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/spool.hpp"
#include "encryption/certificate.hpp"
#include "mime/message.hpp"

namespace mallard::encryption {

// Who alone can read it. Certificates count before an OpenPGP key.
struct Owner {
    std::string pgp_key;  // armored
    std::vector<std::string> certificates;
    EnvelopeForm form;
};

// The message as PGP/MIME (RFC 3156 §4) or S/MIME (RFC 8551 §3.3); `tree` is of `source`. In front stay the fields that
// a list of messages and a thread need; the whole message with all of its fields is what is encrypted, octet for octet.
// invalid: nothing can be encrypted to these keys; io: the spool's disk.
Result<Spool> encrypt_mail(std::string_view source, mime::Entity const& tree, Owner const& owner);

}  // namespace mallard::encryption
