#pragma once
// A Stream for tests: what the peer sends is scripted, what we write is collected.

#include <memory>
#include <string>
#include <vector>

#include "net/stream.hpp"

namespace mallard::net {

// Reads give `input` in pieces of at most `piece` bytes, then closed; writes go to *output.
std::unique_ptr<Stream> memory_stream(std::string input, std::string* output, std::size_t piece = 1u << 20);

}  // namespace mallard::net
