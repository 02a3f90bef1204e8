#pragma once
// Randomness for ids, tokens, salts: the system's generator, thread-safe.

#include <cstddef>
#include <string>
#include <string_view>

namespace mallard {

void random_bytes(void* out, std::size_t size);
std::string random_hex(std::size_t bytes);                               // 2 characters per byte
std::string random_text(std::size_t length, std::string_view alphabet);  // uniform over the alphabet (<= 256)

}  // namespace mallard
