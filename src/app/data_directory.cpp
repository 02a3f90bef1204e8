#include "app/data_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "base/encoding.hpp"

namespace mallard::app {

namespace {

Result<void> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t const n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(ErrorKind::io, std::strerror(errno));
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace

Result<DataDirectory> DataDirectory::open(std::string const& path) {
    std::error_code error;
    std::filesystem::path const absolute = std::filesystem::absolute(path, error).lexically_normal();
    if (!std::filesystem::is_directory(absolute, error)) {
        std::filesystem::create_directories(absolute.parent_path(), error);
        if (::mkdir(absolute.c_str(), 0700) != 0 && errno != EEXIST)
            return fail(ErrorKind::io, fmt::format("cannot make the data directory {}: {} (choose another with --data)",
                                                   absolute.string(), std::strerror(errno)));
    }
    if (!std::filesystem::is_directory(absolute, error))
        return fail(ErrorKind::io, fmt::format("{} is no directory (choose another with --data)", absolute.string()));
    if (::access(absolute.c_str(), R_OK | W_OK | X_OK) != 0)
        return fail(ErrorKind::io, fmt::format("cannot use the data directory {}: {} (it belongs to another user?)",
                                               absolute.string(), std::strerror(errno)));
    return DataDirectory(absolute);
}

DataDirectory::Lock::~Lock() { ::close(fd_); }

Result<std::unique_ptr<DataDirectory::Lock>> DataDirectory::lock(std::string_view role) const {
    std::string const name = file("lock");
    int const fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(ErrorKind::io, fmt::format("cannot open {}: {}", name, std::strerror(errno)));
    auto lock = std::make_unique<Lock>(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        std::string const holder = read("lock").value_or("");
        return fail(ErrorKind::conflict,
                    fmt::format("the data directory {} is in use by another mallard ({}); stop it, or "
                                "choose another directory with --data",
                                path_.string(), holder.empty() ? "just starting" : holder));
    }
    std::string const who = fmt::format("{}, process {}\n", role, ::getpid());
    if (::ftruncate(fd, 0) != 0 || !write_all(fd, who))
        return fail(ErrorKind::io, fmt::format("cannot write {}: {}", name, std::strerror(errno)));
    return lock;
}

Result<std::unique_ptr<DataDirectory::Lock>> DataDirectory::alone() const {
    std::string const name = file("setup.lock");
    int const fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(ErrorKind::io, fmt::format("cannot open {}: {}", name, std::strerror(errno)));
    auto lock = std::make_unique<Lock>(fd);
    while (::flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) return fail(ErrorKind::io, fmt::format("cannot lock {}: {}", name, std::strerror(errno)));
    return lock;
}

std::optional<std::string> DataDirectory::read(std::string_view name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    if (!in) return std::nullopt;
    std::string const content{std::istreambuf_iterator<char>(in), {}};
    return std::string(trim(content));
}

Result<void> DataDirectory::write_private(std::string_view name, std::string_view content) const {
    std::string const target = file(name);
    std::string const fresh = fmt::format("{}.{}.new", target, ::getpid());
    ::unlink(fresh.c_str());
    int const fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(ErrorKind::io, fmt::format("cannot write {}: {}", target, std::strerror(errno)));
    auto written = write_all(fd, content);
    bool const synced = written && ::fsync(fd) == 0;
    ::close(fd);
    if (!synced || ::rename(fresh.c_str(), target.c_str()) != 0)
        return fail(ErrorKind::io, fmt::format("cannot write {}: {}", target, std::strerror(errno)));
    return {};
}

}  // namespace mallard::app
