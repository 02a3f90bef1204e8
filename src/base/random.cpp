#include "base/random.hpp"

#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

#include "base/encoding.hpp"

namespace mallard {

void random_bytes(void* out, std::size_t size) {
    auto* p = static_cast<char*>(out);
    while (size > 0) {
        ssize_t const got = ::getrandom(p, size, 0);
        if (got < 0) continue;  // EINTR is the only failure for a blocking getrandom
        p += got;
        size -= static_cast<std::size_t>(got);
    }
}

std::string random_hex(std::size_t bytes) {
    std::string raw(bytes, '\0');
    random_bytes(raw.data(), raw.size());
    return hex_encode(raw);
}

std::string random_text(std::size_t length, std::string_view alphabet) {
    std::string out;
    out.reserve(length);
    std::size_t const usable = 256 - 256 % alphabet.size();  // reject the tail: no modulo bias
    while (out.size() < length) {
        std::uint8_t byte;
        random_bytes(&byte, 1);
        if (byte < usable) out.push_back(alphabet[byte % alphabet.size()]);
    }
    return out;
}

}  // namespace mallard
