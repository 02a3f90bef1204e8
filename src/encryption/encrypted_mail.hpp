#pragma once
// A message as it is stored for who wants encrypted mail (storage.md §11.8). Pure but for random numbers.

#include <string_view>

#include "base/error.hpp"
#include "base/spool.hpp"
#include "mime/message.hpp"

namespace mallard::encryption {

// The message in a multipart/encrypted (RFC 3156 §4); `tree` is of `source`. In front stay the fields that a list of
// messages and a thread need; the whole message with all of its fields is what is encrypted, octet for octet.
// invalid: nothing can be encrypted to this key; io: the spool's disk.
Result<Spool> encrypt_mail(std::string_view source, mime::Entity const& tree, std::string_view armored_key);

}  // namespace mallard::encryption
