#pragma once
// A Stream for tests: what the peer sends is scripted, what we write is collected.

#include <memory>
#include <string>

#include "net/stream.hpp"

namespace mallard::net {

// Reads give `input` in pieces of at most `piece` bytes, then closed; writes go to *output.
std::unique_ptr<Stream> memory_stream(std::string input, std::string* output, std::size_t piece = 1u << 20);

// Runs a coroutine to its end on the calling thread; rethrows what it threw.
void run_blocking(Async<void> task);

}  // namespace mallard::net
