#include "kv/rocks_log_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace mallard::kv {

namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::uint64_t zeros_min = 64u << 10;  // at first; twice as many each time
constexpr std::uint64_t zeros_max = 4u << 20;

IOStatus status_of(int error, std::string const& doing) {
    if (error == ENOSPC || error == EDQUOT) return IOStatus::NoSpace(doing, std::strerror(error));
    return IOStatus::IOError(doing, std::strerror(error));
}

int write_all(int fd, std::string_view bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        auto const written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        bytes.remove_prefix(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    return 0;
}

class LogFile final : public rocksdb::FSWritableFile {
public:
    LogFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
    ~LogFile() override {
        if (fd_ >= 0) (void)close_file();
    }

    using rocksdb::FSWritableFile::Append;
    IOStatus Append(rocksdb::Slice const& data, IOOptions const&, IODebugContext*) override {
        if (size_ + data.size() > zeroed_) write_zeros(size_ + data.size());
        if (int const error = write_all(fd_, {data.data(), data.size()}, size_))
            return status_of(error, "write " + name_);
        size_ += data.size();
        return IOStatus::OK();
    }
    IOStatus Append(rocksdb::Slice const& data, IOOptions const& options, rocksdb::DataVerificationInfo const&,
                    IODebugContext* debug) override {
        return Append(data, options, debug);
    }
    IOStatus Truncate(std::uint64_t, IOOptions const&, IODebugContext*) override { return IOStatus::OK(); }
    IOStatus Flush(IOOptions const&, IODebugContext*) override { return IOStatus::OK(); }
    IOStatus Sync(IOOptions const&, IODebugContext*) override {
        return ::fdatasync(fd_) == 0 ? IOStatus::OK() : status_of(errno, "sync " + name_);
    }
    IOStatus Fsync(IOOptions const&, IODebugContext*) override {
        return ::fsync(fd_) == 0 ? IOStatus::OK() : status_of(errno, "sync " + name_);
    }
    bool IsSyncThreadSafe() const override { return true; }
    std::uint64_t GetFileSize(IOOptions const&, IODebugContext*) override { return size_; }
    IOStatus Close(IOOptions const&, IODebugContext*) override { return close_file(); }
    // The zeros stand for preallocation.
    void PrepareWrite(std::size_t, std::size_t, IOOptions const&, IODebugContext*) override {}

private:
    // A disk too full for zeros may still have room for the data.
    void write_zeros(std::uint64_t up_to) {
        static constexpr std::array<char, 64 << 10> zeros{};
        std::uint64_t const step = std::clamp(zeroed_, zeros_min, zeros_max);
        std::uint64_t const end = (up_to + step) / step * step;
        for (std::uint64_t at = std::max(zeroed_, size_); at < end;) {
            std::uint64_t const count = std::min<std::uint64_t>(zeros.size(), end - at);
            if (write_all(fd_, {zeros.data(), count}, at) != 0) return;
            at += count;
            zeroed_ = at;
        }
    }
    IOStatus close_file() {
        bool const cut = zeroed_ <= size_ || ::ftruncate(fd_, static_cast<off_t>(size_)) == 0;
        int const cut_error = errno;
        bool const closed = ::close(fd_) == 0;
        fd_ = -1;
        if (!cut) return status_of(cut_error, "truncate " + name_);
        return closed ? IOStatus::OK() : status_of(errno, "close " + name_);
    }

    int fd_;
    std::string name_;
    std::uint64_t size_ = 0;    // of the log
    std::uint64_t zeroed_ = 0;  // the file's end
};

class LogFileSystem final : public rocksdb::FileSystemWrapper {
public:
    LogFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
    char const* Name() const override { return "mallard.LogFileSystem"; }

    IOStatus NewWritableFile(std::string const& name, rocksdb::FileOptions const& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
        // SST and blob files are written once, from start to end: those and the rest go the usual way.
        if (!std::string_view(name).ends_with(".log")) return target()->NewWritableFile(name, options, file, debug);
        int const fd = ::open(name.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0) return status_of(errno, "open " + name);
        *file = std::make_unique<LogFile>(fd, name);
        return IOStatus::OK();
    }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> log_file_system() {
    static auto const system = std::make_shared<LogFileSystem>();
    return system;
}

}  // namespace mallard::kv
