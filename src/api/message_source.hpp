#pragma once
// The bytes of a message and of its attachments, streamed (api.md §15.3).

#include <memory>
#include <string>
#include <string_view>

#include "api/endpoint.hpp"
#include "net/connection.hpp"
#include "store/mail_store.hpp"

namespace mallard::api {

// [begin, end) of a message, in chunks; throws what reading fails with, so that the client sees a cut connection.
net::Reply stream_bytes(std::unique_ptr<store::BodyReader> reader, std::uint64_t begin, std::uint64_t end);
// The same, with the transfer encoding undone on the way.
net::Reply stream_decoded(std::unique_ptr<store::BodyReader> reader, std::uint64_t begin, std::uint64_t end,
                          std::string encoding);

// SHA-256 (32 bytes) of what `encoded` decodes to, a piece at a time.
std::string sha256_decoded(std::string_view encoded, std::string const& encoding);

Answer get_source(Call& call);
Answer get_attachment(Call& call);

}  // namespace mallard::api
