#include "base/spool.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace mallard {

namespace {

constexpr std::size_t write_block = 256 * 1024;

std::string& directory() {
    static std::string value = [] {
        char const* tmp = std::getenv("TMPDIR");
        return std::string(tmp != nullptr && *tmp != '\0' ? tmp : "/tmp");
    }();
    return value;
}

}  // namespace

void Spool::set_directory(std::string path) { directory() = std::move(path); }

Spool::Spool(Spool&& other) noexcept
    : memory_max_(other.memory_max_),
      memory_(std::move(other.memory_)),
      fd_(std::exchange(other.fd_, -1)),
      mapped_(std::exchange(other.mapped_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Spool& Spool::operator=(Spool&& other) noexcept {
    if (this != &other) {
        release();
        memory_max_ = other.memory_max_;
        memory_ = std::move(other.memory_);
        fd_ = std::exchange(other.fd_, -1);
        mapped_ = std::exchange(other.mapped_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Spool::~Spool() { release(); }

void Spool::release() {
    if (mapped_ != nullptr) ::munmap(mapped_, size_);
    if (fd_ >= 0) ::close(fd_);
    mapped_ = nullptr;
    fd_ = -1;
}

Result<void> Spool::append(std::string_view bytes) {
    size_ += bytes.size();
    memory_.append(bytes);
    if (fd_ < 0) {
        if (size_ <= memory_max_) return {};
        fd_ = ::open(directory().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd_ < 0)
            return fail(ErrorKind::io, "cannot create a temporary file", directory() + ": " + std::strerror(errno));
        return flush();
    }
    if (memory_.size() >= write_block) return flush();
    return {};
}

Result<void> Spool::flush() {
    std::string_view rest = memory_;
    while (!rest.empty()) {
        ssize_t const n = ::write(fd_, rest.data(), rest.size());
        if (n < 0) {
            if (errno == EINTR) continue;
            return fail(ErrorKind::io, "cannot write a temporary file", directory() + ": " + std::strerror(errno));
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    memory_.clear();
    if (memory_.capacity() > 2 * write_block) memory_.shrink_to_fit();
    return {};
}

Result<void> Spool::finish() {
    if (fd_ < 0 || mapped_ != nullptr) return {};
    if (auto flushed = flush(); !flushed) return flushed;
    memory_.shrink_to_fit();
    void* const p = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd_, 0);
    if (p == MAP_FAILED) return fail(ErrorKind::io, "cannot map a temporary file", std::strerror(errno));
    mapped_ = static_cast<char*>(p);
    ::madvise(mapped_, size_, MADV_SEQUENTIAL);
    return {};
}

std::span<char> Spool::front(std::size_t count) {
    return {mapped_ != nullptr ? mapped_ : memory_.data(), std::min(count, size_)};
}

std::string_view Spool::view() const {
    if (mapped_ != nullptr) return {mapped_, size_};
    return memory_;
}

}  // namespace mallard
