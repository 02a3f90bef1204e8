#pragma once
// Spool: bytes that arrive in pieces and are then read as one. Up to memory_max they lie on the heap; above it they go
// to an unlinked temporary file that is mapped read-only once finished. So a large message never lies on the heap
// whole. Not thread-safe; after finish() view() may be read from any thread as long as the Spool lives.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard {

class Spool {
public:
    static constexpr std::size_t default_memory_max = 1024 * 1024;

    explicit Spool(std::size_t memory_max = default_memory_max) : memory_max_(memory_max) {}
    Spool(Spool&& other) noexcept;
    Spool& operator=(Spool&& other) noexcept;
    ~Spool();

    static void set_directory(std::string directory);  // once at start; default: $TMPDIR or /tmp

    Result<void> append(std::string_view bytes);  // io when the disk is full
    Result<void> finish();                        // maps the file; append is over
    std::string_view view() const;                // precondition: finish() was called
    // The first bytes, to be written over; only the pages they lie on are copied. Precondition: finish() was called.
    std::span<char> front(std::size_t count);
    std::size_t size() const { return size_; }
    bool on_disk() const { return fd_ >= 0; }
    // Would so many more octets go to the file? Then append may block on the disk.
    bool would_spill(std::size_t more) const { return fd_ >= 0 || size_ + more > memory_max_; }

private:
    Result<void> flush();
    void release();

    std::size_t memory_max_;
    std::string memory_;  // the whole (small) or the tail not yet written (large)
    int fd_ = -1;
    char* mapped_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace mallard
